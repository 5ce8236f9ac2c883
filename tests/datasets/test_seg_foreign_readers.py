"""What other people's software makes of our DICOM SEG: the referees of geometry and form.

One physical phantom, two balls in the patient, is scanned in every orientation; each foreign reader must find both
where they are. A flip, a transposition or a wrong spacing moves at least one of them by more than half a voxel.
"""

import itertools
import subprocess
from pathlib import Path

import dcmqi
import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from datasets.dicom_source import DicomSource
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.io.dicom import read_studies
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series, write_enhanced_ct
from datasets.io.dicom_seg import SegDescription, write_dicom_seg
from datasets.io.dicom_seg_reader import read_dicom_seg
from datasets.labels import LIVER_AND_TUMOR
from datasets.study import Loaded

WHAT = SegDescription(LIVER_AND_TUMOR, "liver_ct compact", "0.1.0", "ab" * 32, "cd" * 32, "Liver and tumour")
SHAPE, SPACING_MM = (24, 20, 12), (1.3, 1.7, 3.1)
# Segment: (centre, radius), RAS mm. Far from the middle of the volume along every patient axis, differently so.
MIDDLE_MM = np.array([17.0, -42.0, 120.0])
BALLS = {1: (MIDDLE_MM + (2.0, -3.0, 4.0), 7.0), 2: (MIDDLE_MM + (-5.0, 6.0, -7.0), 4.0)}
# The program itself: the script on the path starts Python first.
SEGIMAGE2ITKIMAGE = str(Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage")

Places = dict[int, NDArray[np.float64]]


def rotations() -> list[NDArray[np.float64]]:
    """The 24 right-handed ways to lay columns, rows and slices along patient axes."""
    matrices = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[list(order), range(3)] = signs
            if np.linalg.det(matrix) > 0:
                matrices.append(matrix)
    return matrices


def letters(matrix: NDArray[np.float64]) -> str:
    return grid_from_axes(SHAPE, SPACING_MM, matrix).orientation


def oblique() -> NDArray[np.float64]:
    """An axial acquisition turned by 30 degrees about x, then by 20 about z."""
    a, b = np.deg2rad((30.0, 20.0))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ np.diag([-1.0, -1.0, 1.0]))


def scan(direction: NDArray[np.float64]) -> Grid:
    """A grid of some orientation around the middle of the phantom."""
    half = direction * SPACING_MM @ ((np.array(SHAPE) - 1) / 2)
    return grid_from_axes(SHAPE, SPACING_MM, direction, MIDDLE_MM - half)


def phantom(grid: Grid) -> NDArray[np.uint8]:
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    labels = np.zeros((1, *grid.shape), np.uint8)
    for segment, (centre, radius) in BALLS.items():
        labels[0][np.linalg.norm(points - centre, axis=-1) <= radius] = segment
    return labels


def load(files: list[Path]) -> tuple[Image, DicomSource]:
    (study,) = read_studies(files, "phantom").studies
    (series,) = study.series
    loaded: Loaded = series.load()
    assert loaded.source is not None
    return loaded.image, loaded.source


def scored(grid: Grid, folder: Path, backwards: bool = False) -> tuple[Path, DicomSource]:
    """Scan the phantom, read the series as the product does, write the truth as its segmentation."""
    numbers = tuple(range(1, grid.shape[2] + 1))
    options = CtSeriesOptions(instance_numbers=numbers[::-1] if backwards else numbers)
    ct = Image(phantom(grid).astype(np.int16) * 50, Intensity.HOUNSFIELD, grid.affine)
    image, source = load(write_ct_series(ct, folder / "ct", options))
    labels = Image(phantom(image.grid), Intensity.LABEL, image.affine)
    write_dicom_seg(labels, source, folder / "segmentation.dcm", WHAT)
    return folder / "segmentation.dcm", source


