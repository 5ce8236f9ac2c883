"""Resampling, held against what must not change and against fields that interpolation reproduces exactly."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.resampling import Interpolation, reorient, resample

ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(["RL", "AP", "SI"]) for letters in itertools.product(*order)
]
COEFFICIENTS = np.array((0.5, -1.25, 2.0))  # HU per mm along R, A, S

orientations = st.sampled_from(ORIENTATIONS)
angles = st.tuples(*[st.floats(-35, 35)] * 3)


def _oblique(degrees: tuple[float, float, float], shape: tuple[int, int, int] = (9, 8, 7)) -> Grid:
    rotation = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return grid_from_axes(shape, (1.0, 1.5, 2.5), rotation, (10, -20, 30))


def _numbered(grid: Grid) -> Image:
    """Every voxel has its own value, so that any mix-up shows."""
    return Image.from_slices(np.arange(np.prod(grid.shape)).reshape(grid.shape[::-1]), Intensity.GREY, grid.affine)


def _ramp(grid: Grid) -> Image:
    """A field that is linear in the patient: linear interpolation gives it back exactly."""
    values = _field(_points(grid)).astype(np.float32)
    return Image.from_slices(np.ascontiguousarray(values.transpose(2, 1, 0)), Intensity.GREY, grid.affine)


def _field(points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(points_mm @ COEFFICIENTS + 7.0)


def _points(grid: Grid) -> NDArray[np.float64]:
    """World points of all voxels, (I, J, K, 3)."""
    return grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


@settings(max_examples=30, deadline=None)
@given(orientations, angles)
def test_reorienting_there_and_back_changes_nothing(letters: str, degrees: tuple[float, float, float]) -> None:
    image = _numbered(_oblique(degrees))
    turned = reorient(image, letters)
    assert turned.grid.orientation == letters
    back = reorient(turned, image.grid.orientation)
    assert back.grid.matches(image.grid, tolerance_mm=1e-9)
    assert np.array_equal(back.array, image.array)


@settings(max_examples=30, deadline=None)
@given(orientations, angles)
def test_reorienting_leaves_every_value_at_its_place(letters: str, degrees: tuple[float, float, float]) -> None:
    image = _numbered(_oblique(degrees))
    turned = reorient(image, letters)
    index = np.rint(image.grid.indices(_points(turned.grid))).astype(int)
    assert np.array_equal(turned.array[0], image.array[0][tuple(np.moveaxis(index, -1, 0))])


def test_reorienting_copies_nothing_and_keeps_channels_together() -> None:
    image = _numbered(_oblique((0, 0, 0)))
    assert np.shares_memory(reorient(image, "LPS").array, image.array)
    two = Image(np.stack([image.array[0], -image.array[0]]), Intensity.GREY, image.affine)
    turned = reorient(two, "SAL")
    assert np.array_equal(turned.array[1], -turned.array[0])


@pytest.mark.parametrize("letters", ["", "LP", "LPX", "LLS", "LRS", "LPSI", "lps"])
def test_letters_that_name_no_orientation(letters: str) -> None:
    with pytest.raises(ValueError, match="three letters"):
        reorient(_numbered(_oblique((0, 0, 0))), letters)


@pytest.mark.parametrize("how", list(Interpolation))
@settings(max_examples=10, deadline=None)
@given(degrees=angles)
@example(degrees=(0.0, 0.0, 1e-308))
def test_the_same_grid_gives_the_same_values(how: Interpolation, degrees: tuple[float, float, float]) -> None:
    image = _ramp(_oblique(degrees))
    same = resample(image, image.grid, how, fill=-1000)
    assert same.array == pytest.approx(image.array, abs=2e-3)
    assert same.array.dtype == image.array.dtype
    assert same.intensity is image.intensity


def test_integers_on_the_same_grid_stay_exact() -> None:
    image = _numbered(_oblique((10, 20, 30)))
    for how in (Interpolation.NEAREST, Interpolation.LINEAR):
        assert np.array_equal(resample(image, image.grid, how, fill=-1).array, image.array)


@settings(max_examples=20, deadline=None)
@given(angles, angles)
def test_linear_interpolation_gives_a_ramp_back(
    degrees: tuple[float, float, float], others: tuple[float, float, float]
) -> None:
    image = _ramp(_oblique(degrees))
    target = grid_from_axes(
        (6, 5, 4),
        (0.8, 0.9, 1.1),
        Rotation.from_euler("xyz", others, degrees=True).as_matrix(),
        image.grid.points_mm((3, 3, 2)),
    )
    sampled = resample(image, target, Interpolation.LINEAR, fill=-1000)
    assert sampled.shape == target.shape
    points = _points(target)
    index = image.grid.indices(points)
    inside = ((index >= 0) & (index <= np.array(image.shape) - 1)).all(axis=-1)
    assert inside.any()
    assert sampled.array[0][inside] == pytest.approx(_field(points)[inside], abs=2e-3)
    # ITK counts the outer half of the border voxels as inside and takes their value; beyond that is the fill.
    outside = ((index < -0.51) | (index > np.array(image.shape) - 0.49)).any(axis=-1)
    assert (sampled.array[0][outside] == -1000).all()


def test_labels_are_never_mixed() -> None:
    grid = _oblique((0, 0, 0))
    labels = Image(np.where(_numbered(grid).array % 3, 5, 2).astype(np.uint8), Intensity.LABEL, grid.affine)
    finer = resample(labels, grid.with_spacing((0.3, 0.4, 0.5)), Interpolation.NEAREST, fill=0)
    assert set(np.unique(finer.array)) == {2, 5}
    assert finer.array.dtype == np.uint8


def test_interpolated_integers_are_rounded_not_cut() -> None:
    # Half-way between -999 and -998 and so on: cutting the fraction off would move the mean by half a unit.
    grid = grid_from_axes((101, 1, 1), (1.0, 1.0, 1.0))
    values = np.linspace(-1000, 1000, 101).astype(np.int16).reshape(1, 1, 101)
    target = grid_from_axes((99, 1, 1), (1.0, 1.0, 1.0), origin_mm=(0.63, 0, 0))
    sampled = resample(Image.from_slices(values, Intensity.GREY, grid.affine), target, Interpolation.LINEAR, fill=0)
    assert sampled.array.dtype == np.int16
    assert np.array_equal(sampled.array[0, :, 0, 0], np.rint(-1000 + 20 * (np.arange(99) + 0.63)))


def test_a_spline_that_overshoots_does_not_wrap_around() -> None:
    step = np.where(np.arange(20) < 10, 0, 255).astype(np.uint8).reshape(1, 1, 20)
    image = Image.from_slices(np.tile(step, (6, 6, 1)), Intensity.GREY, np.eye(4))
    fine = resample(image, image.grid.with_spacing((0.25, None, None)), Interpolation.CUBIC, fill=0)
    row = fine.array[0, :, 3, 3].astype(int)
    assert (row[2:36] < 60).all()
    assert (row[44:78] > 195).all()


def test_masks_stay_masks() -> None:
    mask = Image(np.arange(24).reshape(1, 2, 3, 4) % 5 == 0, Intensity.LABEL, np.eye(4))
    same = resample(mask, mask.grid, Interpolation.NEAREST, fill=0)
    assert same.array.dtype == np.bool_
    assert np.array_equal(same.array, mask.array)


def test_channels_are_sampled_alike_and_laid_out_as_readers_do() -> None:
    image = _ramp(_oblique((5, 0, 0)))
    two = Image(np.stack([image.array[0], -image.array[0]]), Intensity.GREY, image.affine)
    target = image.grid.with_spacing((2.0, 2.0, 2.0))
    sampled = resample(two, target, Interpolation.LINEAR, fill=0)
    assert np.array_equal(sampled.array[1], -sampled.array[0])
    for result in (sampled, resample(image, target, Interpolation.LINEAR, fill=0)):
        assert result.array.transpose(0, 3, 2, 1).flags.c_contiguous


def test_what_cannot_be_resampled_is_refused() -> None:
    sheared = np.eye(4)
    sheared[1, 2] = 0.2
    square = grid_from_axes((3, 3, 3), (1, 1, 1))
    with pytest.raises(ValueError, match="perpendicular"):
        resample(Image(np.zeros((1, 3, 3, 3)), Intensity.GREY, sheared), square, Interpolation.LINEAR, fill=0)
    with pytest.raises(ValueError, match="known spacing"):
        resample(Image(np.zeros((1, 3, 3, 3)), Intensity.GREY), square, Interpolation.LINEAR, fill=0)
    with pytest.raises(ValueError, match="known spacing"):
        reorient(Image(np.zeros((1, 3, 3, 3)), Intensity.GREY), "LPS")
