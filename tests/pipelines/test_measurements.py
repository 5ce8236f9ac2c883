"""Measurements against ellipsoids whose volume and axes are known by formula."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from datasets.geometry import Grid, grid_from_axes
from pipelines.measurements import axial_diameters, centroid_mm, mean_value, volume_ml

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 0.7, 2.5), (0.6, 0.9, 1.5)]


def ellipsoid(
    grid: Grid, semi_axes_mm: tuple[float, float, float], rotation: Rotation, centre_mm: np.ndarray
) -> np.ndarray:
    """Voxels whose centre lies in the ellipsoid; `rotation` turns its axes in the patient."""
    indices = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    local = rotation.inv().apply((grid.points_mm(indices) - centre_mm).reshape(-1, 3)) / np.asarray(semi_axes_mm)
    return ((local**2).sum(axis=1) <= 1.0).reshape(grid.shape)


def grid_around_zero(spacing_mm: tuple[float, float, float], direction: np.ndarray | None = None) -> Grid:
    shape = tuple(int(100 // s) for s in spacing_mm)
    centred = grid_from_axes(shape, spacing_mm, direction)
    middle = centred.points_mm((np.asarray(shape) - 1) / 2)
    return grid_from_axes(shape, spacing_mm, direction, -middle)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("angles_deg", [(0, 0, 0), (30, 0, 0), (25, 40, 10)])
def test_volume_of_a_rotated_ellipsoid_is_within_one_percent(spacing_mm, angles_deg):
    semi_axes_mm = (30.0, 20.0, 25.0)
    grid = grid_around_zero(spacing_mm)
    mask = ellipsoid(
        grid, semi_axes_mm, Rotation.from_euler("xyz", angles_deg, degrees=True), np.array([1.3, -2.1, 0.4])
    )
    truth_ml = 4.0 / 3.0 * np.pi * np.prod(semi_axes_mm) / 1000.0
    assert volume_ml(mask, grid) == pytest.approx(truth_ml, rel=0.01)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("turn_deg", [0.0, 17.0, 45.0, 80.0])
def test_diameters_of_an_ellipsoid_turned_in_the_axial_plane(spacing_mm, turn_deg):
    # Turned about the patient's long axis, the widest axial section through the centre has the two in-plane axes.
    grid = grid_around_zero(spacing_mm)
    mask = ellipsoid(grid, (28.0, 15.0, 20.0), Rotation.from_euler("z", turn_deg, degrees=True), np.zeros(3))
    found = axial_diameters(mask, grid)
    assert found.longest_mm == pytest.approx(56.0, abs=max(spacing_mm[:2]))
    assert found.perpendicular_mm == pytest.approx(30.0, abs=max(spacing_mm[:2]))
    # Near the centre the section hardly changes, so planes within a few millimetres are equally right.
    assert grid.spacing_mm[2] * abs(found.plane - (grid.shape[2] - 1) / 2) <= 4.0


def test_diameters_on_an_oblique_grid_are_measured_in_the_patient():
    direction = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    grid = grid_around_zero((0.8, 0.8, 2.0), direction)
    # A sphere has the same section whatever the plane.
    mask = ellipsoid(grid, (18.0, 18.0, 18.0), Rotation.identity(), np.zeros(3))
    found = axial_diameters(mask, grid)
    assert found.longest_mm == pytest.approx(36.0, abs=0.8)
    assert found.perpendicular_mm == pytest.approx(36.0, abs=0.8)


def test_diameters_of_a_rectangle_follow_pythagoras():
    grid = grid_from_axes((12, 12, 3), (2.0, 1.0, 5.0))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[3:6, 2:6, 1] = True
    found = axial_diameters(mask, grid)
    # Half way between voxels in and out, the outline is an octagon with the vertices (2.5, 2), (2.5, 5), (5.5, 2),
    # (5.5, 5), (3, 1.5), (5, 1.5), (3, 5.5), (5, 5.5); the farthest two are 3 rows of 2 mm and 3 columns of 1 mm apart.
    assert found.longest_mm == pytest.approx(np.hypot(6.0, 3.0))
    assert found.plane == 1


def test_a_single_voxel_has_the_size_of_about_a_voxel():
    grid = grid_from_axes((5, 5, 5), (1.0, 1.0, 1.0))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[2, 2, 2] = True
    found = axial_diameters(mask, grid)
    assert found.longest_mm == pytest.approx(1.0)
    assert found.perpendicular_mm == pytest.approx(1.0)


def test_sheared_grids_are_measured_by_their_determinant():
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[1, 2] = 0.7  # a tilted gantry: neighbouring slices are shifted within their plane
    grid = Grid((10, 10, 10), affine)
    assert volume_ml(np.ones(grid.shape, dtype=bool), grid) == pytest.approx(2.0)


def test_centroid_is_the_ellipsoids_centre():
    grid = grid_around_zero((0.9, 0.8, 2.0))
    centre = np.array([7.7, -3.3, 5.0])
    mask = ellipsoid(grid, (14.0, 17.0, 20.0), Rotation.from_euler("x", 35, degrees=True), centre)
    assert centroid_mm(mask, grid) == pytest.approx(centre, abs=0.1)


def test_mean_is_taken_under_the_mask_only():
    values = np.arange(27.0).reshape(3, 3, 3)
    mask = np.zeros((3, 3, 3), dtype=bool)
    mask[0, 0, :] = True
    assert mean_value(mask, values) == 1.0


def test_nothing_measures_nothing():
    grid = grid_from_axes((4, 4, 4), (1.0, 1.0, 1.0))
    nothing = np.zeros(grid.shape, dtype=bool)
    assert volume_ml(nothing, grid) == 0.0
    assert centroid_mm(nothing, grid) is None
    assert mean_value(nothing, nothing) is None
    assert axial_diameters(nothing, grid) is None
