"""DICOM SEG in: objects of others, and objects that cannot be placed."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.dicom_seg import write_dicom_seg
from datasets.io.dicom_seg_reader import read_dicom_seg
from tests.datasets.seg_source import GRID, WHAT, header, places, source_of, two_labels


@pytest.fixture
def written(tmp_path: Path) -> pydicom.FileDataset:
    write_dicom_seg(two_labels(GRID), source_of(GRID), tmp_path / "segmentation.dcm", WHAT)
    return pydicom.dcmread(tmp_path / "segmentation.dcm")


def save(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path)
    return path


def test_overlapping_segments_of_others_are_counted_and_the_later_one_shows(written: Dataset, tmp_path: Path) -> None:
    """highdicom's own object, with a voxel that belongs to both segments."""
    source = [header(k) for k in range(2)]
    for k, dataset in enumerate(source):
        dataset.ImagePositionPatient = [0, 0, 5 * k]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.Rows, dataset.Columns = [2, 3], 4, 6
        dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = dataset.StudyID = ""
    stacked = np.zeros((2, 4, 6, 2), np.uint8)
    stacked[0, 1, 2] = 1
    stacked[0, 1, 3, 0] = 1
    stacked[1, 3, 5, 1] = 1
    segments = [hd.seg.SegmentDescription.from_dataset(item) for item in written.SegmentSequence]
    theirs = hd.seg.Segmentation(
        source, stacked, "BINARY", segments, "1.2.5", 1, "1.2.6", 1, "Theirs", "Model", "1", "0", omit_empty_frames=True
    )
    content = read_dicom_seg(save(theirs, tmp_path / "theirs.dcm"))
    assert content.overlap_voxels == 1
    # (label, RAS): column 2 is x = -6 (RAS), row 1 is y = -2.
    expected = [[2, -15, -6, 5], [1, -9, -2, 0], [2, -6, -2, 0]]
    assert sorted(places(content.labels).tolist()) == sorted(expected)


def test_names_and_colours_of_others_become_a_label_set(written: Dataset, tmp_path: Path) -> None:
    for item in written.SegmentSequence:
        item.SegmentLabel = "Liver, segment II"
        del item.RecommendedDisplayCIELabValue
    del written.SegmentSequence[1].SegmentedPropertyTypeCodeSequence
    label_set = read_dicom_seg(save(written, tmp_path / "x.dcm")).label_set
    assert label_set.names == ("liver_segment_ii", "liver_segment_ii_2")
    assert label_set.labels[1].concept.meaning == "Unknown"


def test_colours_come_back(written: Dataset, tmp_path: Path) -> None:
    assert [label.colour for label in read_dicom_seg(save(written, tmp_path / "x.dcm")).label_set.labels] == [
        (221, 130, 101),
        (144, 238, 144),
    ]


def uneven(dataset: Dataset) -> None:
    del dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices
    for k, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.PlanePositionSequence[0].ImagePositionPatient[2] = [0, 1, 2.4, 4, 5, 1, 2.4][k]


def turned(dataset: Dataset) -> None:
    orientation = Dataset()
    orientation.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
    dataset.PerFrameFunctionalGroupsSequence[0].PlaneOrientationSequence = [orientation]


def off_line(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0].ImagePositionPatient[0] += 2


def cut(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:40]


def no_position(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def fractional(dataset: Dataset) -> None:
    dataset.SegmentationType = "FRACTIONAL"


def undeclared(dataset: Dataset) -> None:
    del dataset.SegmentSequence[1]


def no_segments(dataset: Dataset) -> None:
    del dataset.SegmentSequence


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (uneven, RefusalCode.INCONSISTENT_FRAMES),
        (turned, RefusalCode.MIXED_ORIENTATIONS),
        (off_line, RefusalCode.INCONSISTENT_FRAMES),
        (cut, RefusalCode.TRUNCATED_FILE),
        (no_position, RefusalCode.INCONSISTENT_FRAMES),
        (fractional, RefusalCode.NOT_AN_IMAGE_OBJECT),
        (undeclared, RefusalCode.INCONSISTENT_FRAMES),
        (no_segments, RefusalCode.INCONSISTENT_FRAMES),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_objects_that_cannot_be_placed_are_refused(written: Dataset, spoil, code: RefusalCode, tmp_path: Path) -> None:
    spoil(written)
    with pytest.raises(InputRefused) as refusal:
        read_dicom_seg(save(written, tmp_path / "x.dcm"))
    assert refusal.value.code is code


def test_what_is_no_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_text("no segmentation at all")
    with pytest.raises(InputRefused) as refusal:
        read_dicom_seg(tmp_path / "x.dcm")
    assert refusal.value.code is RefusalCode.UNREADABLE_FILE
