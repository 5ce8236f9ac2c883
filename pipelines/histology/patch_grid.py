"""Where patches lie: a grid of cells in micrometres that is the same whatever file a slide is stored in.

Cells are squares whose edges are multiples of one length, counted from the slide's top left corner. A patch is cut
about the middle of a cell and says what is in that cell: a patch of PCam is 96 pixels wide, and its label is about the
32 in the middle. Where cells are as large as that middle, every piece of tissue is judged by a patch about it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.int64]

# A cell that the slide reaches into by less than this share is not there: sizes of files are rounded, and the same
# slide must have the same grid in all of them.
_SLIVER = 0.05


@dataclass(frozen=True)
class PatchGrid:
    """Cells (row, column) on a slide, and the patches about them.

    Attributes:
        rows: Number of rows of cells.
        columns: Number of columns.
        stride_px: Edge of a cell, in pixels of a patch.
        patch_px: Edge of a patch; differs from the stride by an even number, so that all pixels lie on one lattice.
        mpp: Micrometres per pixel of a patch.
    """

    rows: int
    columns: int
    stride_px: int
    patch_px: int
    mpp: float

    @classmethod
    def over(cls, size_um: tuple[float, float], stride_px: int, patch_px: int, mpp: float) -> "PatchGrid":
        """The grid over a slide of a size (x, y); at least one cell."""
        columns, rows = (max(ceil(size / (stride_px * mpp) - _SLIVER), 1) for size in size_um)
        return cls(rows, columns, stride_px, patch_px, mpp)

    @property
    def cell_um(self) -> float:
        """Edge of a cell."""
        return self.stride_px * self.mpp

    @property
    def cell_mm2(self) -> float:
        """Area of a cell."""
        return self.cell_um**2 / 1e6

    @property
    def margin_px(self) -> int:
        """How far a patch reaches beyond its cell, on every side; below 0 where patches leave gaps between them."""
        return (self.patch_px - self.stride_px) // 2

    def centres_um(self, cells: Cells) -> NDArray[np.float64]:
        """Middles (x, y) of cells (n, 2), (n, 2)."""
        return np.asarray((cells[:, ::-1] + 0.5) * self.cell_um)

    def groups(self, cells: Cells, most_px: int) -> Iterator[Cells]:
        """Cells (n, 2) in groups that lie together, so that what is read for one patch serves its neighbours.

        Args:
            cells: Any order.
            most_px: Edge of the squares that groups lie in; rounded to whole cells.

        Yields:
            Groups (m, 2) from left to right, then down, and so the cells within each; every cell once.
        """
        if not len(cells):
            return
        edge = max(most_px // self.stride_px, 1)
        block = cells // edge
        order = np.lexsort((cells[:, 1], cells[:, 0], block[:, 1], block[:, 0]))
        cells, block = cells[order], block[order]
        changes = np.flatnonzero((np.diff(block, axis=0) != 0).any(axis=1)) + 1
        yield from np.split(cells, changes)
