"""Identifiers and times of DICOM objects that are derived, never drawn: the same input gives the same object."""

import re
import uuid
from collections.abc import Iterable

from pydicom import Dataset

# The namespace of every identifier of this project; never change it, or results of old versions lose their identity.
_NAMESPACE = uuid.UUID("5f0c1d0e-6a0b-5c8e-9b5a-3f2f6f1a7d11")

# DICOM asks for a content date; a source without any date gets one that nobody takes for real.
_NO_DATE_TIME = ("19000101", "000000")
_DATE_KEYWORDS = (
    ("ContentDate", "ContentTime"),
    ("AcquisitionDate", "AcquisitionTime"),
    ("SeriesDate", "SeriesTime"),
    ("StudyDate", "StudyTime"),
)


# Components that begin with a zero are forbidden (PS3.5, 9.1), but there are archives full of them.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64


def is_uid(value: object) -> bool:
    """Whether a value identifies something: numbers with dots between them, 64 characters at most."""
    text = str(value or "")
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def derive_uid(*parts: str) -> str:
    """Derive a DICOM UID from texts.

    Args:
        parts: What the identified thing depends on. The same parts give the same UID in every run and on every machine;
            parts are kept apart, so ("ab", "c") and ("a", "bc") differ.

    Returns:
        A UID under 2.25 made from a UUID version 5, at most 44 characters (DICOM PS3.5 annex B.2).
    """
    text = "\x1f".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, text).int}"


def valid_date(value: object) -> str:
    """A date as DICOM writes it (YYYYMMDD), or "" where the value is none; the old form YYYY.MM.DD is understood."""
    text = str(value or "").strip().replace(".", "")
    return text if re.fullmatch(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", text) else ""


def valid_time(value: object) -> str:
    """A time as DICOM writes it (HHMMSS with fractions), or "" where the value is none; HH:MM:SS is understood."""
    text = str(value or "").strip().replace(":", "")
    return text if re.fullmatch(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", text) else ""


def content_date_time(headers: Iterable[Dataset]) -> tuple[str, str]:
    """The date and time an object made from some instances carries: the latest content time among them.

    Args:
        headers: Source instances, in any order.

    Returns:
        (YYYYMMDD, HHMMSS…). Where content dates are missing those of acquisition, series and study stand in, in this
        order; without any the date is 1900-01-01, so that nothing depends on the clock.
    """
    return max((_date_time(header) for header in headers), default=_NO_DATE_TIME)


def _date_time(header: Dataset) -> tuple[str, str]:
    for date_keyword, time_keyword in _DATE_KEYWORDS:
        date = valid_date(header.get(date_keyword))
        if date:
            return date, valid_time(header.get(time_keyword)) or _NO_DATE_TIME[1]
    return _NO_DATE_TIME
