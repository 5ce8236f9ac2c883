"""Reports on films, what other programs read of reports, and what is refused."""

import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import highdicom as hd
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
)

from datasets.dicom_source import DicomSource
from datasets.io import report_concepts as concepts
from datasets.io.dicom_sr import write_dicom_sr
from datasets.io.report_content import Measure, ReportDescription
from datasets.labels import CHEST_XRAY_14
from tests.datasets import seg_source
from tests.datasets.report_reading import errors_of_dciodvfy, groups, values_by_dcmqi
from tests.datasets.report_scene import ALONE, MAKING, READER, SECOND, WHAT, film, of_film, written
from tests.datasets.seg_source import GRID, source_of


@pytest.mark.parametrize(("kind", "spacing"), [("DX", True), ("CR", True), ("CR", False), ("OT", False)])
def test_a_film_is_the_source_of_what_is_said_about_it(kind: str, spacing: bool, tmp_path: Path) -> None:
    source, path = film(tmp_path, kind, spacing), tmp_path / "report.dcm"
    write_dicom_sr(of_film(), [source], path)
    group = groups(path)["effusion"]
    assert group.sources == {str(source.datasets[0].SOPInstanceUID): []}
    assert group.segments == ()
    assert pydicom.dcmread(path).SOPClassUID == ComprehensiveSRStorage
    assert values_by_dcmqi(path)["effusion"]["probability"] == (0.8125, "1")


def test_all_films_of_a_study_are_named(tmp_path: Path) -> None:
    one = seg_source.header(0), seg_source.header(1)
    for header in one:
        header.SOPClassUID, header.Modality, header.Rows, header.Columns = ComputedRadiographyImageStorage, "CR", 9, 7
    path = tmp_path / "report.dcm"
    write_dicom_sr(of_film(), [DicomSource((header,), ()) for header in one], path)
    assert groups(path)["effusion"].sources == {"1.2.3.4.1": [], "1.2.3.4.2": []}


def test_every_finding_of_films_has_a_code_that_says_what_it_is(tmp_path: Path) -> None:
    """Codes of public schemes are those of pydicom's copy of DICOM's lists, with that meaning."""
    told = {label: concepts.finding_concept(label) for label in CHEST_XRAY_14}
    public = {label: code for label, code in told.items() if code.scheme != concepts.OWN_SCHEME}
    assert public.keys() == {"infiltration", "mass", "nodule", "effusion", "pneumothorax", "edema", "fibrosis"}
    for code in public.values():
        scheme = getattr(codes, code.scheme)
        known = {(getattr(scheme, name).value, getattr(scheme, name).meaning) for name in scheme.dir(code.meaning[:4])}
        assert (code.value, code.meaning) in known
    for label in told.keys() - public.keys():
        assert told[label].meaning == label.replace("_", " ").capitalize()


def test_codes_of_our_own_are_short_and_differ() -> None:
    """highdicom cannot read back a group with a LongCodeValue in it."""
    names = ["pleural_thickening", "pleural_thickening_left", "a" * 16, "a" * 17, "a" * 18]
    assert len({concepts.own(name).value for name in names}) == len(names)
    assert all(len(concepts.own(name).value) <= 16 for name in names)
    assert concepts.own("a" * 16).value == "a" * 16
    assert len(concepts.own("a" * 90).meaning) == 64


CHEST_XRAY_14_OWN = {
    "atelectasis",
    "cardiomegaly",
    "pneumonia",
    "consolidation",
    "emphysema",
    "pleural_thickening",
    "hernia",
}


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("kind", ["volume", "decided", "DX", "CR", "OT", "nothing"])
def test_dciodvfy_finds_no_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    if kind == "volume":
        written(WHAT, tmp_path)
    elif kind == "decided":
        written(replace(WHAT, statements=(replace(ALONE, decision=READER),)), tmp_path)
    elif kind == "nothing":
        write_dicom_sr(ReportDescription("t", MAKING), [film(tmp_path)], path)
    else:
        write_dicom_sr(of_film("pleural_thickening"), [film(tmp_path, kind, spacing=kind == "DX")], path)
    assert errors_of_dciodvfy(path) == []


@pytest.mark.needs("dsrdump")
def test_dsrdump_reads_the_whole_tree(tmp_path: Path) -> None:
    command = ["dsrdump", "+Pc", "+Pl", str(written(WHAT, tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if line.startswith("E:")]
    assert done.stdout.count('"Measurement Group"') == 3
    assert "Unverified" in done.stdout or "UNVERIFIED" in done.stdout


def test_sources_that_do_not_belong_together_are_an_error_and_leave_no_file(tmp_path: Path) -> None:
    films, path = [film(tmp_path, study=name) for name in ("1", "2")], tmp_path / "report.dcm"
    with pytest.raises(ValueError, match="one study; got 2"):
        write_dicom_sr(of_film(), films, path)
    with pytest.raises(ValueError, match="one study; got 0"):
        write_dicom_sr(of_film(), [], path)
    assert not path.exists()


def test_a_segment_that_is_not_there_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    third = replace(WHAT, statements=(replace(SECOND, segments=(3,)),))
    with pytest.raises(ValueError, match=r"segments \[1, 2\]; got \[3\]"):
        written(third, tmp_path)
    with pytest.raises(ValueError, match=r"segments \[\]; got \[1, 2\]"):
        write_dicom_sr(WHAT, [source_of(GRID)], tmp_path / "report.dcm")
    assert not (tmp_path / "report.dcm").exists()


def test_what_cannot_be_said_is_refused_before_anything_is_written() -> None:
    with pytest.raises(ValueError, match="finite volume"):
        Measure("volume", float("nan"), "ml")
    with pytest.raises(ValueError, match="UCUM unit of count"):
        Measure("count", 1.0, "")
    with pytest.raises(ValueError, match="one segment that stands for liver_tumor 1"):
        replace(ALONE, segments=())
    with pytest.raises(ValueError, match="told apart"):
        replace(WHAT, statements=(ALONE, ALONE))
    with pytest.raises(ValueError, match="verdict of accepted, modified, rejected"):
        replace(READER, verdict="perhaps")
    with pytest.raises(ValueError, match="name of a reader"):
        replace(READER, reader=" ")
    with pytest.raises(ValueError, match="with its zone"):
        replace(READER, at=datetime(2024, 3, 1))


def test_a_disk_that_is_full_leaves_no_half_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: pydicom.Dataset, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    source = film(tmp_path)
    monkeypatch.setattr(hd.sr.ComprehensiveSR, "save_as", fail, raising=False)
    with pytest.raises(OSError, match="no space"):
        write_dicom_sr(of_film(), [source], tmp_path / "report.dcm")
    assert [path.name for path in tmp_path.iterdir()] == ["DX1.dcm"]


def test_modalities_without_a_code_are_other() -> None:
    assert concepts.modality_concept("CT").meaning == "Computed Tomography"
    assert concepts.modality_concept("no such").value == "OT"
    assert concepts.procedure_concept("SM") == concepts.procedure_concept("no such")
