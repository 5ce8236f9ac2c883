"""Area averaging at places between pixels: a window of a picture at another pixel size, without a shift."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

Pixels = NDArray[np.uint8]

# Above this many pixels per pixel, whole pixels are averaged first: the remaining step of 4 to 8 is done exactly.
_SHRINK_FROM = 8
_WHOLE_TO = 1e-9


@dataclass(frozen=True)
class Box:
    """Whole pixels of a picture: from (left, top) up to, not including, (right, bottom); it may reach outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def columns(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.bottom - self.top


@dataclass(frozen=True)
class Window:
    """Pixels wanted along one axis, in pixels of the picture they are taken from.

    Attributes:
        start: Edge (not centre) of the first wanted pixel; 0 is the picture's edge.
        step: Size of a wanted pixel.
        count: Number of wanted pixels.
    """

    start: float
    step: float
    count: int

    @property
    def shrink(self) -> int:
        """How many pixels are averaged whole before the rest is done exactly; a whole step is divided evenly."""
        most, whole = floor(self.step / (_SHRINK_FROM / 2)), round(self.step)
        if most < 2 or abs(self.step - whole) > _WHOLE_TO * self.step:
            return max(most, 1)
        return max(by for by in range(1, most + 1) if whole % by == 0)

    @property
    def reach(self) -> tuple[int, int]:
        """First pixel that is needed and the one behind the last, both multiples of `shrink`.

        Groups of pixels are counted from the picture's edge, so that a place looks the same through every window.
        """
        margin = 1 if self.step < 1 else 0  # Interpolation looks at the neighbours' centres.
        first = floor(self.start / self.shrink) - margin
        last = ceil((self.start + self.step * self.count) / self.shrink) + margin
        return first * self.shrink, max(last, first + 1) * self.shrink

    def taps(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Indices into the groups of `reach` and their weights, each (taps, count); the weights add up to one."""
        first, stop = (edge // self.shrink for edge in self.reach)
        step = self.step / self.shrink
        left = self.start / self.shrink + step * np.arange(self.count) - first
        if step < 1:  # Between two centres, linearly; at a step of one this is what the average over the area gives.
            left, step = left + step / 2 - 0.5, 1.0
        begin = np.floor(left).astype(np.intp)
        groups = begin + np.arange(ceil(step) + 1)[:, np.newaxis]
        covered = np.minimum(groups + 1, left + step) - np.maximum(groups, left)
        weights = np.clip(covered, 0, 1) / step
        return np.clip(groups, 0, stop - first - 1), weights.astype(np.float32)


def on_white(rgba: Pixels) -> Pixels:
    """Lay pixels with an opacity, (rows, columns, 4), on white: (rows, columns, 3)."""
    opacity = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def sampled(fetch: Callable[[Box], Pixels], across: Window, down: Window) -> Pixels:
    """Average a picture over the areas of the wanted pixels; interpolate linearly where these are smaller than its own.

    Args:
        fetch: Gives the pixels of a box, (rows, columns, 3).
        across: The wanted columns.
        down: The wanted rows.

    Returns:
        (rows, columns, 3). Every value depends on its place alone, not on the window it was asked for in.
    """
    (left, right), (top, bottom) = across.reach, down.reach
    pixels = fetch(Box(left, top, right, bottom))
    if across.shrink > 1 or down.shrink > 1:
        pixels = np.asarray(Pillow.fromarray(pixels).reduce((across.shrink, down.shrink)))
    averaged = _weighted(_weighted(pixels, down).transpose(1, 0, 2), across).transpose(1, 0, 2)
    return np.ascontiguousarray(np.rint(averaged).astype(np.uint8))


def _weighted(pixels: NDArray[np.uint8] | NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Weighted sums along the first axis."""
    indices, weights = window.taps()
    total = np.zeros((window.count, *pixels.shape[1:]), dtype=np.float32)
    for index, weight in zip(indices, weights, strict=True):
        if weight.any():  # Where windows lie on whole pixels, the last tap holds nothing.
            total += pixels[index] * weight[:, np.newaxis, np.newaxis]
    return total
