"""Heat maps as DICOM SEG: values come back to 1/255 where they belong, by our reader and by those of others."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dcmqi
import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.uid import EnhancedCTImageStorage, RLELossless

from datasets.codes import RefusalCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.geometry import Grid, grid_from_axes, points_lps_from_ras, ras_from_lps
from datasets.image import Image, Intensity
from datasets.io.dicom_ct import ct_datasets, write_ct_series, write_enhanced_ct
from datasets.io.dicom_film import FilmOptions, write_film
from datasets.io.dicom_heat_map import write_dicom_heat_map
from datasets.io.dicom_heat_map_reader import HeatMapContent, read_dicom_heat_map
from tests.datasets.heat_maps import HALF_STEP, WHAT, load, middle_of, pixels_mm, ramp, ramp_on
from tests.datasets.seg_source import GRID, source_of

SHAPE, SPACING_MM = (24, 20, 12), (1.3, 1.7, 3.1)
AXIAL = np.diag([-1.0, -1.0, 1.0])


def oblique() -> NDArray[np.float64]:
    """An axial acquisition turned by 30 degrees about x, then by 20 about z."""
    a, b = np.deg2rad((30.0, 20.0))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ AXIAL)


def tilted(degrees: float) -> Grid:
    grid = grid_from_axes(SHAPE, SPACING_MM, AXIAL, (17.0, -42.0, 120.0))
    affine = grid.affine.copy()
    affine[1, 2] = SPACING_MM[2] * np.tan(np.deg2rad(degrees))
    return Grid(SHAPE, affine)


GRIDS = {
    "axial": grid_from_axes(SHAPE, SPACING_MM, AXIAL, (17.0, -42.0, 120.0)),
    "oblique": grid_from_axes(SHAPE, SPACING_MM, oblique(), (17.0, -42.0, 120.0)),
    "sagittal": grid_from_axes(SHAPE, SPACING_MM, [[0, 0, -1], [-1, 0, 0], [0, -1, 0]], (17.0, -42.0, 120.0)),
    "coronal, upside down": grid_from_axes(SHAPE, SPACING_MM, [[1, 0, 0], [0, 0, -1], [0, 1, 0]], (17.0, -42.0, 120.0)),
    "tilted": tilted(15.0),
}


def scan(grid: Grid, folder: Path) -> tuple[Image, DicomSource]:
    """A series of noise on a grid, as the product reads it: rectified where it is tilted."""
    noise = np.random.default_rng(0).integers(-100, 200, (1, *grid.shape)).astype(np.int16)
    return load(write_ct_series(Image(noise, Intensity.HOUNSFIELD, grid.affine), folder / "ct"))


def film(folder: Path, modality: str, spacing: bool) -> tuple[Image, DicomSource]:
    grey = np.random.default_rng(1).integers(0, 4096, (1, 31, 23, 1)).astype(np.uint16)
    affine = np.diag([0.2, 0.3, 1.0, 1.0]) if spacing else None
    options = FilmOptions(modality="DX" if modality == "DX" else "CR")
    return load([write_film(Image(grey, Intensity.GREY, affine), folder / "film.dcm", options)])


def random_heat(image: Image) -> Image:
    return image.like(np.random.default_rng(2).random(image.array.shape), Intensity.PROBABILITY)


def written(heat: Image, source: DicomSource, folder: Path) -> tuple[pydicom.FileDataset, HeatMapContent]:
    path = folder / "heat.dcm"
    write_dicom_heat_map(heat, source, path, WHAT)
    return pydicom.dcmread(path), read_dicom_heat_map(path)


@pytest.mark.parametrize("name", GRIDS)
def test_a_ramp_in_mm_is_read_at_each_pixel_of_each_source_frame(name: str, tmp_path: Path) -> None:
    """The map is on the image's grid; truth is the formula at the places that the headers of the source tell."""
    grid = GRIDS[name]
    image, source = scan(grid, tmp_path)
    middle = middle_of(grid)
    path = tmp_path / "heat.dcm"
    write_dicom_heat_map(ramp_on(image.grid, middle), source, path, WHAT)
    truth = np.stack([ramp(pixels_mm(plane), middle) for plane in source.planes])
    assert np.ptp(truth) > 0.2
    on_source = read_dicom_heat_map(path, source).heat
    np.testing.assert_allclose(on_source.slices(), truth, atol=HALF_STEP)
    alone = read_dicom_heat_map(path).heat
    np.testing.assert_allclose(alone.array, ramp_on(alone.grid, middle).array, atol=HALF_STEP)
    assert alone.grid.matches(on_source.grid)
    # A foreign reader, frame by frame: values by pydicom, places by highdicom.
    theirs, pixels = hd.seg.segread(path), pydicom.dcmread(path).pixel_array
    for number, values in enumerate(pixels, start=1):
        mapping = hd.spatial.PixelToReferenceTransformer.for_image(theirs, frame_number=number)
        row, column = np.indices(values.shape).reshape(2, -1)
        points = points_lps_from_ras(mapping(np.stack([column, row], axis=1)))
        np.testing.assert_allclose(values.ravel() / 255, ramp(points, middle), atol=HALF_STEP)


