"""Where voxels are, held against formulas, against SimpleITK and against NiBabel."""

import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datasets.geometry import Grid, grid_from_axes, lps_from_ras, points_lps_from_ras, ras_from_lps

OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))
# Every way to name three axes: 6 orders times 8 flips.
ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(["RL", "AP", "SI"]) for letters in itertools.product(*order)
]
UNIT = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}

angles = st.tuples(*[st.floats(-180, 180)] * 3)
spacings = st.tuples(*[st.floats(0.2, 10)] * 3)
origins = st.tuples(*[st.floats(-500, 500)] * 3)
shapes = st.tuples(*[st.integers(1, 40)] * 3)


def _rotation(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.asarray(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    return grid_from_axes(draw(shapes), draw(spacings), _rotation(draw(angles)), draw(origins))


@given(grids())
def test_lps_and_ras_are_each_others_inverse(grid: Grid) -> None:
    assert np.array_equal(ras_from_lps(ras_from_lps(grid.affine)), grid.affine)
    assert np.array_equal(ras_from_lps(lps_from_ras(grid.affine)), grid.affine)
    points = grid.points_mm(np.eye(3))
    assert np.array_equal(points_lps_from_ras(points_lps_from_ras(points)), points)


def test_a_point_on_the_left_front_head_side_in_both_worlds() -> None:
    # 10 mm left, 20 mm anterior, 30 mm superior: RAS counts left as minus, LPS counts anterior as minus.
    assert points_lps_from_ras((-10, 20, 30)).tolist() == [10, -20, 30]
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = (10, -20, 30)
    assert (ras_from_lps(affine) @ (1, 1, 1, 1))[:3].tolist() == [-12, 17, 34]
    assert points_lps_from_ras(np.empty((0, 3))).shape == (0, 3)


@given(grids(), st.tuples(*[st.floats(-50, 50)] * 3))
def test_simpleitk_puts_indices_at_the_same_points(grid: Grid, index: tuple[float, float, float]) -> None:
    image = sitk.Image(list(grid.shape), sitk.sitkUInt8)
    lps = Grid(grid.shape, lps_from_ras(grid.affine))
    image.SetSpacing(lps.spacing_mm)
    image.SetOrigin(lps.origin_mm)
    image.SetDirection(lps.direction.ravel().tolist())
    theirs = image.TransformContinuousIndexToPhysicalPoint(index)
    assert points_lps_from_ras(grid.points_mm(index)) == pytest.approx(np.array(theirs), abs=1e-6)


@given(grids(), st.tuples(*[st.floats(-50, 50)] * 3))
def test_indices_undo_points(grid: Grid, index: tuple[float, float, float]) -> None:
    assert grid.indices(grid.points_mm(index)) == pytest.approx(np.array(index), abs=1e-6)


@given(grids(), angles)
def test_spacing_and_volume_do_not_depend_on_the_patients_pose(grid: Grid, degrees: tuple[float, float, float]) -> None:
    turn = np.eye(4)
    turn[:3, :3] = _rotation(degrees)
    turned = Grid(grid.shape, turn @ grid.affine)
    assert turned.spacing_mm == pytest.approx(grid.spacing_mm)
    assert turned.voxel_volume_ml == pytest.approx(np.prod(grid.spacing_mm) / 1000)
    assert turned.is_orthogonal


@given(st.floats(-40, 40), spacings)
def test_a_sheared_voxel_is_base_times_height(tilt_degrees: float, spacing_mm: tuple[float, float, float]) -> None:
    tilt = np.radians(tilt_degrees)
    affine = np.diag([*spacing_mm, 1.0])
    # Slices step along z by the table feed and slide along y, as under a tilted gantry: the edge grows, not the volume.
    affine[1, 2] = spacing_mm[2] * np.tan(tilt)
    grid = Grid((4, 4, 4), affine)
    assert grid.voxel_volume_ml == pytest.approx(np.prod(spacing_mm) / 1000)
    assert grid.spacing_mm[2] == pytest.approx(spacing_mm[2] / np.cos(tilt))
    assert grid.is_orthogonal == (abs(np.sin(tilt)) <= 1e-4)


@pytest.mark.parametrize("letters", ORIENTATIONS)
def test_letters_name_the_direction_in_which_an_index_grows(letters: str) -> None:
    direction = np.array([UNIT[letter] for letter in letters], dtype=float).T
    grid = grid_from_axes((2, 3, 4), (1, 2, 3), direction)
    assert grid.orientation == letters
    assert grid.orientation == "".join(nib.aff2axcodes(grid.affine))
    assert Grid(grid.shape, ras_from_lps(grid.affine)).orientation == "".join(
        letter if letter in "SI" else OPPOSITE[letter] for letter in letters
    )


def test_an_oblique_grid_is_named_after_its_closest_axes() -> None:
    assert grid_from_axes((2, 2, 2), (1, 1, 1), _rotation((30, 20, 0))).orientation == "RAS"


@given(grids(), spacings)
def test_another_spacing_keeps_the_box(grid: Grid, spacing_mm: tuple[float, float, float]) -> None:
    new = grid.with_spacing(spacing_mm)
    assert new.spacing_mm == pytest.approx(spacing_mm)
    assert new.direction == pytest.approx(grid.direction)
    # The outer corner of the first voxel lies half a voxel before its centre.
    assert new.points_mm((-0.5, -0.5, -0.5)) == pytest.approx(grid.points_mm((-0.5, -0.5, -0.5)), abs=1e-6)
    for size, step, old_size, old_step in zip(new.shape, spacing_mm, grid.shape, grid.spacing_mm, strict=True):
        beyond = size * step - old_size * old_step
        assert -2e-6 * step <= beyond <= step


def test_another_spacing_in_numbers() -> None:
    grid = grid_from_axes((4, 6, 5), (1.0, 2.0, 3.0), origin_mm=(10, 20, 30))
    new = grid.with_spacing((2.0, 1.0, None))
    assert new.shape == (2, 12, 5)
    # Voxels of 1 mm at 10 and 11 become one of 2 mm at 10.5; the voxel of 2 mm at 20 becomes two at 19.5 and 20.5.
    assert new.origin_mm == pytest.approx((10.5, 19.5, 30))
    assert grid.with_spacing((None, None, None)).matches(grid, tolerance_mm=0)


def test_grids_match_by_their_farthest_corner() -> None:
    grid = grid_from_axes((11, 2, 2), (1, 1, 1))
    # 0.0002 mm more per voxel is 0.002 mm after ten.
    stretched = grid_from_axes((11, 2, 2), (1.0002, 1, 1))
    assert grid.matches(grid_from_axes((11, 2, 2), (1, 1, 1), origin_mm=(0, 0, 0.0009)))
    assert not grid.matches(stretched)
    assert grid.matches(stretched, tolerance_mm=0.0021)
    assert not grid.matches(grid_from_axes((10, 2, 2), (1, 1, 1)))


def test_a_grid_cannot_be_changed_from_outside() -> None:
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine)
    affine[0, 0] = 7
    assert grid.affine[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 7


@pytest.mark.parametrize(
    ("shape", "affine", "words"),
    [
        ((0, 2, 2), np.eye(4), "three positive sizes"),
        ((2, 2), np.eye(4), "three positive sizes"),
        ((2, 2, 2), np.eye(3), "finite 4x4"),
        ((2, 2, 2), np.diag([1, np.nan, 1, 1]), "finite 4x4"),
        ((2, 2, 2), np.diag([1, np.inf, 1, 1]), "finite 4x4"),
        ((2, 2, 2), np.diag([1, 0, 1, 1]), "invertible"),
        ((2, 2, 2), np.diag([1, 1, 1, 2]), "last row"),
    ],
)
def test_what_is_no_grid(shape: tuple[int, int, int], affine: NDArray[np.float64], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Grid(shape, affine)


def test_voxels_of_a_cropped_grid_stay_where_they_are() -> None:
    grid = Grid((9, 8, 7), np.array([[0.7, 0.1, 0, 5], [-0.1, 0.7, 0.2, -3], [0, -0.2, 2.5, 11], [0, 0, 0, 1]]))
    cropped = grid.cropped((slice(2, 9), slice(1, 4), slice(3, 7)))
    assert cropped.shape == (7, 3, 4)
    np.testing.assert_allclose(cropped.points_mm([1, 2, 3]), grid.points_mm([3, 3, 6]), atol=1e-9)
