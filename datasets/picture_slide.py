"""A slide whose pixels lie in memory: a region someone cut out, or a test's."""

from collections.abc import Sequence

import numpy as np

from datasets.slide import Slide, levels_of
from datasets.slide_sampling import Pixels


class PictureSlide(Slide):
    """A pyramid in memory.

    Args:
        levels: uint8 (rows, columns, 3) each, finest first; at least one.
        mpp: Micrometres per pixel of the finest, one value or (x, y); None where unknown.
        name: What the caller calls it.
        kind: Kind of file it came from.
    """

    def __init__(
        self,
        levels: Sequence[Pixels],
        mpp: float | tuple[float, float] | None,
        name: str = "picture",
        kind: str = "picture",
    ) -> None:
        stated = (mpp, mpp) if isinstance(mpp, (int, float)) else mpp
        super().__init__(name, kind, levels_of([(level.shape[1], level.shape[0]) for level in levels]), stated)
        self._arrays = tuple(np.ascontiguousarray(level) for level in levels)

    def tile_size(self, level: int) -> tuple[int, int]:
        """The whole level is one tile."""
        return self.levels[level].columns, self.levels[level].rows

    def decode_tile(self, level: int, row: int, column: int) -> Pixels:
        """The level."""
        return self._arrays[level]

    def close(self) -> None:
        """Nothing to close."""
