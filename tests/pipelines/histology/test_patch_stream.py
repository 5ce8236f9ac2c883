"""Patches against windows read one by one."""

import numpy as np
import pytest

from datasets.errors import InputRefused
from pipelines.histology.patch_grid import PatchGrid
from pipelines.histology.patch_stream import PatchStream
from tests.pipelines.slide_scene import SCENE, TILE, FormulaSlide


def grid_of(slide: FormulaSlide, stride_px: int = 32) -> PatchGrid:
    return PatchGrid.over(slide.size_um, stride_px, 96, 0.97)


@pytest.mark.parametrize("stride_px", [32, 48, 96, 128])
def test_patches_are_what_the_slide_shows_about_their_cells(stride_px: int) -> None:
    slide = FormulaSlide()
    grid = grid_of(slide, stride_px)
    mask = np.random.default_rng(0).random((grid.rows, grid.columns)) < 0.3
    stream = PatchStream(slide, grid, np.argwhere(mask), batch=7)
    batches = list(stream)
    assert all(len(batch.cells) == 7 for batch in batches[:-1])
    met = np.concatenate([batch.cells for batch in batches])
    pixels = np.concatenate([batch.pixels for batch in batches])
    assert sorted(map(tuple, met.tolist())) == [tuple(cell) for cell in np.argwhere(mask).tolist()]
    for (x, y), patch in list(zip(grid.centres_um(met), pixels, strict=True))[::29]:
        np.testing.assert_array_equal(patch, slide.read(x - 46.56, y - 46.56, 96, 96, 0.97))
    assert stream.unreadable == []


def test_tiles_are_decoded_about_once() -> None:
    slide = FormulaSlide(steps=(1,))
    grid = grid_of(slide)
    cells = np.argwhere(np.ones((grid.rows, grid.columns), dtype=bool))
    for _ in PatchStream(slide, grid, cells, batch=64):
        pass
    columns, rows = slide.size_px
    assert slide.decoded <= 1.2 * -(-columns // TILE) * -(-rows // TILE)


def test_a_stream_holds_a_few_batches_however_many_there_are() -> None:
    slide = FormulaSlide()
    grid = grid_of(slide)
    cells = np.argwhere(np.ones((grid.rows, grid.columns), dtype=bool))
    stream = PatchStream(slide, grid, cells, batch=16)
    read = []
    plain = slide.read

    def counted(*args):
        read.append(args)
        return plain(*args)

    slide.read = counted
    batches = iter(stream)
    next(batches)
    # The groups that two batches ahead, and the one in use, are cut from: at most three of 576 patches.
    assert len(read) <= 3 < len(list(grid.groups(cells, 768)))
    batches.close()


def test_patches_of_a_broken_tile_are_left_out_and_told() -> None:
    slide = FormulaSlide(steps=(1,), broken={(0, 4, 5)})
    grid = grid_of(slide)
    cells = np.argwhere(np.ones((grid.rows, grid.columns), dtype=bool))
    stream = PatchStream(slide, grid, cells, batch=64)
    met = {tuple(cell) for batch in stream for cell in batch.cells.tolist()}
    left, top = 5 * TILE * 0.5, 4 * TILE * 0.5
    # A patch needs the tile where the two overlap; up to a pixel's rounding at the edges.
    for row, column in map(tuple, cells.tolist()):
        x, y = ((column + 0.5) * grid.cell_um, (row + 0.5) * grid.cell_um)
        gap = max(abs(x - left - 64) - 64 - 46.56, abs(y - top - 64) - 64 - 46.56)
        if abs(gap) > 1.0:
            assert ((row, column) in met) == (gap > 0)
    assert {*stream.unreadable} == {tuple(cell) for cell in cells.tolist()} - met
    assert isinstance(stream.refusal, InputRefused)


def test_other_refusals_are_not_swallowed() -> None:
    slide = FormulaSlide()
    grid = grid_of(slide)
    slide.mpp = None
    with pytest.raises(InputRefused, match="micrometres per pixel"):
        list(PatchStream(slide, grid, np.array([[1, 1]]), batch=4))


def test_no_cells_give_no_batches() -> None:
    slide = FormulaSlide(SCENE)
    assert list(PatchStream(slide, grid_of(slide), np.zeros((0, 2), dtype=np.int64), batch=4)) == []
