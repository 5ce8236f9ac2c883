"""Every kind of export of a case as it is, with images made from the scan, and without where the scan is gone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services.exports.exporting import KINDS, exported
from app.services.intake import take_in
from app.services.viewing import Viewing
from app.store.audit_log import AuditLog
from app.store.database import Database, open_database
from datasets.errors import InputRefused
from tests.app.planted import plant_failure, plant_liver


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield opened
    opened.close()


def test_each_kind_is_made_and_told_in_the_log(database: Database, tmp_path: Path) -> None:
    case, viewing = take_in(database, plant_liver(tmp_path), "test"), Viewing(tmp_path / "own")
    made = {kind: exported(database, viewing, case.id, kind, "anna") for kind in KINDS}
    # Nothing was edited, so there is no other segmentation than the network's.
    assert [kind for kind, one in made.items() if one is None] == ["seg"]
    html = made["html"]
    assert html is not None
    assert html.content.count(b"data:image/png;base64,") == 1
    told = [entry.detail["kind"] for entry in AuditLog(database).entries() if entry.action == "export"]
    assert told == [kind for kind in KINDS if kind != "seg"]


def test_reports_are_made_without_the_scan_and_what_refers_to_it_is_not(database: Database, tmp_path: Path) -> None:
    outputs = {"segmentation": "segmentation.nii.gz", "report": "report.dcm"}
    case, viewing = take_in(database, plant_liver(tmp_path, outputs=outputs), "test"), Viewing(tmp_path / "own")
    shutil.rmtree(tmp_path / "scans")
    for kind in ("pdf", "html", "csv", "json"):
        assert exported(database, viewing, case.id, kind, "anna") is not None
    with pytest.raises(InputRefused, match="put them back"):
        exported(database, viewing, case.id, "sr", "anna")


def test_a_failed_study_has_a_report_too(database: Database, tmp_path: Path) -> None:
    case = take_in(database, plant_failure(tmp_path), "test")
    made = exported(database, Viewing(tmp_path / "own"), case.id, "json", "anna")
    assert made is not None
    assert b"missing_slice" in made.content


def test_there_are_no_other_kinds(database: Database, tmp_path: Path) -> None:
    case = take_in(database, plant_failure(tmp_path), "test")
    with pytest.raises(ValueError, match="expected one of"):
        exported(database, Viewing(tmp_path / "own"), case.id, "../secret", "anna")
