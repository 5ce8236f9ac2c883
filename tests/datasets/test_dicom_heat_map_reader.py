"""Heat maps in: objects of others, and objects that hold no heat map or not a whole one."""

from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames

from datasets.codes import RefusalCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.io.dicom_heat_map import write_dicom_heat_map
from datasets.io.dicom_heat_map_reader import read_dicom_heat_map
from datasets.io.dicom_seg import write_dicom_seg
from tests.datasets import seg_source
from tests.datasets.heat_maps import WHAT, middle_of, ramp_on
from tests.datasets.seg_source import GRID, header, source_of, two_labels


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_dicom_heat_map(ramp_on(GRID, middle_of(GRID)), source_of(GRID), tmp_path / "heat.dcm", WHAT)
    return tmp_path / "heat.dcm"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"], ids=["native", "JPEG 2000"])
def test_a_fraction_of_others_is_read_by_its_own_largest_value(path: Path, syntax: str, tmp_path: Path) -> None:
    """highdicom's own object: occupancy in hundredths, two planes 5 mm apart, columns 3 mm wide."""
    source = [header(k) for k in range(2)]
    for k, dataset in enumerate(source):
        dataset.ImagePositionPatient = [0, 0, 5 * k]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.Rows, dataset.Columns = [2, 3], 34, 36
        dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = dataset.StudyID = ""
    values = np.random.default_rng(0).integers(0, 101, (2, 34, 36)) / 100
    segments = [hd.seg.SegmentDescription.from_dataset(item) for item in pydicom.dcmread(path).SegmentSequence]
    theirs = hd.seg.Segmentation(
        *(source, values, "FRACTIONAL", segments, "1.2.5", 1, "1.2.6", 1, "Theirs", "Model", "1", "0"),
        fractional_type="OCCUPANCY",
        max_fractional_value=100,
        transfer_syntax_uid=syntax,
    )
    theirs.save_as(tmp_path / "theirs.dcm")
    heat = read_dicom_heat_map(tmp_path / "theirs.dcm").heat
    np.testing.assert_allclose(heat.slices(), values, atol=1e-6)
    np.testing.assert_allclose(heat.grid.affine, np.diag([-3.0, -2.0, 5.0, 1.0]))


def test_a_map_of_other_instances_is_not_read_onto_a_source(path: Path) -> None:
    other = DicomSource(tuple(header(k + 50) for k in range(GRID.shape[2])), source_of(GRID).planes)
    with pytest.raises(InputRefused) as refusal:
        read_dicom_heat_map(path, other)
    assert refusal.value.code is RefusalCode.DIFFERENT_GRIDS


def test_a_binary_segmentation_is_no_heat_map(tmp_path: Path) -> None:
    write_dicom_seg(two_labels(GRID), source_of(GRID), tmp_path / "seg.dcm", seg_source.WHAT)
    with pytest.raises(InputRefused) as refusal:
        read_dicom_heat_map(tmp_path / "seg.dcm")
    assert refusal.value.code is RefusalCode.NOT_AN_IMAGE_OBJECT


def two_segments(dataset: Dataset) -> None:
    dataset.SegmentSequence.append(dataset.SegmentSequence[0])


def lost_frame(dataset: Dataset) -> None:
    frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
    dataset.PixelData = encapsulate(frames[:-1])


def cut_frame(dataset: Dataset) -> None:
    frames = list(generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames))
    dataset.PixelData = encapsulate([*frames[:-1], frames[-1][:80]])


def no_position(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (two_segments, RefusalCode.NOT_AN_IMAGE_OBJECT),
        (lost_frame, RefusalCode.TRUNCATED_FILE),
        (cut_frame, RefusalCode.TRUNCATED_FILE),
        (no_position, RefusalCode.INCONSISTENT_FRAMES),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_objects_that_are_no_whole_map_are_refused(
    path: Path, spoil: Callable[[Dataset], None], code: RefusalCode
) -> None:
    dataset = pydicom.dcmread(path)
    spoil(dataset)
    dataset.save_as(path)
    with pytest.raises(InputRefused) as refusal:
        read_dicom_heat_map(path)
    assert refusal.value.code is code
