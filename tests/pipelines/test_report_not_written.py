"""What no DICOM object can refer to costs the objects, never the result; what can be put right is."""

import json
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.uid import DigitalXRayImageStorageForPresentation

from datasets.dicom_source import DicomSource
from datasets.io.dicom_sr import write_dicom_sr
from pipelines.outputs import write_result
from pipelines.results import Finding, FlagCode, ModelId, Result, StudyRecord
from pipelines.task import load_task
from tests.datasets.report_reading import errors_of_dciodvfy
from tests.datasets.report_scene import film, of_film
from tests.datasets.seg_source import GRID, source_of, two_labels

CHEST, LIVER = load_task("chest_xray"), load_task("liver_ct")
NAMES = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Words, too long, an empty component, two values.
NO_UIDS = ("not-a-uid", "1." + "2" * 63, "1..2", ["1.2", "1.3"])


def set_value(source: DicomSource, keyword: str, value: object) -> None:
    with pydicom.config.disable_value_validation():
        source.datasets[0].add_new(keyword, dictionary_VR(keyword), value)


def said(source: DicomSource, task: str = "chest_xray") -> Result:
    found = Finding(label="effusion", probability=0.75, threshold=0.5, positive=True, calibrated=True)
    return Result(
        study=StudyRecord(uid="1.2.3", modality="DX", source="film.dcm", series_uid="1"),
        task=task,
        model=ModelId(name="m", weights_sha256="ab" * 32, version="0", trained_on="phantoms"),
        findings=(found,) if task == "chest_xray" else (),
        sources=(source,),
    )


@pytest.mark.parametrize("value", NO_UIDS, ids=str)
@pytest.mark.parametrize("keyword", NAMES)
def test_without_a_uid_there_is_a_result_and_no_report(keyword: str, value: object, tmp_path: Path) -> None:
    source = film(tmp_path)
    set_value(source, keyword, value)
    write_result(said(source), CHEST, tmp_path / "study")
    document = json.loads((tmp_path / "study" / "result.json").read_text())
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["result.json"]
    (flag,) = document["quality"]
    assert (flag["code"], flag["severity"]) == (FlagCode.REPORT_NOT_WRITTEN, "warning")
    assert keyword in flag["message"]
    assert document["findings"][0]["probability"] == 0.75
    assert document["outputs"] == {}


@pytest.mark.parametrize("keyword", NAMES)
def test_a_report_that_nothing_could_follow_is_refused(keyword: str, tmp_path: Path) -> None:
    source = film(tmp_path)
    del source.datasets[0][keyword]
    with pytest.raises(ValueError, match="UID"):
        write_dicom_sr(of_film(), [source], tmp_path / "report.dcm")
    assert not (tmp_path / "report.dcm").exists()


def test_a_segmentation_is_left_out_as_well(tmp_path: Path) -> None:
    source = source_of(GRID)
    set_value(source, "FrameOfReferenceUID", "not-a-uid")
    result = said(source, "liver_ct").model_copy(update={"labels": two_labels(GRID), "source": source})
    written = write_result(result, LIVER, tmp_path)
    assert written.outputs == {"segmentation": "segmentation.nii.gz"}
    assert [flag.code for flag in written.quality] == ["report_not_written"]


def test_a_class_of_the_makers_own_is_named_as_it_is(tmp_path: Path) -> None:
    source = film(tmp_path)
    own = "1.2.840.113619.4.30"
    set_value(source, "SOPClassUID", own)
    write_dicom_sr(of_film(), [source], tmp_path / "report.dcm")
    report = pydicom.dcmread(tmp_path / "report.dcm")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (item,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPClassUID == own
    assert item.ReferencedSOPInstanceUID == source.datasets[0].SOPInstanceUID


def test_evidence_names_the_class_of_a_film(tmp_path: Path) -> None:
    source = film(tmp_path)
    write_dicom_sr(of_film(), [source], tmp_path / "report.dcm")
    study = pydicom.dcmread(tmp_path / "report.dcm").CurrentRequestedProcedureEvidenceSequence[0]
    (item,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPClassUID == DigitalXRayImageStorageForPresentation


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize(
    "keyword", ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"]
)
def test_what_may_be_blank_may_be_absent(keyword: str, tmp_path: Path) -> None:
    source = film(tmp_path)
    del source.datasets[0][keyword]
    written = write_result(said(source), CHEST, tmp_path / "study")
    assert written.outputs == {"report": "report.dcm"}
    assert errors_of_dciodvfy(tmp_path / "study" / "report.dcm") == []


def test_uids_that_begin_a_component_with_zero_are_kept() -> None:
    source = source_of(GRID)
    assert source.misnamed == ()
    set_value(source, "StudyInstanceUID", "1.2.03")
    assert source.misnamed == ()
