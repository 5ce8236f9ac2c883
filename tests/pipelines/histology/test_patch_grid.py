"""Where cells lie, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.histology.blocks import Blocks
from pipelines.histology.patch_grid import PatchGrid


def test_cells_are_counted_from_the_corner_of_the_slide() -> None:
    grid = PatchGrid.over((1000.0, 500.0), stride_px=32, patch_px=96, mpp=0.97)
    assert (grid.cell_um, grid.margin_px) == (pytest.approx(31.04), 32)
    # 1000 / 31.04 = 32.2 and 500 / 31.04 = 16.1.
    assert (grid.rows, grid.columns) == (17, 33)
    assert grid.cell_mm2 == pytest.approx(31.04**2 / 1e6)
    np.testing.assert_allclose(grid.centres_um(np.array([[0, 0], [2, 5]])), [[15.52, 15.52], [170.72, 77.6]])


@pytest.mark.parametrize("rounded", [-0.4, 0.0, 0.4])
def test_a_size_that_is_rounded_changes_nothing(rounded: float) -> None:
    grid = PatchGrid.over((40 * 31.04 + rounded, 30 * 31.04 + rounded), 32, 96, 0.97)
    assert (grid.rows, grid.columns) == (30, 40)


def test_there_is_at_least_one_cell() -> None:
    grid = PatchGrid.over((1.0, 1.0), 96, 96, 1.0)
    assert (grid.rows, grid.columns, grid.margin_px) == (1, 1, 0)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_groups_hold_every_cell_once_and_lie_together(rows, columns, seed, most_px) -> None:
    grid = PatchGrid(rows, columns, 32, 96, 1.0)
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.4
    cells = np.argwhere(mask)
    groups = list(grid.groups(np.random.default_rng(seed).permutation(cells), most_px))
    met = [tuple(cell) for group in groups for cell in group.tolist()]
    assert sorted(met) == [tuple(cell) for cell in cells.tolist()]
    for group in groups:
        assert (np.ptp(group, axis=0) + 1).max() * 32 <= max(most_px, 32)


def test_the_middle_of_every_block_is_looked_at_first() -> None:
    blocks = Blocks(7, 8, 3)
    looked = blocks.middles(np.ones((7, 8), dtype=bool))
    assert np.argwhere(looked).tolist() == [
        [1, 1], [1, 4], [1, 7], [4, 1], [4, 4], [4, 7], [6, 0], [6, 3], [6, 6],
    ]  # fmt: skip


def test_a_block_without_its_middle_is_looked_at_too() -> None:
    wanted = np.zeros((6, 6), dtype=bool)
    wanted[0, 2] = wanted[2, 1] = wanted[4, 4] = wanted[5, 5] = True
    assert np.argwhere(Blocks(6, 6, 3).middles(wanted)).tolist() == [[0, 2], [4, 4]]


def test_values_of_blocks() -> None:
    cells = np.arange(20.0, dtype=np.float32).reshape(4, 5)
    blocks = Blocks(4, 5, 3)
    assert blocks.highest(cells).tolist() == [[12, 14], [17, 19]]
    assert blocks.any(cells == 19).tolist() == [[False, False], [False, True]]
    assert blocks.spread(np.array([[1, 2], [3, 4]])).tolist() == [[1, 1, 1, 2, 2]] * 3 + [[3, 3, 3, 4, 4]]