def seen_by_dcmqi(path: Path, folder: Path) -> Places:
    """Centroids (RAS mm) of the volumes that segimage2itkimage makes of an object."""
    folder.mkdir()
    command = [SEGIMAGE2ITKIMAGE, "--inputDICOM", str(path), "--outputDirectory", str(folder), "--outputType", "nrrd"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    places = {}
    for file in sorted(folder.glob("*.nrrd")):
        volume = sitk.ReadImage(file)
        index = np.argwhere(sitk.GetArrayFromImage(volume))[:, ::-1].mean(axis=0)
        lps = np.array(volume.TransformContinuousIndexToPhysicalPoint(index.tolist()))
        places[int(file.stem)] = lps * (-1.0, -1.0, 1.0)
    return places


def seen_by_highdicom(path: Path) -> Places:
    """Centroids (RAS mm) in the volume that highdicom rebuilds from an object."""
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    places = {}
    for segment in BALLS:
        index = np.argwhere(volume.array == segment).mean(axis=0)
        lps = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
        places[segment] = lps * (-1.0, -1.0, 1.0)
    return places


def seen_frame_by_frame(path: Path) -> Places:
    """Centroids (RAS mm) from each frame's own position, as highdicom maps pixels: no volume is assumed."""
    segmentation = hd.seg.segread(path)
    points: dict[int, list[NDArray[np.float64]]] = {segment: [] for segment in BALLS}
    for number, group in enumerate(segmentation.PerFrameFunctionalGroupsSequence, start=1):
        mapping = hd.spatial.PixelToReferenceTransformer.for_image(segmentation, frame_number=number)
        pixels = np.argwhere(segmentation.get_frame(number))[:, ::-1]
        points[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber].append(mapping(pixels))
    return {segment: np.concatenate(found).mean(axis=0) * (-1.0, -1.0, 1.0) for segment, found in points.items()}


def assert_in_place(places: Places, grid: Grid, tolerance_voxels: float = 0.5) -> None:
    assert set(places) == set(BALLS)
    for segment, (centre, _) in BALLS.items():
        off = np.abs(grid.indices(places[segment]) - grid.indices(centre)).max()
        assert off < tolerance_voxels, f"segment {segment} is {off:.2f} voxels from the truth"


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("direction", [*rotations(), oblique()], ids=[*map(letters, rotations()), "oblique"])
def test_foreign_readers_find_each_segment_where_it_is(
    direction: NDArray[np.float64], backwards: bool, tmp_path: Path
) -> None:
    grid = scan(direction)
    path, _ = scored(grid, tmp_path, backwards)
    assert_in_place(seen_by_highdicom(path), grid)
    assert_in_place(seen_by_dcmqi(path, tmp_path / "dcmqi"), grid)


def test_the_phantom_shows_every_flip_and_exchange_of_axes() -> None:
    """The table above can fail: read with any other orientation, a ball lies elsewhere."""
    truth = scan(rotations()[0])
    for direction in rotations()[1:]:
        wrong = scan(direction)
        seen = {s: wrong.points_mm(truth.indices(centre)) for s, (centre, _) in BALLS.items()}
        with pytest.raises(AssertionError, match="from the truth"):
            assert_in_place(seen, truth)


def test_a_tilted_series_keeps_its_segmentation_on_the_source_frames(tmp_path: Path) -> None:
    grid = scan(np.diag([-1.0, -1.0, 1.0]))
    tilted = grid.affine.copy()
    tilted[1, 2] = SPACING_MM[2] * np.tan(np.deg2rad(15.0))
    tilted[1, 3] -= tilted[1, 2] * (SHAPE[2] - 1) / 2
    path, source = scored(Grid(SHAPE, tilted), tmp_path)
    assert_in_place(seen_frame_by_frame(path), grid)
    places = {tuple(np.round(plane.position_mm, 4)) for plane in source.planes}
    for group in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence:
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, np.float64)
        assert tuple(np.round(position, 4)) in places
    assert len({round(plane.position_mm[1], 4) for plane in source.planes}) == SHAPE[2]  # they are sheared


def test_an_enhanced_source_is_read_in_place(tmp_path: Path) -> None:
    grid = scan(rotations()[5])
    ct = Image(phantom(grid).astype(np.int16) * 50, Intensity.HOUNSFIELD, grid.affine)
    image, source = load([write_enhanced_ct(ct, tmp_path / "ct.dcm")])
    path = tmp_path / "segmentation.dcm"
    write_dicom_seg(Image(phantom(image.grid), Intensity.LABEL, image.affine), source, path, WHAT)
    assert_in_place(seen_by_highdicom(path), grid)
    assert_in_place(seen_by_dcmqi(path, tmp_path / "dcmqi"), grid)


def empty_result(folder: Path) -> Path:
    _, source = scored(scan(np.diag([-1.0, -1.0, 1.0])), folder)
    image = Image(np.zeros((1, *SHAPE), np.uint8), Intensity.LABEL, scan(np.diag([-1.0, -1.0, 1.0])).affine)
    write_dicom_seg(image, source, folder / "empty.dcm", WHAT)
    return folder / "empty.dcm"


