"""DICOM SEG: what is written stands where it was found and is read back voxel for voxel."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage

from datasets.dicom_source import DicomSource
from datasets.geometry import Grid, grid_from_axes, lps_from_ras
from datasets.image import Image, Intensity
from datasets.io.dicom_seg import write_dicom_seg
from datasets.io.dicom_seg_reader import read_dicom_seg
from datasets.labels import LIVER_AND_TUMOR
from tests.datasets.seg_source import GRID, WHAT, header, places, round_trip, source_of, source_of_files, two_labels


def rotations() -> list[NDArray[np.float64]]:
    """The 24 right-handed ways to lay index axes along patient axes."""
    matrices = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(order), range(3)] = signs
            if np.linalg.det(matrix) > 0:
                matrices.append(matrix)
    return matrices


@pytest.fixture
def written(tmp_path: Path) -> pydicom.FileDataset:
    write_dicom_seg(two_labels(GRID), source_of(GRID), tmp_path / "segmentation.dcm", WHAT)
    return pydicom.dcmread(tmp_path / "segmentation.dcm")


def test_labels_come_back_voxel_for_voxel_in_place(tmp_path: Path) -> None:
    labels = two_labels(GRID)
    content = round_trip(labels, source_of(GRID), tmp_path)
    np.testing.assert_array_equal(places(content.labels), places(labels))
    assert content.overlap_voxels == 0
    assert content.label_set == LIVER_AND_TUMOR
    assert content.source_uids == tuple(f"1.2.3.4.{n}" for n in range(1, 10))


@pytest.mark.parametrize("direction", rotations(), ids=lambda m: "".join(f"{v:.0f}" for v in m.ravel()))
@pytest.mark.parametrize("reverse", [False, True])
def test_every_orientation_comes_back_in_place(direction: NDArray[np.float64], reverse: bool, tmp_path: Path) -> None:
    grid = grid_from_axes(GRID.shape, GRID.spacing_mm, direction, (5.0, -6.0, 7.0))
    source = source_of(grid)
    if reverse:
        source = DicomSource(source.datasets, source.planes[::-1])
    content = round_trip(two_labels(grid), source, tmp_path)
    np.testing.assert_allclose(places(content.labels), places(two_labels(grid)), atol=1e-3)


def test_labels_on_another_orientation_of_the_same_voxels_are_the_same_object(tmp_path: Path) -> None:
    labels = two_labels(GRID)
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[:3, 3] = (GRID.shape[0] - 1, 0, GRID.shape[2] - 1)
    flipped = Image(labels.array[:, ::-1, :, ::-1], Intensity.LABEL, GRID.affine @ flip)
    write_dicom_seg(labels, source_of(GRID), tmp_path / "a.dcm", WHAT)
    write_dicom_seg(flipped, source_of(GRID), tmp_path / "b.dcm", WHAT)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_spacing_is_measured_between_positions_not_read_from_the_header(written: Dataset) -> None:
    measures = written.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == 2.5  # the headers say 3
    assert measures.SpacingBetweenSlices == 2.5
    assert list(measures.PixelSpacing) == [1.2, 0.8]


def test_empty_frames_are_left_out_and_the_others_name_their_instance(written: Dataset) -> None:
    found = [
        (
            group.SegmentIdentificationSequence[0].ReferencedSegmentNumber,
            group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID,
            list(group.PlanePositionSequence[0].ImagePositionPatient),
        )
        for group in written.PerFrameFunctionalGroupsSequence
    ]
    # Slice k stands at z = 33 + 2.5 k; the corner of the grid is LPS (-10, 20, 33).
    expected = [(1, f"1.2.3.4.{k + 1}", [-10.0, 20.0, 33.0 + 2.5 * k]) for k in range(2, 7)]
    expected += [(2, f"1.2.3.4.{k + 1}", [-10.0, 20.0, 33.0 + 2.5 * k]) for k in range(3, 5)]
    assert sorted(found) == expected


def test_an_empty_result_is_written_with_all_frames_of_all_segments(tmp_path: Path) -> None:
    empty = Image(np.zeros((1, *GRID.shape), np.uint8), Intensity.LABEL, GRID.affine)
    content = round_trip(empty, source_of(GRID), tmp_path)
    assert pydicom.dcmread(tmp_path / "segmentation.dcm").NumberOfFrames == 2 * GRID.shape[2]
    assert content.labels.grid.matches(GRID)
    assert not content.labels.array.any()
    assert content.label_set.names == ("liver", "liver_tumor")


@pytest.mark.parametrize("slices", [(4,), (2, 5), (1, 4, 8)], ids=str)
def test_lone_planes_keep_place_and_thickness(slices: tuple[int, ...], tmp_path: Path) -> None:
    array = np.zeros((1, *GRID.shape), np.uint8)
    array[0, 3:6, 2:4, list(slices)] = 1
    labels = Image(array, Intensity.LABEL, GRID.affine)
    content = round_trip(labels, source_of(GRID), tmp_path)
    np.testing.assert_array_equal(places(content.labels), places(labels))
    assert content.labels.grid.spacing_mm == pytest.approx(GRID.spacing_mm)


def test_frames_of_a_multi_frame_source_are_referenced_by_number(tmp_path: Path) -> None:
    classic = source_of(GRID)
    enhanced = header(0)
    enhanced.SOPClassUID, enhanced.NumberOfFrames = EnhancedCTImageStorage, GRID.shape[2] + 1
    # Frames stored from the last slice to the first, after one frame that is no part of the volume.
    planes = tuple(replace(plane, instance=0, frame=GRID.shape[2] + 1 - k) for k, plane in enumerate(classic.planes))
    labels = two_labels(GRID)
    content = round_trip(labels, DicomSource((enhanced,), planes), tmp_path)
    np.testing.assert_array_equal(places(content.labels), places(labels))
    segmentation = pydicom.dcmread(tmp_path / "segmentation.dcm")
    (whole,) = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert (whole.ReferencedSOPClassUID, whole.ReferencedSOPInstanceUID) == (EnhancedCTImageStorage, "1.2.3.4.1")
    assert list(whole.ReferencedFrameNumber) == list(range(2, GRID.shape[2] + 2))
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        slice_k = round((group.PlanePositionSequence[0].ImagePositionPatient[2] - 33.0) / 2.5)
        assert item.ReferencedSOPInstanceUID == "1.2.3.4.1"
        assert item.ReferencedFrameNumber == GRID.shape[2] + 1 - slice_k


def test_uneven_planes_keep_their_own_places_and_claim_no_spacing(tmp_path: Path) -> None:
    source = source_of(GRID)
    heights = np.array([0.0, 2.0, 4.0, 6.5, 9.0, 11.0, 13.0, 17.0, 20.0])
    normal = source.planes[0].normal
    start = source.planes[0].position_mm
    uneven = tuple(
        replace(plane, position_mm=start + h * normal) for plane, h in zip(source.planes, heights, strict=True)
    )
    array = np.zeros((1, *GRID.shape), np.uint8)
    array[0, 2:7, 3:6, :] = 1
    labels = Image(array, Intensity.LABEL, GRID.affine)
    write_dicom_seg(labels, DicomSource(source.datasets, uneven), tmp_path / "seg.dcm", WHAT)
    segmentation = pydicom.dcmread(tmp_path / "seg.dcm")
    assert "SpacingBetweenSlices" not in segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    found = [
        float(g.PlanePositionSequence[0].ImagePositionPatient[2]) for g in segmentation.PerFrameFunctionalGroupsSequence
    ]
    np.testing.assert_allclose(sorted(found), 33.0 + heights)
    assert int(segmentation.pixel_array.sum()) == 9 * 5 * 3


def test_tilted_planes_show_the_ball_where_it_is(tmp_path: Path) -> None:
    """A ball on a rectified grid, written on frames tilted by 15 degrees: each frame shows its own disc."""
    grid = grid_from_axes((48, 48, 40), (1.0, 1.0, 1.5), np.diag([-1.0, -1.0, 1.0]), (24.0, 24.0, -30.0))
    centre, radius = np.array([1.3, -2.2, 0.4]), 14.0
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    ball = (np.linalg.norm(points - centre, axis=-1) <= radius)[np.newaxis].astype(np.uint8)
    tilted = grid.affine.copy()
    tilted[1, 2] = 1.5 * np.tan(np.deg2rad(15.0))
    tilted[1, 3] -= tilted[1, 2] * 20
    source = source_of(grid, tilted)
    write_dicom_seg(Image(ball, Intensity.LABEL, grid.affine), source, tmp_path / "seg.dcm", WHAT)
    content = read_dicom_seg(tmp_path / "seg.dcm")
    table = places(content.labels)
    np.testing.assert_allclose(table[:, 1:].mean(axis=0), centre, atol=0.1)
    assert len(table) * 1.5e-3 == pytest.approx(4 / 3 * np.pi * radius**3 * 1e-3, rel=0.01)
    np.testing.assert_allclose(content.labels.grid.affine[:3, 2], tilted[:3, 2], atol=1e-6)


def test_a_single_frame_takes_its_thickness_from_the_label_map(tmp_path: Path) -> None:
    grid = Grid((13, 11, 1), GRID.affine)
    array = np.zeros((1, 13, 11, 1), np.uint8)
    array[0, 3:6, 2:5] = 2
    content = round_trip(Image(array, Intensity.LABEL, grid.affine), source_of(grid), tmp_path)
    assert content.labels.grid.spacing_mm == pytest.approx(GRID.spacing_mm)


def test_what_does_not_belong_together_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    labels, source, path = two_labels(GRID), source_of(GRID), tmp_path / "seg.dcm"
    first, second, *rest = source.planes
    turned = replace(second, along_row=second.along_column, along_column=second.along_row)
    twice = replace(second, position_mm=first.position_mm)
    three = labels.like(np.where(labels.array == 2, np.uint8(3), labels.array))
    with pytest.raises(ValueError, match="labels up to 2; got 3"):
        write_dicom_seg(three, source, path, WHAT)
    with pytest.raises(ValueError, match="one orientation"):
        write_dicom_seg(labels, DicomSource(source.datasets, (first, turned, *rest)), path, WHAT)
    with pytest.raises(ValueError, match="different places"):
        write_dicom_seg(labels, DicomSource(source.datasets, (first, twice, *rest)), path, WHAT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_a_segmentation_of_others_written_again_holds_the_same_voxels_in_place(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "ct_seg_pair"
    theirs = read_dicom_seg(folder / "liver_seg.dcm")
    ours = round_trip(theirs.labels, source_of_files(folder / "ct"), tmp_path)
    assert int(np.count_nonzero(ours.labels.array)) == 107_098
    np.testing.assert_allclose(places(ours.labels), places(theirs.labels), atol=1e-3)
    # The same mask as its authors published it beside the object, placed by a foreign reader.
    nrrd = sitk.ReadImage(folder / "liver_seg.nrrd")
    index = np.argwhere(sitk.GetArrayFromImage(nrrd))[:, ::-1]
    direction = np.array(nrrd.GetDirection()).reshape(3, 3) * np.array(nrrd.GetSpacing())
    lps = index @ direction.T + np.array(nrrd.GetOrigin())
    mine = ours.labels.grid.indices(lps * (-1.0, -1.0, 1.0))
    assert len(lps) == 107_098
    np.testing.assert_allclose(mine, mine.round(), atol=0.01)
    assert ours.labels.array[0][tuple(mine.round().astype(int).T)].all()


@pytest.mark.real_data
def test_the_spacing_of_a_real_series_whose_header_is_wrong_is_measured(shared_data: Path, tmp_path: Path) -> None:
    source = source_of_files(shared_data / "ct_abdomen" / "dicom_j2k")
    assert {float(h.SliceThickness) for h in source.datasets} == {3.0}
    first, last = source.planes[0], source.planes[-1]
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = first.along_row * first.spacing_mm[1], first.along_column * first.spacing_mm[0]
    lps[:3, 2] = (last.position_mm - first.position_mm) / (len(source.planes) - 1)
    lps[:3, 3] = first.position_mm
    array = np.zeros((1, *first.size[::-1], len(source.planes)), np.uint8)
    array[0, 100:200, 200:230, 5:9] = 1
    labels = Image(array, Intensity.LABEL, lps_from_ras(lps))
    content = round_trip(labels, source, tmp_path)
    assert content.labels.grid.spacing_mm[2] == pytest.approx(2.0, abs=1e-6)
    measures = pydicom.dcmread(tmp_path / "segmentation.dcm").SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (2.0, 2.0)
    np.testing.assert_allclose(places(content.labels), places(labels), atol=2e-3)
