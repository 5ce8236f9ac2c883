"""Patches of a slide in batches: read in pieces that follow its tiles, a few batches ahead, never the whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.slide import Slide
from pipelines.histology.light import Pixels
from pipelines.histology.patch_grid import Cells, PatchGrid
from pipelines.histology.read_ahead import read_ahead

# Read at once, in pixels of patches: large enough that few tiles are met twice, small beside a network's own memory.
_BLOCK_PX = 768
_AHEAD = 2


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Patches that are looked at together.

    Attributes:
        cells: (n, 2), row and column of each.
        pixels: uint8 (n, patch_px, patch_px, 3).
    """

    cells: Cells
    pixels: Pixels


@dataclass(eq=False)
class PatchStream:
    """The patches about some cells of a slide; iterate over it once.

    Attributes:
        slide: Open; nobody else may read from it meanwhile.
        grid: Where cells lie.
        cells: (n, 2), those that are wanted.
        batch: Patches per batch, the last one's being fewer.
        unreadable: Cells whose patches could not be read, as far as the stream has come.
        refusal: Why the last of them could not.
    """

    slide: Slide
    grid: PatchGrid
    cells: Cells
    batch: int
    unreadable: list[tuple[int, int]] = field(default_factory=list)
    refusal: InputRefused | None = None

    def __iter__(self) -> Iterator[PatchBatch]:
        return read_ahead(self._batches(), _AHEAD)

    def _batches(self) -> Iterator[PatchBatch]:
        cells: list[Cells] = []
        pixels: list[Pixels] = []
        waiting = 0
        for group, patches in self._groups():
            cells.append(group)
            pixels.append(patches)
            waiting += len(group)
            if waiting >= self.batch:
                all_cells, all_pixels = np.concatenate(cells), np.concatenate(pixels)
                whole = waiting - waiting % self.batch
                for start in range(0, whole, self.batch):
                    part = slice(start, start + self.batch)
                    yield PatchBatch(all_cells[part], all_pixels[part])
                cells, pixels, waiting = [all_cells[whole:]], [all_pixels[whole:]], waiting - whole
        if waiting:
            yield PatchBatch(np.concatenate(cells), np.concatenate(pixels))

    def _groups(self) -> Iterator[tuple[Cells, Pixels]]:
        for group in self.grid.groups(self.cells, _BLOCK_PX):
            read = self._together(group)
            if read is not None:
                yield group, read
                continue
            alone = [(cell, self._alone(cell)) for cell in group]
            kept = [(cell, patch) for cell, patch in alone if patch is not None]
            if kept:
                yield np.stack([cell for cell, _ in kept]), np.stack([patch for _, patch in kept])

    def _together(self, group: Cells) -> Pixels | None:
        """The patches of a group, cut out of one window; None where that is no gain, or a tile of it is unreadable."""
        stride, size = self.grid.stride_px, self.grid.patch_px
        first, last = group.min(axis=0), group.max(axis=0)
        rows, columns = ((last - first) * stride + size).tolist()
        if rows * columns > len(group) * size**2:
            return None
        try:
            window = self._read(first, columns, rows)
        except InputRefused as refusal:
            if refusal.code is not RefusalCode.UNREADABLE_TILE:
                raise
            return None
        patches = np.empty((len(group), size, size, 3), dtype=np.uint8)
        for patch, (top, left) in zip(patches, (group - first) * stride, strict=True):
            patch[...] = window[top : top + size, left : left + size]
        return patches

    def _alone(self, cell: Cells) -> Pixels | None:
        try:
            return self._read(cell, self.grid.patch_px, self.grid.patch_px)
        except InputRefused as refusal:
            if refusal.code is not RefusalCode.UNREADABLE_TILE:
                raise
            self.refusal = refusal
            self.unreadable.append((int(cell[0]), int(cell[1])))
            return None

    def _read(self, cell: Cells, columns: int, rows: int) -> Pixels:
        """A window whose top left corner is that of the patch about a cell."""
        y_px, x_px = (cell * self.grid.stride_px - self.grid.margin_px).tolist()
        return self.slide.read(x_px * self.grid.mpp, y_px * self.grid.mpp, columns, rows, self.grid.mpp)
