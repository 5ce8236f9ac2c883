"""Heat maps as DICOM SEG: what the object says about patient, making and identity."""

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import ComputedRadiographyImageStorage

from datasets.dicom_source import DicomSource
from datasets.image import Image, Intensity
from datasets.io.dicom_heat_map import write_dicom_heat_map
from datasets.io.dicom_heat_map_reader import read_dicom_heat_map
from datasets.io.dicom_seg import write_dicom_seg
from tests.datasets import seg_source
from tests.datasets.heat_maps import WHAT, middle_of, ramp_on
from tests.datasets.seg_source import GRID, source_of, two_labels

HEAT = ramp_on(GRID, middle_of(GRID))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_dicom_heat_map(HEAT, source_of(GRID), tmp_path / "heat.dcm", WHAT)
    return tmp_path / "heat.dcm"


def test_same_input_same_bytes_and_identity_follows_what_it_depends_on(tmp_path: Path) -> None:
    source = source_of(GRID)
    cases = {
        "first": (HEAT, WHAT),
        "again": (HEAT, WHAT),
        "other values": (HEAT.like(HEAT.array * 0.9), WHAT),
        "method": (HEAT, replace(WHAT, method="hires_cam")),
        "label": (HEAT, replace(WHAT, label="liver")),
        "config": (HEAT, replace(WHAT, config_digest="01" * 32)),
    }
    for name, (image, what) in cases.items():
        write_dicom_heat_map(image, source, tmp_path / name, what)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    objects = {name: pydicom.dcmread(tmp_path / name) for name in cases}
    assert len({o.SOPInstanceUID for o in objects.values()}) == 5
    assert objects["other values"].SeriesInstanceUID == objects["first"].SeriesInstanceUID
    assert len({objects[name].SeriesInstanceUID for name in ("first", "method", "label", "config")}) == 4


def test_the_object_says_what_it_is(path: Path) -> None:
    dataset, content = pydicom.dcmread(path), read_dicom_heat_map(path)
    assert (dataset.SegmentationType, dataset.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert dataset.MaximumFractionalValue == 255
    assert dataset.SeriesDescription == "RESEARCH USE ONLY grad_cam liver_tumor"
    (segment,) = dataset.SegmentSequence
    assert segment.SegmentLabel == content.title == "liver_tumor grad_cam"
    assert "no calibrated probability" in segment.SegmentDescription
    assert segment.SegmentDescription == content.text
    assert (content.concept.value, content.concept.scheme) == ("108369006", "SCT")
    algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == content.algorithm == "grad_cam of liver_ct compact"
    assert f"method=grad_cam,label=liver_tumor,weights_sha256={'ab' * 32}" in algorithm.AlgorithmParameters


def test_a_label_without_a_concept_is_a_region_by_its_name(tmp_path: Path) -> None:
    named = replace(WHAT, label="effusion", caveat="It fails the test of randomised weights.")
    write_dicom_heat_map(HEAT, source_of(GRID), tmp_path / "named.dcm", named)
    content = read_dicom_heat_map(tmp_path / "named.dcm")
    assert (content.concept.value, content.title) == ("C85402", "effusion grad_cam")
    assert content.text.endswith("It fails the test of randomised weights.")


def test_patient_and_study_are_told_as_by_the_segmentation(tmp_path: Path) -> None:
    source = source_of(GRID)
    for dataset in source.datasets:
        dataset.SpecificCharacterSet = "ISO_IR 100"
        dataset.PatientName, dataset.PatientSex, dataset.PatientWeight = "Müller^Jürgen", "X", 70.5
        dataset.AccessionNumber, dataset.StudyDescription = "A1", "Bauch"
    write_dicom_seg(two_labels(GRID), source, tmp_path / "seg.dcm", seg_source.WHAT)
    write_dicom_heat_map(HEAT, source, tmp_path / "heat.dcm", WHAT)
    ours = pydicom.dcmread(tmp_path / "heat.dcm")
    binary = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (str(ours.PatientName), ours.PatientSex, ours.PatientWeight) == ("Müller^Jürgen", "", 70.5)
    same = ("PatientID", "PatientName", "PatientSex", "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime")
    for keyword in (*same, "StudyDescription", "AccessionNumber", "FrameOfReferenceUID", "ContentDate", "ContentTime"):
        assert ours[keyword].value == binary[keyword].value
    assert ours.SeriesInstanceUID != binary.SeriesInstanceUID


def test_names_too_long_for_their_attributes_are_cut(tmp_path: Path) -> None:
    """What pydicom writes without a warning, which would be an error here; the method stands before the model."""
    long = replace(WHAT, algorithm="m" * 90, version="v" * 90, caveat="c" * 2000)
    write_dicom_heat_map(HEAT, source_of(GRID), tmp_path / "heat.dcm", long)
    content = read_dicom_heat_map(tmp_path / "heat.dcm")
    assert content.algorithm == ("grad_cam of " + "m" * 90)[:64]
    assert len(content.text) == 1024


@pytest.mark.parametrize("letters", [None, "", ["L"], ["l", "f"]])
def test_directions_of_a_film_that_are_none_are_told_as_unknown(
    letters: list[str] | str | None, tmp_path: Path
) -> None:
    header = seg_source.header(0)
    header.SOPClassUID, header.Rows, header.Columns = ComputedRadiographyImageStorage, 11, 13
    if letters is not None:
        header.add_new("PatientOrientation", "LO", letters)
    film = Image(HEAT.array[..., :1], Intensity.PROBABILITY)
    write_dicom_heat_map(film, DicomSource((header,), ()), tmp_path / "heat.dcm", WHAT)
    assert not pydicom.dcmread(tmp_path / "heat.dcm").PatientOrientation