def volume_of_highdicom(path: Path) -> Image:
    volume = hd.seg.segread(path).get_volume(rescale_fractional=True)
    return Image(volume.array[..., 0][np.newaxis], Intensity.PROBABILITY, ras_from_lps(volume.affine))


def volume_of_dcmqi(path: Path) -> Image:
    program = Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage"
    command = [str(program), "--inputDICOM", str(path), "--outputDirectory", str(path.parent), "--outputType", "nrrd"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    volume = sitk.ReadImage(path.parent / "1.nrrd")
    lps = np.eye(4)
    lps[:3, :3] = np.array(volume.GetDirection()).reshape(3, 3) * np.array(volume.GetSpacing())
    lps[:3, 3] = volume.GetOrigin()
    return Image.from_slices(sitk.GetArrayFromImage(volume) / 255, Intensity.PROBABILITY, ras_from_lps(lps))


@pytest.mark.parametrize("reader", [volume_of_highdicom, volume_of_dcmqi])
@pytest.mark.parametrize("name", ["axial", "oblique", "sagittal", "coronal, upside down"])
def test_foreign_readers_rebuild_the_volume_with_its_values_in_place(
    name: str, reader: Callable[[Path], Image], tmp_path: Path
) -> None:
    image, source = scan(GRIDS[name], tmp_path)
    middle = middle_of(image.grid)
    write_dicom_heat_map(ramp_on(image.grid, middle), source, tmp_path / "heat.dcm", WHAT)
    theirs = reader(tmp_path / "heat.dcm")
    assert sorted(theirs.shape) == sorted(SHAPE)
    np.testing.assert_allclose(theirs.array, ramp_on(theirs.grid, middle).array, atol=HALF_STEP)


def test_values_of_no_pattern_come_back_voxel_for_voxel(tmp_path: Path) -> None:
    """Noise does not get smaller by run lengths, which encoders must bear."""
    image, source = scan(GRIDS["axial"], tmp_path)
    heat = random_heat(image)
    dataset, content = written(heat, source, tmp_path)
    np.testing.assert_allclose(content.heat.array, heat.array, atol=HALF_STEP)
    assert content.heat.grid.matches(image.grid)
    assert dataset.file_meta.TransferSyntaxUID == RLELossless
    assert content.source_uids == tuple(sorted(str(h.SOPInstanceUID) for h in source.datasets))


def test_a_map_on_permuted_axes_is_the_same_object(tmp_path: Path) -> None:
    image, source = scan(GRIDS["oblique"], tmp_path)
    heat = random_heat(image)
    turn = np.array([[0.0, 0, -1, SHAPE[0] - 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    permuted = Image(heat.array.transpose(0, 2, 3, 1)[..., ::-1], Intensity.PROBABILITY, image.grid.affine @ turn)
    write_dicom_heat_map(heat, source, tmp_path / "a.dcm", WHAT)
    write_dicom_heat_map(permuted, source, tmp_path / "b.dcm", WHAT)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


def test_uneven_planes_show_the_ramp_at_their_own_heights(tmp_path: Path) -> None:
    even = source_of(GRID)
    heights = np.array([0.0, 2.0, 4.1, 6.5, 9.0, 11.0, 13.0, 17.0, 20.0])
    start, normal = even.planes[0].position_mm, even.planes[0].normal
    planes = tuple(replace(p, position_mm=start + h * normal) for p, h in zip(even.planes, heights, strict=True))
    source, middle = DicomSource(even.datasets, planes), middle_of(GRID)
    path = tmp_path / "heat.dcm"
    write_dicom_heat_map(ramp_on(GRID, middle), source, path, WHAT)
    content = read_dicom_heat_map(path, source)
    truth = np.stack([ramp(pixels_mm(plane), middle) for plane in planes])
    np.testing.assert_allclose(content.heat.slices(), truth, atol=HALF_STEP)
    assert content.heat.affine is None  # no grid holds these planes
    with pytest.raises(InputRefused, match="evenly spaced"):
        read_dicom_heat_map(path)


def test_a_series_evened_by_the_reader_gets_its_map_at_its_own_heights(tmp_path: Path) -> None:
    grid = GRIDS["oblique"]
    gaps = (3.0, 3.4, 2.6, 3.0, 3.4, 2.6, 3.0, 3.0, 3.2, 2.8, 3.0)
    noise = np.random.default_rng(0).integers(-100, 200, (1, *SHAPE)).astype(np.int16)
    files = []
    for k, dataset in enumerate(ct_datasets(Image(noise, Intensity.HOUNSFIELD, grid.affine))):
        place = grid.points_mm((0, 0, 0)) + sum(gaps[:k]) * grid.direction[:, 2]
        dataset.ImagePositionPatient = [round(float(value), 6) for value in points_lps_from_ras(place)]
        files.append(tmp_path / f"{k}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
    image, source = load(files)
    assert image.grid.spacing_mm[2] == pytest.approx(3.0)
    middle = middle_of(image.grid)
    write_dicom_heat_map(ramp_on(image.grid, middle), source, tmp_path / "heat.dcm", WHAT)
    truth = np.stack([ramp(pixels_mm(plane), middle) for plane in source.planes])
    np.testing.assert_allclose(read_dicom_heat_map(tmp_path / "heat.dcm", source).heat.slices(), truth, atol=HALF_STEP)


def test_frames_of_a_multi_frame_source_are_referenced_by_number(tmp_path: Path) -> None:
    grid = GRIDS["axial"]
    noise = np.random.default_rng(0).integers(-100, 200, (1, *SHAPE)).astype(np.int16)
    image, source = load([write_enhanced_ct(Image(noise, Intensity.HOUNSFIELD, grid.affine), tmp_path / "ct.dcm")])
    middle = middle_of(grid)
    dataset, content = written(ramp_on(image.grid, middle), source, tmp_path)
    np.testing.assert_allclose(content.heat.array, ramp_on(grid, middle).array, atol=HALF_STEP)
    items = [g.DerivationImageSequence[0].SourceImageSequence[0] for g in dataset.PerFrameFunctionalGroupsSequence]
    assert {item.ReferencedSOPClassUID for item in items} == {EnhancedCTImageStorage}
    assert sorted(item.ReferencedFrameNumber for item in items) == list(range(1, SHAPE[2] + 1))


def test_frames_without_a_value_are_left_out_and_the_others_name_their_instance(tmp_path: Path) -> None:
    array = np.zeros((1, *GRID.shape))
    array[0, 3, 4, [2, 6]] = (1.0, 0.25)
    array[0, :, :, 7] = 0.001  # less than half a step, so nothing is stored
    dataset, content = written(Image(array, Intensity.PROBABILITY, GRID.affine), source_of(GRID), tmp_path)
    items = [g.DerivationImageSequence[0].SourceImageSequence[0] for g in dataset.PerFrameFunctionalGroupsSequence]
    assert sorted(item.ReferencedSOPInstanceUID for item in items) == ["1.2.3.4.3", "1.2.3.4.7"]
    assert content.heat.shape == (13, 11, 5)  # the file's planes alone
    on_source = read_dicom_heat_map(tmp_path / "heat.dcm", source_of(GRID)).heat
    np.testing.assert_allclose(on_source.array, array, atol=HALF_STEP)
    assert on_source.grid.matches(GRID)


def test_an_empty_map_is_written_with_all_frames(tmp_path: Path) -> None:
    empty = Image(np.zeros((1, *GRID.shape), np.float32), Intensity.PROBABILITY, GRID.affine)
    dataset, content = written(empty, source_of(GRID), tmp_path)
    assert dataset.NumberOfFrames == GRID.shape[2]
    assert content.heat.grid.matches(GRID)
    assert not content.heat.array.any()


@pytest.mark.parametrize(("modality", "spacing"), [("DX", True), ("CR", True), ("CR", False)])
def test_a_map_lies_on_the_pixels_of_its_film(modality: str, spacing: bool, tmp_path: Path) -> None:
    image, source = film(tmp_path, modality, spacing)
    assert (image.affine is not None) == spacing
    heat = random_heat(image)
    dataset, content = written(heat, source, tmp_path)
    np.testing.assert_allclose(content.heat.array, heat.array, atol=HALF_STEP)
    assert content.heat.affine is None  # no place is made up
    np.testing.assert_allclose(dataset.pixel_array / 255, heat.slices()[0], atol=HALF_STEP)
    np.testing.assert_allclose(
        hd.seg.segread(tmp_path / "heat.dcm").get_pixels_by_source_instance(content.source_uids)[0, ..., 0],
        heat.slices()[0],
        atol=HALF_STEP,
    )
    (item,) = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence
    assert item.ReferencedSOPInstanceUID == source.datasets[0].SOPInstanceUID
    assert item.ReferencedSOPClassUID == source.datasets[0].SOPClassUID
    assert item.SpatialLocationsPreserved == "YES"
    assert "FrameOfReferenceUID" not in dataset
    assert list(dataset.PatientOrientation) == ["L", "F"]
    np.testing.assert_array_equal(read_dicom_heat_map(tmp_path / "heat.dcm", source).heat.array, content.heat.array)


def test_what_no_map_can_lie_on_is_refused_with_a_code_and_leaves_no_file(tmp_path: Path) -> None:
    image, source = film(tmp_path, "CR", False)
    small = Image(np.zeros((1, 30, 23, 1)), Intensity.PROBABILITY, None)
    with pytest.raises(InputRefused, match="film's own 31 x 23 pixels") as refusal:
        write_dicom_heat_map(small, source, tmp_path / "heat.dcm", WHAT)
    assert refusal.value.code is RefusalCode.DIFFERENT_GRIDS
    source.datasets[0].NumberOfFrames = 2
    with pytest.raises(InputRefused, match="one frame") as refusal:
        write_dicom_heat_map(random_heat(image), source, tmp_path / "heat.dcm", WHAT)
    assert refusal.value.code is RefusalCode.UNSUPPORTED_DIMENSIONS
    assert not (tmp_path / "heat.dcm").exists()


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.nan, np.inf])
def test_values_that_are_no_share_are_an_error(wrong: float, tmp_path: Path) -> None:
    array = np.zeros((1, *GRID.shape))
    array[0, 0, 0, 0] = wrong
    with pytest.raises(ValueError, match="from 0 to 1"):
        write_dicom_heat_map(Image(array, Intensity.PROBABILITY, GRID.affine), source_of(GRID), tmp_path / "x", WHAT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("kind", [*GRIDS, "empty", "enhanced", "DX", "CR", "name alone"])
def test_dciodvfy_finds_no_error(kind: str, tmp_path: Path) -> None:
    what = replace(WHAT, label="effusion") if kind == "name alone" else WHAT
    if kind in ("DX", "CR"):
        image, source = film(tmp_path, kind, kind == "DX")
        heat = random_heat(image)
    elif kind == "enhanced":
        ct = Image(
            np.arange(np.prod(SHAPE), dtype=np.int16).reshape(1, *SHAPE), Intensity.HOUNSFIELD, GRIDS["axial"].affine
        )
        image, source = load([write_enhanced_ct(ct, tmp_path / "ct.dcm")])
        heat = random_heat(image)
    else:
        image, source = scan(GRIDS.get(kind, GRIDS["axial"]), tmp_path)
        heat = image.like(np.zeros(image.array.shape)) if kind == "empty" else random_heat(image)
    write_dicom_heat_map(heat, source, tmp_path / "heat.dcm", what)
    done = subprocess.run(["dciodvfy", "-new", str(tmp_path / "heat.dcm")], capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    assert "Segmentation" in report  # the tool knew what it was looking at
    assert [line for line in report.splitlines() if line.startswith("Error")] == []
