"""Derived identifiers and times: the same parts, the same identifier; no clock anywhere."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID

from datasets.io.dicom_uid import content_date_time, derive_uid, valid_date, valid_time

PARTS = st.lists(st.text(), max_size=5)


@given(PARTS, PARTS)
def test_a_uid_depends_on_its_parts_and_nothing_else(some: list[str], others: list[str]) -> None:
    uid = derive_uid(*some)
    assert UID(uid).is_valid
    assert (uid == derive_uid(*others)) == (some == others)


def test_a_uid_is_a_uuid_of_version_5() -> None:
    assert uuid.UUID(int=int(derive_uid("a").removeprefix("2.25."))).version == 5


def test_parts_are_kept_apart() -> None:
    assert derive_uid("ab", "c") != derive_uid("a", "bc") != derive_uid("abc")


@pytest.mark.parametrize(
    ("value", "date"),
    [("20240229", "20240229"), ("2004.01.19", "20040119"), ("20041340", ""), ("", ""), (None, ""), ("unknown", "")],
)
def test_dates(value: str | None, date: str) -> None:
    assert valid_date(value) == date


@pytest.mark.parametrize(
    ("value", "time"),
    [("101500", "101500"), ("10:15:00.25", "101500.25"), ("1015", "1015"), ("2515", ""), ("", ""), (None, "")],
)
def test_times(value: str | None, time: str) -> None:
    assert valid_time(value) == time


def stamped(**values: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_the_latest_content_time_counts_whatever_the_order() -> None:
    early = stamped(ContentDate="20240229", ContentTime="101500", StudyDate="20250101")
    late = stamped(SeriesDate="20240229", SeriesTime="111500")
    assert content_date_time([early, late]) == content_date_time([late, early]) == ("20240229", "111500")


def test_without_any_date_nothing_depends_on_the_clock() -> None:
    assert content_date_time([Dataset()]) == content_date_time([]) == ("19000101", "000000")
    assert content_date_time([stamped(StudyDate="20240229")]) == ("20240229", "000000")
