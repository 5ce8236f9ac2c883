"""The record as DICOM: reports that carry the verdicts, and edited masks voxel for voxel, by other people's readers."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from app.services.exports.as_seg import as_seg
from app.services.exports.as_sr import as_sr
from app.services.exports.export import Export
from app.services.record import CaseRecord
from app.services.source import opened_source
from app.store.records import Decision
from datasets.errors import InputRefused
from datasets.image import Intensity
from datasets.io.dicom_seg_reader import read_dicom_seg
from datasets.io.nifti import read_nifti
from datasets.resampling import reorient
from tests.app.services.exports import scene
from tests.app.services.exports.scene import FORMULA, GREEK, READER, SCRIPT, Scene
from tests.datasets.report_reading import comments, errors_of_dciodvfy, groups, read_by_dcmqi


@dataclass(frozen=True)
class Written:
    """A record and its DICOM objects."""

    scene: Scene
    record: CaseRecord
    report: Path
    seg: Path | None


def written(planted: Scene, folder: Path) -> Written:
    record = planted.record()
    report, seg = as_sr(record), as_seg(record)
    return Written(planted, record, saved(report, folder), saved(seg, folder) if seg else None)


def saved(export: Export | None, folder: Path) -> Path:
    assert export is not None
    (folder / export.name).write_bytes(export.content)
    return folder / export.name


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("edited")
    return written(scene.decided(scene.liver(folder)), folder)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("plain")
    return written(scene.decided(scene.liver(folder), edited=False), folder)


@pytest.mark.needs("dciodvfy")
def test_dciodvfy_finds_no_error_in_the_reports(edited: Written, plain: Written) -> None:
    assert errors_of_dciodvfy(edited.report) == []
    assert errors_of_dciodvfy(plain.report) == []


@pytest.mark.needs("dciodvfy")
def test_dciodvfy_finds_no_error_in_the_segmentation(edited: Written) -> None:
    done = subprocess.run(["dciodvfy", "-new", str(edited.seg)], capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    assert "Segmentation" in report
    assert [line for line in report.splitlines() if line.startswith("Error")] == []


def test_every_verdict_is_in_the_report_with_who_when_and_why(edited: Written, plain: Written) -> None:
    standing = edited.record.standing
    assert standing is not None
    for one in (edited, plain):
        read = groups(one.report)
        first, second = read["liver_tumor 1"], read["liver_tumor 2"]
        assert (first.codes["verdict"], first.codes["reason_code"]) == ("modified", "wrong_extent")
        assert (second.codes["verdict"], second.codes["reason_code"]) == ("rejected", "artefact")
        assert second.texts["reader"] == READER
        assert second.texts["reason"].endswith(FORMULA)
        assert first.texts["reason"].endswith(SCRIPT)
    assert groups(edited.report)["liver_tumor 2"].texts["decided_at"] == standing.at.isoformat(timespec="seconds")


def test_dcmqi_reads_the_verdicts(edited: Written) -> None:
    verdicts = {
        group["TrackingIdentifier"]: item["conceptValue"]["CodeValue"]
        for group in read_by_dcmqi(edited.report)
        for item in group.get("qualitativeEvaluations") or []
        if item["conceptCode"]["CodeValue"] == "verdict"
    }
    assert verdicts == {
        "liver_tumor 1": "modified",
        "liver_tumor 2": "rejected",
        f"{SCRIPT} 1, by a reader": "accepted",
    }


def test_what_a_reader_adds_is_no_algorithms(edited: Written) -> None:
    read = groups(edited.report)
    added, said = read[f"{SCRIPT} 1, by a reader"], read["liver_tumor 1"]
    assert added.codes == {"verdict": "accepted", "reason_code": "missed_finding"}
    assert added.texts["reason"].endswith(GREEK)
    # Algorithm name and version (TID 4019).
    names = [{item.ConceptNameCodeSequence[0].CodeValue for item in group.items} for group in (added, said)]
    assert "111001" not in names[0]
    assert {"111001", "111003"} <= names[1]


def test_statements_refer_to_the_mask_that_they_are_measured_from(edited: Written, plain: Written) -> None:
    assert edited.seg is not None
    seg = pydicom.dcmread(edited.seg)
    read = groups(edited.report)
    assert read["liver_tumor, by a reader"].segments == (2,)
    assert read["liver, by a reader"].segments == (1,)
    # Of the edited mask the network measured nothing.
    assert all(group.segments == () and group.sources == {} for name, group in read.items() if "reader" not in name)
    evidence = pydicom.dcmread(edited.report).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = {str(item.ReferencedSOPInstanceUID) for series in evidence for item in series.ReferencedSOPSequence}
    assert str(seg.SOPInstanceUID) in named
    network = pydicom.dcmread(plain.scene.folder / "segmentation.dcm")
    own = groups(plain.report)
    assert own["liver, measured as a whole"].sources == {str(network.SOPInstanceUID): [1, 2]}


def test_the_report_says_that_it_is_not_verified_and_what_stands(edited: Written) -> None:
    dataset, said = pydicom.dcmread(edited.report), comments(edited.report)
    assert (dataset.CompletionFlag, dataset.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
    assert said[0].startswith("RESEARCH USE ONLY, not a medical device")
    assert "read by nobody" not in said[0]
    assert any("Two readers decided" in one for one in said)
    assert any("@SUM(1)" in one for one in said)
    # The same series as the report that was written with the result, and another object.
    scored = pydicom.dcmread(edited.scene.folder / "report.dcm")
    assert dataset.SeriesInstanceUID == scored.SeriesInstanceUID
    assert dataset.SOPInstanceUID != scored.SOPInstanceUID
    # A name is the source's alone, and stays what it was.
    assert str(dataset.PatientName) == str(scored.PatientName) == SCRIPT


def test_without_decisions_it_is_partial_and_says_that_nobody_decided(tmp_path: Path) -> None:
    one = written(scene.liver(tmp_path), tmp_path)
    assert pydicom.dcmread(one.report).CompletionFlag == "PARTIAL"
    assert comments(one.report)[0].endswith("read by nobody, not for diagnosis or treatment.")
    assert all("verdict" not in group.codes for group in groups(one.report).values())
    assert one.seg is None


def test_the_edited_voxels_come_back_and_no_others(edited: Written) -> None:
    assert edited.record.edit is not None
    assert edited.seg is not None
    with opened_source(edited.record.result) as series:
        image = series.load().image
    want, content = edited.record.edit.labels, read_dicom_seg(edited.seg)
    np.testing.assert_allclose(want.affine, image.affine, atol=1e-9)
    read = reorient(content.labels, want.grid.orientation)
    # Empty planes at the ends are left out: laid back by their place.
    index = np.argwhere(read.array[0] > 0)
    back = np.zeros_like(want.array[0])
    there = np.rint(want.grid.indices(read.grid.points_mm(index))).astype(int)
    back[tuple(there.T)] = read.array[0][tuple(index.T)]
    np.testing.assert_array_equal(back, want.array[0])
    np.testing.assert_allclose(read.grid.affine[:3, :3], want.grid.affine[:3, :3], atol=1e-5)
    network = read_nifti(edited.scene.folder / "segmentation.nii.gz", Intensity.LABEL).image
    assert np.count_nonzero(back != network.array[0]) == 5


def test_the_segmentation_says_whose_it_is_and_names_its_source(edited: Written) -> None:
    assert edited.seg is not None
    seg, network = pydicom.dcmread(edited.seg), pydicom.dcmread(edited.scene.folder / "segmentation.dcm")
    assert {item.SegmentAlgorithmType for item in seg.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert seg.SeriesDescription.startswith("RESEARCH USE ONLY")
    assert seg.SeriesInstanceUID != network.SeriesInstanceUID
    assert seg.StudyInstanceUID == network.StudyInstanceUID
    sources = [
        {str(item.ReferencedSOPInstanceUID) for item in one.ReferencedSeriesSequence[0].ReferencedInstanceSequence}
        for one in (seg, network)
    ]
    assert sources[0] == sources[1]
    assert len(sources[0]) == edited.record.result.grid.shape[2]


def test_objects_made_twice_are_the_same_bytes(edited: Written) -> None:
    again = edited.scene.record()
    assert saved(as_sr(again), edited.report.parent) == edited.report
    assert as_sr(again) == as_sr(edited.record)
    assert as_seg(again) == as_seg(edited.record)


def test_a_volume_of_another_format_gets_nifti_with_its_affine(tmp_path: Path) -> None:
    planted = scene.decided(scene.liver(tmp_path, dicom=False))
    record = planted.record()
    assert as_sr(record) is None
    read = nib.load(saved(as_seg(record), tmp_path))
    source = nib.load(record.result.study.source)
    np.testing.assert_array_equal(read.affine, source.affine)
    assert record.edit is not None
    np.testing.assert_array_equal(np.asarray(read.dataobj), record.edit.labels.array[0])
    # It needs nothing that is elsewhere.
    Path(record.result.study.source).unlink()
    assert as_seg(record) is not None


def test_a_source_that_is_gone_is_told_and_takes_nothing_else_with_it(tmp_path: Path) -> None:
    planted = scene.decided(scene.liver(tmp_path))
    record = planted.record()
    shutil.rmtree(record.result.study.source)
    for export in (as_sr, as_seg):
        with pytest.raises(InputRefused, match="put them back"):
            export(record)


def test_words_that_dicom_cannot_hold_are_fitted_and_told_apart(tmp_path: Path) -> None:
    planted = scene.liver(tmp_path)
    labels = ("a\\b", "a/b", "x" * 200, "line\nbreak", "  ")
    decisions = [Decision(finding=2 + at, label=label, verdict="accepted") for at, label in enumerate(labels)]
    renamed = Decision(finding=0, label="cyst\\or not", verdict="modified", reason="wrong_label")
    planted.review(renamed, *decisions)
    one = written(planted, tmp_path)
    read = groups(one.report)
    added = [name for name in read if name.endswith("by a reader")]
    assert added == [
        *("a/b 1, by a reader", "a/b 2, by a reader", f"{'x' * 64} 1, by a reader"),
        *("line break 1, by a reader", "finding 1, by a reader"),
    ]
    assert read["liver_tumor 1"].codes["said_to_be"] == "cyst/or not"
    assert errors_of_dciodvfy(one.report) == []
