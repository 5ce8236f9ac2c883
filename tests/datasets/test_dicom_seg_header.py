"""DICOM SEG: what the object says about patient, making and identity."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import UID

from datasets.io.dicom_seg import write_dicom_seg
from tests.datasets.seg_source import GRID, WHAT, places, round_trip, source_of, two_labels


@pytest.fixture
def written(tmp_path: Path) -> pydicom.FileDataset:
    write_dicom_seg(two_labels(GRID), source_of(GRID), tmp_path / "segmentation.dcm", WHAT)
    return pydicom.dcmread(tmp_path / "segmentation.dcm")


def test_same_input_same_bytes_and_identity_follows_what_it_depends_on(tmp_path: Path) -> None:
    labels, source = two_labels(GRID), source_of(GRID)
    edited = labels.array.copy()
    edited[0, 0, 0, 0] = 2
    cases = {
        "first": (labels, WHAT),
        "again": (labels, WHAT),
        "edited": (labels.like(edited), WHAT),
        "weights": (labels, replace(WHAT, weights_sha256="ef" * 32)),
        "config": (labels, replace(WHAT, config_digest="01" * 32)),
    }
    for name, (image, what) in cases.items():
        write_dicom_seg(image, source, tmp_path / name, what)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    objects = {name: pydicom.dcmread(tmp_path / name) for name in cases}
    assert len({seg.SOPInstanceUID for seg in objects.values()}) == 4
    assert objects["edited"].SeriesInstanceUID == objects["first"].SeriesInstanceUID
    assert len({objects[name].SeriesInstanceUID for name in ("first", "weights", "config")}) == 3
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert UID(objects["first"][keyword].value).is_valid
        assert objects["first"][keyword].value.startswith("2.25.")


def test_segments_say_what_they_are_and_how_they_were_found(written: Dataset) -> None:
    liver, tumor = written.SegmentSequence
    assert (liver.SegmentNumber, liver.SegmentLabel, liver.SegmentAlgorithmType) == (1, "liver", "AUTOMATIC")
    kind = tumor.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("108369006", "SCT")
    assert tumor.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    algorithm = tumor.SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("liver_ct compact", "0.1.0")
    assert "ab" * 32 in algorithm.AlgorithmParameters
    assert "RESEARCH USE ONLY" in written.SeriesDescription
    assert "RESEARCH USE ONLY" in written.ContentDescription
    assert (written.Modality, written.SegmentationType, written.SegmentsOverlap) == ("SEG", "BINARY", "NO")
    assert (written.PatientID, written.FrameOfReferenceUID) == ("7", "1.2.3.3")


def test_times_come_from_the_source(written: Dataset) -> None:
    stamps = {written[k].value for k in ("ContentDate", "SeriesDate", "InstanceCreationDate", "StudyDate")}
    assert stamps == {"20240229"}
    assert {written[k].value for k in ("ContentTime", "SeriesTime", "InstanceCreationTime")} == {"101500"}


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("PatientSex", "X", ""),
        ("PatientBirthDate", "", ""),
        ("PatientName", "Müller^Jürgen", "Müller^Jürgen"),
        ("PatientName", "NoCaret", "NoCaret"),
        ("PatientName", None, ""),
        ("StudyID", None, ""),
    ],
)
def test_incomplete_headers_are_carried_as_far_as_they_hold(
    keyword: str, value: str | None, kept: str, tmp_path: Path
) -> None:
    source = source_of(GRID)
    for dataset in source.datasets:
        dataset.SpecificCharacterSet = "ISO_IR 100"
        setattr(dataset, keyword, value)
    write_dicom_seg(two_labels(GRID), source, tmp_path / "seg.dcm", WHAT)
    assert str(pydicom.dcmread(tmp_path / "seg.dcm")[keyword].value or "") == kept


def test_values_that_cannot_be_parsed_are_left_behind(tmp_path: Path) -> None:
    """A weight with a decimal comma, and a blank where "00" or "01" belongs."""
    source = source_of(GRID)
    for dataset in source.datasets:
        dataset.LossyImageCompression = ""
        dataset[0x00101030] = RawDataElement(Tag(0x00101030), "DS", 4, b"70,5", 0, False, True)
    write_dicom_seg(two_labels(GRID), source, tmp_path / "seg.dcm", WHAT)
    segmentation = pydicom.dcmread(tmp_path / "seg.dcm")
    assert "PatientWeight" not in segmentation
    assert segmentation.LossyImageCompression == "00"


def test_a_header_with_identifiers_alone_is_enough(tmp_path: Path) -> None:
    source = source_of(GRID)
    for dataset in source.datasets:
        for keyword in ("PatientID", "PatientName", "StudyDate", "StudyTime", "Modality", "SliceThickness"):
            delattr(dataset, keyword)
    content = round_trip(two_labels(GRID), source, tmp_path)
    np.testing.assert_array_equal(places(content.labels), places(two_labels(GRID)))
    assert pydicom.dcmread(tmp_path / "segmentation.dcm").ContentDate == "19000101"
