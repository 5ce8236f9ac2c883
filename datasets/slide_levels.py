"""The levels of a pyramid, and by how much each is coarser than the finest."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2


@dataclass(frozen=True)
class SlideLevel:
    """One level of a pyramid.

    Attributes:
        columns: Number of columns.
        rows: Number of rows.
        step: Pixels of the finest level per pixel of this one, (along x, along y).
    """

    columns: int
    rows: int
    step: tuple[float, float]

    @property
    def downsample(self) -> float:
        """Pixels of the finest level per pixel of this one, the mean of both axes."""
        return (self.step[0] + self.step[1]) / 2


def levels_of(sizes: Sequence[tuple[int, int]]) -> tuple[SlideLevel, ...]:
    """The levels of a pyramid by their sizes, (columns, rows) each, finest first.

    A level's size is rounded, so the ratio of sizes is not the downsampling that made it: a whole number that explains
    both axes (powers of two first) is taken for it, and the ratio only where there is none.
    """
    finest = sizes[0]
    return tuple(SlideLevel(*size, _step(finest, size)) for size in sizes)


def _step(finest: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    ratio = (finest[0] / size[0], finest[1] / size[1])
    mean = (ratio[0] * ratio[1]) ** 0.5
    for whole in (2 ** round(log2(mean)), round(mean)):
        # Cut off or filled up, a level differs by less than one of its pixels from the whole number of steps.
        if whole >= 1 and all(abs(n * whole - full) < whole for full, n in zip(finest, size, strict=True)):
            return float(whole), float(whole)
    return ratio


def description_of(
    kind: str, size_px: tuple[int, int], levels: int, mpp: tuple[float, float] | None, more: str = ""
) -> str:
    """A slide in words: its kind, size, number of levels, and micrometres per pixel as far as known."""
    plural = "level" if levels == 1 else "levels"
    if mpp is None:
        told = "um per pixel unknown: state them with --set mpp=..."
    else:
        same = abs(mpp[0] - mpp[1]) <= 1e-3 * mpp[0]
        told = f"{mpp[0]:.4g} um per pixel" if same else f"{mpp[0]:.4g} x {mpp[1]:.4g} um per pixel"
    return f"{kind}, {size_px[0]} x {size_px[1]} pixels, {levels} {plural}, {told}{more}"
