import csv
import io
from datetime import UTC, datetime

import pytest

from app.services.csv_text import csv_bytes
from app.services.reading import Standing
from app.services.study_table import COLUMNS, study_table
from app.store.records import Case
from tests.app.reader_study import assigned, decision, finding, plan_of, said

NOW = datetime(2024, 3, 4, 9, tzinfo=UTC)
FILM = (finding("mass", 0.9), finding("nodule", 1 / 3))


def case(name: str, **changes: object) -> Case:
    told = {"id": name, "study_uid": f"1.{name}", "task": "chest_xray", "folder": "out", "result_sha256": "sha"}
    return Case.model_validate({**told, "status": "new", "received_at": NOW, "changed_at": NOW, **changes})


def table(standing: Standing, *, pseudonymous: bool = False, **cases: Case) -> list[dict[str, str]]:
    findings = {name: FILM for name in cases if name != "bare"}
    raw = study_table(standing, cases, findings, pseudonymous=pseudonymous)
    rows = csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
    assert tuple(rows.fieldnames or ()) == COLUMNS
    return list(rows)


def standing() -> Standing:
    plan = plan_of(("1", "2"), ("zoe", "anna"), adjudicators=("carla",))
    read = said(
        "1",
        "zoe",
        decision(0, "mass", "rejected", "artefact"),
        decision(2, "edema", "accepted"),
        seconds=41.5,
        number=3,
        conflicts_with=2,
        mask_sha256="ab",
    )
    last = said("1", "carla", decision(0, "mass", "accepted"), number=4)
    return Standing(plan, assigned(plan), {("zoe", "1"): read}, {"1": last})


def test_a_row_for_each_reader_case_and_finding() -> None:
    rows = table(standing(), **{"1": case("1"), "2": case("2")})
    assert [(row["role"], row["reader"], row["case"], row["order"], row["finding"]) for row in rows] == [
        *[("reader", "zoe", "1", "1", number) for number in ("0", "1", "2")],
        *[("reader", "zoe", "2", "2", number) for number in ("0", "1")],
        *[("reader", "anna", "1", "1", number) for number in ("0", "1")],
        *[("reader", "anna", "2", "2", number) for number in ("0", "1")],
        *[("adjudicator", "carla", "1", "", number) for number in ("0", "1")],
    ]
    first, undecided, added = rows[:3]
    told = {name: first[name] for name in ("plan", "study_uid", "arm", "aided", "label", "verdict", "reason")}
    assert told == {
        "plan": "pilot",
        "study_uid": "1.1",
        "arm": "aided",
        "aided": "true",
        "label": "mass",
        "verdict": "rejected",
        "reason": "artefact",
    }
    assert (first["seconds"], first["review"], first["conflict"], first["mask_sha256"]) == ("41.5", "3", "2", "ab")
    assert (first["network_positive"], undecided["network_positive"]) == ("true", "false")
    assert float(undecided["probability"]) == 1 / 3
    assert (undecided["verdict"], added["label"], added["said_to_be"]) == ("", "", "edema")
    unread = rows[3]
    assert (unread["arm"], unread["review"], unread["verdict"], unread["seconds"]) == ("aided", "", "", "")
    assert rows[5]["arm"] == "unaided"
    assert {row["notice"] for row in rows} == {"Research use only, not a medical device"}


def test_readers_may_be_numbers() -> None:
    rows = table(standing(), pseudonymous=True, **{"1": case("1"), "2": case("2")})
    # In the order of their names.
    assert [row["reader"] for row in rows] == ["R2"] * 5 + ["R1"] * 4 + ["A1"] * 2
    assert not any("zoe" in value or "carla" in value for row in rows for value in row.values())


def test_a_case_without_findings_has_a_row() -> None:
    plan = plan_of(("bare",), ("anna",))
    (row,) = table(Standing(plan, assigned(plan), {}, {}), bare=case("bare"))
    assert (row["case"], row["finding"], row["label"]) == ("bare", "", "")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_spreadsheet_runs_nothing(text: str) -> None:
    plan = plan_of(("1",), (text,), name=text)
    rows = table(Standing(plan, assigned(plan), {}, {}), **{"1": case("1", study_uid=text)})
    assert {(row["plan"], row["reader"], row["study_uid"]) for row in rows} == {(f"'{text}",) * 3}


def test_numbers_below_zero_stay_numbers() -> None:
    assert csv_bytes(("a", "b"), [{"a": -1.5}, {"b": True}]) == b"\xef\xbb\xbfa,b\r\n-1.5,\r\n,true\r\n"
    assert csv_bytes(("a",), []) == b"\xef\xbb\xbfa\r\n"