def test_an_empty_result_gives_dcmqi_the_whole_volume_without_a_voxel(tmp_path: Path) -> None:
    path = empty_result(tmp_path)
    command = [SEGIMAGE2ITKIMAGE, "--inputDICOM", str(path), "--outputDirectory", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    for segment in BALLS:
        volume = sitk.ReadImage(tmp_path / f"{segment}.nrrd")
        assert volume.GetSize() == SHAPE
        np.testing.assert_allclose(volume.GetSpacing(), SPACING_MM)
        assert not sitk.GetArrayFromImage(volume).any()


@pytest.mark.parametrize("slices", [(6,), (2, 7)], ids=str)
def test_lone_frames_are_rebuilt_with_the_series_spacing(slices: tuple[int, ...], tmp_path: Path) -> None:
    """Frames without a label are left out; a reader must still see 3.1 mm, not the distance of what is left."""
    _, source = scored(scan(np.diag([-1.0, -1.0, 1.0])), tmp_path)
    grid = scan(np.diag([-1.0, -1.0, 1.0]))
    labels = np.zeros((1, *SHAPE), np.uint8)
    labels[0, 3:9, 4:8, list(slices)] = 1
    path = tmp_path / "lone.dcm"
    write_dicom_seg(Image(labels, Intensity.LABEL, grid.affine), source, path, WHAT)
    command = [SEGIMAGE2ITKIMAGE, "--inputDICOM", str(path), "--outputDirectory", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    volume = sitk.ReadImage(tmp_path / "1.nrrd")
    np.testing.assert_allclose(volume.GetSpacing(), SPACING_MM)
    assert int(sitk.GetArrayFromImage(volume).sum()) == 6 * 4 * len(slices)


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("kind", ["plain", "oblique", "empty", "enhanced", "blank patient"])
def test_dciodvfy_finds_no_error(kind: str, tmp_path: Path) -> None:
    path = conforming(kind, tmp_path)
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    assert "Segmentation" in report  # the tool knew what it was looking at
    assert [line for line in report.splitlines() if line.startswith("Error")] == []


def conforming(kind: str, folder: Path) -> Path:
    axial = scan(np.diag([-1.0, -1.0, 1.0]))
    if kind == "empty":
        return empty_result(folder)
    if kind == "enhanced":
        ct = Image(phantom(axial).astype(np.int16), Intensity.HOUNSFIELD, axial.affine)
        image, source = load([write_enhanced_ct(ct, folder / "ct.dcm")])
        write_dicom_seg(Image(phantom(image.grid), Intensity.LABEL, image.affine), source, folder / "s.dcm", WHAT)
        return folder / "s.dcm"
    path, source = scored(scan(oblique()) if kind == "oblique" else axial, folder)
    if kind == "blank patient":
        for dataset in source.datasets:
            for keyword in ("PatientName", "PatientID", "PatientSex", "PatientBirthDate", "StudyID", "StudyTime"):
                setattr(dataset, keyword, None)
        write_dicom_seg(Image(phantom(axial), Intensity.LABEL, axial.affine), source, path, WHAT)
    return path


@pytest.mark.real_data
def test_a_real_pair_goes_through_reader_and_writer_and_dcmqi_counts_the_same_voxels(
    shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "ct_seg_pair"
    _, source = load(sorted((folder / "ct").iterdir()))
    path = tmp_path / "segmentation.dcm"
    write_dicom_seg(read_dicom_seg(folder / "liver_seg.dcm").labels, source, path, WHAT)
    command = [SEGIMAGE2ITKIMAGE, "--inputDICOM", str(path), "--outputDirectory", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    ours, truth = sitk.ReadImage(tmp_path / "1.nrrd"), sitk.ReadImage(folder / "liver_seg.nrrd")
    assert int((sitk.GetArrayFromImage(ours) > 0).sum()) == 107_098
    # The published mask on our grid: the same voxels, in place.
    moved = sitk.Resample(truth, ours, sitk.Transform(), sitk.sitkNearestNeighbor)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(moved) > 0, sitk.GetArrayFromImage(ours) > 0)


@pytest.mark.real_data
def test_the_segmentation_of_a_series_whose_header_says_3_mm_says_2(shared_data: Path, tmp_path: Path) -> None:
    image, source = load(sorted((shared_data / "ct_abdomen" / "dicom_j2k").iterdir()))
    labels = np.zeros((1, *image.shape), np.uint8)
    labels[0, 100:200, 150:250, 4:12] = 1
    path = tmp_path / "segmentation.dcm"
    write_dicom_seg(Image(labels, Intensity.LABEL, image.affine), source, path, WHAT)
    command = [SEGIMAGE2ITKIMAGE, "--inputDICOM", str(path), "--outputDirectory", str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    volume = sitk.ReadImage(tmp_path / "1.nrrd")
    assert volume.GetSpacing()[2] == pytest.approx(2.0, abs=1e-6)
    assert int((sitk.GetArrayFromImage(volume) > 0).sum()) == 100 * 100 * 8
