"""Square blocks of cells: one of each is looked at first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.histology.light import Floats
from pipelines.regions import Mask


@dataclass(frozen=True)
class Blocks:
    """Cells (rows, columns) in blocks of `step` x `step`, counted from the first cell; the last ones may be cut.

    Attributes:
        rows: Number of rows of cells.
        columns: Number of columns of cells.
        step: Cells along an edge of a block; odd, so that a block has a middle.
    """

    rows: int
    columns: int
    step: int

    def highest(self, cells: Floats) -> Floats:
        """The highest value of every block; what lies beyond the last cells is 0."""
        return np.asarray(self._of(cells).max(axis=-1))

    def any(self, cells: Mask) -> Mask:
        """Whether any cell of a block is true."""
        return np.asarray(self._of(cells).any(axis=-1))

    def spread(self, blocks: NDArray[np.generic]) -> NDArray[np.generic]:
        """Of every cell, the value of its block."""
        return blocks.repeat(self.step, axis=0).repeat(self.step, axis=1)[: self.rows, : self.columns]

    def middles(self, wanted: Mask) -> Mask:
        """One wanted cell of every block that has any: the middle one, or else the first."""
        blocks = self._of(wanted)
        middle = self.step**2 // 2
        chosen = np.where(blocks[..., middle], middle, blocks.argmax(axis=-1))
        looked = np.zeros_like(blocks)
        np.put_along_axis(looked, chosen[..., np.newaxis], np.asarray(blocks.any(axis=-1))[..., np.newaxis], axis=-1)
        rows, columns, step = *blocks.shape[:2], self.step
        cells = looked.reshape(rows, columns, step, step).transpose(0, 2, 1, 3).reshape(rows * step, columns * step)
        return np.asarray(cells[: self.rows, : self.columns])

    def _of(self, cells: NDArray[np.generic]) -> NDArray[np.generic]:
        """(rows of blocks, columns of blocks, step * step)."""
        step = self.step
        rows, columns = -(-self.rows // step), -(-self.columns // step)
        framed = np.zeros((rows * step, columns * step), dtype=cells.dtype)
        framed[: self.rows, : self.columns] = cells
        return framed.reshape(rows, step, columns, step).transpose(0, 2, 1, 3).reshape(rows, columns, step * step)
