"""The box around what a coarse look saw: by formula, on grids that lie askew, and which regions it counts."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datasets.geometry import Grid, grid_from_axes
from pipelines.localise import box_around, large_regions


@pytest.mark.parametrize(
    ("margin_mm", "expected"),
    [
        # Voxels 3..6 of 4 mm have their faces at 12 and 28 mm, those of 2 mm at 0, 2, 4, ...
        (0.0, (6, 14)),
        (2.0, (5, 15)),
        (2.5, (4, 16)),
        (5.0, (3, 17)),
        (13.0, (0, 21)),
        (100.0, (0, 40)),
    ],
)
def test_a_box_ends_at_outer_faces_and_a_margin_beyond(margin_mm: float, expected: tuple[int, int]) -> None:
    coarse = grid_from_axes((20, 20, 20), (4.0, 4.0, 4.0))
    fine = grid_from_axes((40, 40, 40), (2.0, 2.0, 2.0), origin_mm=(-1.0, -1.0, -1.0))
    mask = np.zeros((20, 20, 20), bool)
    mask[3:7, 10, 19] = True
    box = box_around(mask, coarse, (margin_mm, 0.0, 0.0), fine)
    assert box == (slice(*expected), slice(20, 22), slice(38, 40))


def _askew(degrees: float, letters: tuple[int, int, int], flips: tuple[int, int, int]) -> NDArray[np.float64]:
    turned = Rotation.from_euler("xyz", (degrees, 0.7 * degrees, -degrees), degrees=True).as_matrix()
    return turned @ np.eye(3)[:, letters] @ np.diag(flips).astype(float)


def _sheared(grid: Grid) -> Grid:
    affine = np.array(grid.affine)
    affine[:3, 2] += 0.6 * affine[:3, 1]
    return Grid(grid.shape, affine)


COARSE_GRID = grid_from_axes((14, 12, 9), (4.0, 5.0, 6.0), _askew(4.0, (0, 1, 2), (-1, -1, 1)), (30.0, 28.0, -20.0))
GRIDS: dict[str, Callable[[], Grid]] = {
    "aligned": lambda: COARSE_GRID.with_spacing((1.5, 2.5, 2.0)),
    "coarser": lambda: COARSE_GRID.with_spacing((7.0, 7.0, 11.0)),
    "turned and flipped": lambda: _around(_askew(4.0, (2, 0, 1), (1, -1, -1))),
    "oblique": lambda: _around(_askew(19.0, (0, 1, 2), (1, 1, 1))),
    "sheared": lambda: _sheared(_around(np.eye(3))),
}


def _around(direction: NDArray[np.float64]) -> Grid:
    """A grid of 2 x 3 x 4 mm that reaches far beyond the coarse one."""
    at_zero = grid_from_axes((100, 70, 50), (2.0, 3.0, 4.0), direction)
    middle = COARSE_GRID.points_mm((np.asarray(COARSE_GRID.shape) - 1) / 2)
    return grid_from_axes(at_zero.shape, (2.0, 3.0, 4.0), direction, middle - at_zero.points_mm((49.5, 34.5, 24.5)))


def _voxels(points_mm: NDArray[np.float64], grid: Grid) -> NDArray[np.int64]:
    """The voxels in which points lie."""
    return np.floor(grid.indices(points_mm) + 0.5).astype(int)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("coarse", [COARSE_GRID, _sheared(COARSE_GRID)], ids=["orthogonal", "leaning"])
def test_whatever_lies_within_the_margin_lies_in_the_box(name: str, coarse: Grid) -> None:
    rng = np.random.default_rng(5)
    mask = np.zeros(coarse.shape, bool)
    mask[tuple(rng.integers((3, 3, 2), (11, 9, 7), (20, 3)).T)] = True
    margin_mm, grid = 7.0, GRIDS[name]()
    box = box_around(mask, coarse, (margin_mm,) * 3, grid)
    # Anywhere in a marked voxel, and up to the margin away in any direction.
    inside = np.argwhere(mask).repeat(200, axis=0) + rng.uniform(-0.5, 0.5, (mask.sum() * 200, 3))
    away = rng.standard_normal(inside.shape)
    away *= rng.uniform(0.0, margin_mm, (len(away), 1)) / np.linalg.norm(away, axis=1, keepdims=True)
    voxels = _voxels(coarse.points_mm(inside) + away, grid)
    on_grid = ((voxels >= 0) & (voxels < grid.shape)).all(axis=1)
    assert on_grid.mean() > 0.5
    for axis, part in enumerate(box):
        assert voxels[on_grid, axis].min() >= part.start
        assert voxels[on_grid, axis].max() < part.stop


@pytest.mark.parametrize("name", GRIDS)
def test_no_face_of_the_box_could_be_nearer(name: str) -> None:
    mask = np.zeros(COARSE_GRID.shape, bool)
    mask[4:9, 3:8, 3:6] = True
    grid = GRIDS[name]()
    box = box_around(mask, COARSE_GRID, (0.0, 0.0, 0.0), grid)
    corners = np.array(np.meshgrid((3.5, 8.5), (2.5, 7.5), (2.5, 5.5))).reshape(3, -1).T
    # A hair inside the corners, so that a corner on a face belongs to the voxel within.
    voxels = _voxels(COARSE_GRID.points_mm(corners + 1e-3 * np.sign(corners.mean(axis=0) - corners)), grid)
    assert [(part.start, part.stop - 1) for part in box] == list(
        zip(voxels.min(axis=0), voxels.max(axis=0), strict=True)
    )


def test_the_margin_of_leaning_slices_is_square_to_their_faces() -> None:
    # Rows lean by 45 degrees: columns 4 mm apart along the rows lie 4 / sqrt(2) mm apart, so 8 mm are 2.83 columns.
    affine = np.array([[4.0, 0.0, 0.0, 0.0], [4.0, 4.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    affine[:2, 0] /= np.sqrt(2.0)
    coarse = Grid((20, 20, 20), affine)
    mask = np.zeros((20, 20, 20), bool)
    mask[10, 10, 10] = True
    box = box_around(mask, coarse, (8.0, 0.0, 8.0), coarse)
    assert box == (slice(7, 14), slice(10, 11), slice(8, 13))


def test_an_empty_mask_and_one_off_the_grid_have_no_box() -> None:
    mask = np.zeros(COARSE_GRID.shape, bool)
    assert box_around(mask, COARSE_GRID, (5.0,) * 3, COARSE_GRID) is None
    mask[0, 0, 0] = True
    far = grid_from_axes((5, 5, 5), (1.0, 1.0, 1.0), origin_mm=(900.0, 0.0, 0.0))
    assert box_around(mask, COARSE_GRID, (5.0,) * 3, far) is None


def test_large_regions_stay_and_specks_go() -> None:
    mask = np.zeros((30, 10, 10), bool)
    mask[0:10], mask[12:17, :, :5], mask[20:24, :5, :5], mask[28, 9, 9] = True, True, True, True  # 1000, 250, 100, 1
    for share, kept in [(0.0005, 1351), (0.002, 1350), (0.1, 1350), (0.11, 1250), (0.25, 1250), (0.3, 1000)]:
        found = large_regions(mask, share)
        assert found.sum() == kept
        assert not (found & ~mask).any()
    assert not large_regions(np.zeros((3, 3, 3), bool), 0.1).any()
