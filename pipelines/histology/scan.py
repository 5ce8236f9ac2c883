"""A look at all tissue of a slide: at first here and there, then closely where that showed anything."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from datasets.errors import InputRefused
from datasets.slide import Slide
from pipelines.histology.blocks import Blocks
from pipelines.histology.light import Floats, Pixels
from pipelines.histology.patch_grid import PatchGrid
from pipelines.histology.patch_stream import PatchStream
from pipelines.regions import Mask

Ask = Callable[[Pixels], Floats]
"""From patches uint8 (n, patch_px, patch_px, 3) to probabilities (n,)."""

# Blocks that touch one that showed something, by a corner too, are looked at closely as well.
_AROUND = np.ones((3, 3), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Scan:
    """What a patch classifier said about a slide.

    Attributes:
        grid: Where cells lie.
        raw: (rows, columns) float32, probability of each cell, NaN where none is known. Cells that were not looked at
            themselves have the one of their block.
        looked: Cells whose own patch was looked at.
        unreadable: Number of patches that could not be read.
        refusal: Why the last of them could not; None where all could.
    """

    grid: PatchGrid
    raw: Floats
    looked: Mask
    unreadable: int
    refusal: InputRefused | None

    @property
    def known(self) -> Mask:
        """Cells that have a probability."""
        return ~np.isnan(self.raw)


@dataclass(eq=False)
class Scanner:
    """Looks at a slide.

    Attributes:
        slide: Open.
        grid: Where cells lie.
        ask: Says how probable tumour is.
        batch: Patches per question.
        first_step: Of every block of so many by so many cells one is looked at first; odd; 1 looks at all.
        closer_from: Probability from which a block and those around it are looked at closely.
    """

    slide: Slide
    grid: PatchGrid
    ask: Ask
    batch: int
    first_step: int = 1
    closer_from: float = 0.0

    def scan(self, wanted: Mask) -> Scan:
        """Look at cells.

        Args:
            wanted: (rows, columns), those that hold tissue.

        Raises:
            InputRefused: `unreadable_tile`: not a single patch could be read.
        """
        own = np.full(wanted.shape, np.nan, dtype=np.float32)
        if self.first_step == 1:
            missed, refusal = self._look(wanted, own)
            return self._told(own, own, missed, refusal)
        blocks = Blocks(self.grid.rows, self.grid.columns, self.first_step)
        first = blocks.middles(wanted)
        missed, refusal = self._look(first, own)
        seen = blocks.highest(np.nan_to_num(own, nan=0.0))
        # Of a block whose patch could not be read nothing is known.
        close = (seen >= self.closer_from) | blocks.any(first & np.isnan(own))
        close = blocks.spread(ndimage.binary_dilation(close, structure=_AROUND)).astype(np.bool_)
        more, refused = self._look(wanted & close & ~first, own)
        raw = np.where(wanted & ~close, blocks.spread(seen), own)
        return self._told(raw.astype(np.float32), own, missed + more, refused or refusal)

    def _told(self, raw: Floats, own: Floats, missed: int, refusal: InputRefused | None) -> Scan:
        looked = ~np.isnan(own)
        if refusal is not None and not looked.any():
            raise refusal
        return Scan(self.grid, raw, looked, missed, refusal)

    def _look(self, cells: Mask, found: Floats) -> tuple[int, InputRefused | None]:
        """Ask about cells; returns how many patches could not be read, and why the last could not."""
        stream = PatchStream(self.slide, self.grid, np.argwhere(cells), self.batch)
        for batch in stream:
            found[batch.cells[:, 0], batch.cells[:, 1]] = self.ask(batch.pixels)
        return len(stream.unreadable), stream.refusal
