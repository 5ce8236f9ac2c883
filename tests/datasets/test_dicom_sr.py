"""Measurement reports: what is said comes back, to other readers too, with the region or the images it is about."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
)

from datasets.io import report_concepts as concepts
from datasets.io.dicom_sr import write_dicom_sr
from datasets.io.report_content import Assessment, Decision, Measure, ReportDescription, Statement, Verdict
from tests.datasets.report_reading import comments, groups, values_by_dcmqi
from tests.datasets.report_scene import (
    ALONE,
    CODES,
    MAKING,
    MEASURES,
    READER,
    REMARK,
    SECOND,
    WHAT,
    film,
    of_film,
    written,
)
from tests.datasets.seg_source import GRID, source_of


def test_every_number_comes_back_with_its_unit(tmp_path: Path) -> None:
    read = groups(written(WHAT, tmp_path))
    assert set(read) == {"liver_tumor 1", "liver_tumor 2", "liver, measured as a whole"}
    told = {code: (measure.value, measure.unit) for code, measure in zip(CODES, MEASURES, strict=True)}
    told |= {"probability": (0.8125, "1"), "raw_probability": (0.7, "1"), "operating_point": (0.5, "1")}
    assert read["liver_tumor 1"].values == read["liver_tumor 2"].values == told
    # What could not be measured is not there.
    assert read["liver, measured as a whole"].values == {"118565006": (5.5, "ml")}


def test_dcmqi_reads_the_same_numbers(tmp_path: Path) -> None:
    path = written(WHAT, tmp_path)
    read, theirs = groups(path), values_by_dcmqi(path)
    assert set(theirs) == set(read)
    for name, values in theirs.items():
        assert {code: unit for code, (_, unit) in values.items()} == {c: u for c, (_, u) in read[name].values.items()}
        for code, (value, _) in values.items():
            assert value == pytest.approx(read[name].values[code][0], rel=1e-6)


def test_a_segment_stands_for_a_statement_that_has_it_to_itself(tmp_path: Path) -> None:
    path = written(WHAT, tmp_path)
    segmentation = str(pydicom.dcmread(tmp_path / "segmentation.dcm").SOPInstanceUID)
    read = groups(path)
    alone, second, whole = (read[name] for name in ("liver_tumor 1", "liver_tumor 2", "liver, measured as a whole"))
    assert (alone.segments, alone.sources) == ((2,), {})
    (group, *_) = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    assert group.roi is None  # it is the segment's
    assert group.referenced_segment.source_series_for_segmentation.value == "1.2.3.2"
    assert (second.segments, second.sources) == ((), {segmentation: [2]})
    assert (whole.segments, whole.sources) == ((), {segmentation: [1, 2]})


def test_the_centre_of_one_of_several_is_told_in_the_patient(tmp_path: Path) -> None:
    read = groups(written(WHAT, tmp_path))
    points = {
        name: [
            (point.GraphicData, point.ReferencedFrameOfReferenceUID, item.ConceptNameCodeSequence[0].CodeValue)
            for item in group.items
            for point in item.get("ContentSequence") or []
            if point.ValueType == "SCOORD3D"
        ]
        for name, group in read.items()
    }
    # LPS, once, with the first value.
    assert points == {
        "liver_tumor 1": [],
        "liver_tumor 2": [([-1.0, -2.0, 3.0], "1.2.3.3", "118565006")],
        "liver, measured as a whole": [],
    }


def test_what_is_called_is_told_beside_how_sure_it_is(tmp_path: Path) -> None:
    no = Statement("hernia", assessment=Assessment(None, 0.5, positive=False, calibrated=False))
    path = tmp_path / "report.dcm"
    write_dicom_sr(ReportDescription("t", MAKING, (of_film().statements[0], no)), [film(tmp_path)], path)
    yes, no = groups(path)["effusion"], groups(path)["hernia"]
    assert yes.codes == {"called": codes.SCT.Positive.value, "calibrated": codes.SCT.Yes.value}
    assert no.codes == {"called": codes.SCT.Negative.value, "calibrated": codes.SCT.No.value}
    assert no.values == {"operating_point": (0.5, "1")}
    assert (yes.finding, no.finding) == (("60046008", "SCT"), ("hernia", "99DENSELENS"))
    assert yes.sites == ["816094009"]


@pytest.mark.parametrize("verdict", ["accepted", "modified", "rejected"])
def test_a_readers_decision_is_told_and_verifies_nothing(verdict: Verdict, tmp_path: Path) -> None:
    decided = replace(ALONE, decision=replace(READER, verdict=verdict))
    path = written(replace(WHAT, statements=(decided, SECOND), complete=False), tmp_path)
    group, undecided = groups(path)["liver_tumor 1"], groups(path)["liver_tumor 2"]
    assert group.codes["verdict"] == verdict
    told = {"reader": "Jürgen Müller", "decided_at": "2024-03-01T09:30:00+01:00", "reason": "größer"}
    assert group.texts == told
    assert undecided.texts == {}
    assert "verdict" not in undecided.codes
    dataset = pydicom.dcmread(path)
    assert (dataset.CompletionFlag, dataset.VerificationFlag) == ("PARTIAL", "UNVERIFIED")
    assert "VerifyingObserverSequence" not in dataset
    # The statement stays the same one, in another object.
    plain = written(WHAT, tmp_path / "plain")
    assert groups(plain)["liver_tumor 1"].uid == group.uid
    assert pydicom.dcmread(plain).SOPInstanceUID != dataset.SOPInstanceUID


def test_a_decision_without_a_reason_has_none(tmp_path: Path) -> None:
    decided = replace(ALONE, decision=Decision("accepted", "R1", datetime(2024, 3, 1, tzinfo=UTC)))
    path = written(replace(WHAT, statements=(decided,)), tmp_path)
    assert groups(path)["liver_tumor 1"].texts == {"reader": "R1", "decided_at": "2024-03-01T00:00:00+00:00"}


def test_the_document_says_what_it_is_and_is_not(tmp_path: Path) -> None:
    path = written(WHAT, tmp_path)
    dataset = pydicom.dcmread(path)
    assert dataset.SOPClassUID == Comprehensive3DSRStorage
    assert (dataset.Modality, dataset.PreliminaryFlag, dataset.CompletionFlag) == ("SR", "PRELIMINARY", "COMPLETE")
    assert (dataset.VerificationFlag, dataset.ContentQualification) == ("UNVERIFIED", "RESEARCH")
    assert dataset.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert dataset.SeriesDescription.startswith("RESEARCH USE ONLY")
    notice, remark = comments(path)
    assert notice.startswith("RESEARCH USE ONLY, not a medical device")
    assert remark == REMARK
    # As it is stored: printed, long texts are cut.
    stored = path.read_bytes()
    for said in ("DenseLens liver_ct (compact)", f"weights_sha256={'ab' * 32}", "25045-6", "en-GB", "Device"):
        assert said.encode() in stored
    (scheme,) = dataset.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == concepts.OWN_SCHEME


def test_library_and_evidence_name_every_source_and_the_segmentation(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(written(WHAT, tmp_path))
    segmentation = pydicom.dcmread(tmp_path / "segmentation.dcm")
    slices = {f"1.2.3.4.{number}" for number in range(1, 10)}
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    named = {
        str(series.SeriesInstanceUID): {str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence}
        for series in study.ReferencedSeriesSequence
    }
    assert study.StudyInstanceUID == "1.2.3.1"
    assert named == {"1.2.3.2": slices, segmentation.SeriesInstanceUID: {segmentation.SOPInstanceUID}}
    library = [i for i in dataset.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "111028"]
    (group,) = library[0].ContentSequence
    images = [i for i in group.ContentSequence if i.ValueType == "IMAGE"]
    assert {str(i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for i in images} == slices


def test_patient_and_study_are_those_of_the_source_and_stay_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(GRID)
    for header in source.datasets:
        header.SpecificCharacterSet = "ISO_IR 100"
        header.PatientName, header.PatientSex, header.AccessionNumber = "Müller-Nobody", "X", "A1"
    with caplog.at_level(logging.DEBUG):
        path = written(WHAT, tmp_path, source)
    ours, seg = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "segmentation.dcm")
    same = ("PatientID", "PatientName", "PatientSex", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber")
    for keyword in (*same, "ContentDate", "ContentTime", "SeriesDate", "InstanceCreationTime"):
        assert ours[keyword].value == seg[keyword].value
    assert (str(ours.PatientName), ours.PatientSex) == ("Müller-Nobody", "")
    assert "Nobody" not in caplog.text


def test_a_header_with_identifiers_alone_is_enough(tmp_path: Path) -> None:
    source = source_of(GRID)
    for header in source.datasets:
        for keyword in ("PatientID", "PatientName", "StudyDate", "StudyTime", "Modality", "SliceThickness"):
            delattr(header, keyword)
    path = written(WHAT, tmp_path, source)
    assert len(groups(path)) == 3
    assert pydicom.dcmread(path).ContentDate == "19000101"


def test_same_input_same_bytes_and_identity_follows_what_it_depends_on(tmp_path: Path) -> None:
    other = replace(ALONE, measures=(Measure("volume", 1.0, "ml"),))
    cases = {
        "first": WHAT,
        "again": WHAT,
        "other": replace(WHAT, statements=(other,)),
        "weights": replace(WHAT, making=replace(MAKING, weights_sha256="ef" * 32)),
        "task": replace(WHAT, task="another"),
    }
    paths = {name: written(what, tmp_path / name) for name, what in cases.items()}
    assert paths["first"].read_bytes() == paths["again"].read_bytes()
    objects = {name: pydicom.dcmread(path) for name, path in paths.items()}
    assert len({o.SOPInstanceUID for o in objects.values()}) == 4
    assert objects["other"].SeriesInstanceUID == objects["first"].SeriesInstanceUID
    assert len({objects[name].SeriesInstanceUID for name in ("first", "weights", "task")}) == 3
    tracked = {name: groups(path)["liver_tumor 1"].uid for name, path in paths.items()}
    # New weights speak of the same finding, another task does not.
    assert tracked["first"] == tracked["other"] == tracked["weights"] != tracked["task"]
    every = [group.uid for group in groups(paths["first"]).values()]
    assert len(set(every)) == 3
    assert all(UID(uid).is_valid for uid in [*every, *(o.SOPInstanceUID for o in objects.values())])


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    write_dicom_sr(ReportDescription("t", MAKING), [film(tmp_path)], path)
    (group,) = groups(path).values()
    assert (group.codes, group.values, group.finding) == ({"nothing_said": codes.SCT.Yes.value}, {}, None)


def test_a_score_of_the_whole_study_is_about_no_label(tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    score = Statement(None, measures=(Measure("bone_age", 3.5, "a"),))
    write_dicom_sr(ReportDescription("t", MAKING, (score,)), [film(tmp_path)], path)
    group = groups(path)["study, measured as a whole"]
    assert (group.finding, group.values) == (None, {"bone_age": (3.5, "a")})
