"""What writers of slides share: where pixels come from, which levels a pyramid has, and its tiles one after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from datasets.errors import ConfigError

Pixels = NDArray[Any]

# Tiles are read in runs of so many columns: large reads cost less per pixel, and this bounds the memory.
_RUN_PX = 2048
_NDIM = (2, 3)


class SlideSource(Protocol):
    """What can be written as a slide: an open slide, a phantom, an array."""

    @property
    def size_um(self) -> tuple[float, float]:
        """(width, height) in micrometres."""

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> Pixels:
        """Pixels (rows, columns) or (rows, columns, channels) of a region by its upper left corner, also beyond."""


@dataclass(frozen=True)
class PyramidLevel:
    """One level of a pyramid that is to be written.

    Attributes:
        columns: Number of columns.
        rows: Number of rows.
        mpp: Edge of a pixel in um.
    """

    columns: int
    rows: int
    mpp: float

    def tiling(self, tile_px: int) -> tuple[int, int]:
        """Number of tiles (across, down)."""
        return -(-self.columns // tile_px), -(-self.rows // tile_px)


def plan_levels(
    size_um: tuple[float, float], mpp: float, factor: int, largest_last_px: int
) -> tuple[PyramidLevel, ...]:
    """The levels of a pyramid, finest first, until one is small enough.

    Args:
        size_um: (width, height) of the slide.
        mpp: Edge of a pixel of the finest level.
        factor: By how much each level is coarser than the one before, at least 2.
        largest_last_px: Neither edge of the last level exceeds this.

    Returns:
        At least one. A pixel at the right or lower edge may reach beyond the slide.

    Raises:
        ConfigError: A value is out of range.
    """
    if not (mpp > 0 and min(size_um) > 0 and factor >= 2 and largest_last_px >= 1):
        got = f"{size_um} um at {mpp} um per pixel, a factor of {factor}, {largest_last_px} px"
        raise ConfigError("a size and um per pixel above 0, a factor of 2 or more", got, "give positive values")
    columns, rows = (max(1, round(edge / mpp)) for edge in size_um)
    levels = [PyramidLevel(columns, rows, mpp)]
    step = factor
    while max(levels[-1].columns, levels[-1].rows) > largest_last_px:
        levels.append(PyramidLevel(-(-columns // step), -(-rows // step), mpp * step))
        step *= factor
    return tuple(levels)


def tiles(source: SlideSource, level: PyramidLevel, tile_px: int, fill: int) -> Iterator[Pixels]:
    """The tiles of a level, row by row, each a full square: what lies beyond the level is filled.

    Args:
        source: Where from.
        level: Which level.
        tile_px: Edge of a tile.
        fill: Value beyond the level.

    Yields:
        (tile_px, tile_px) or (tile_px, tile_px, channels), contiguous.
    """
    run = max(1, _RUN_PX // tile_px) * tile_px
    for top in range(0, level.rows, tile_px):
        rows = min(tile_px, level.rows - top)
        for left in range(0, level.columns, run):
            columns = min(run, level.columns - left)
            part = source.read(left * level.mpp, top * level.mpp, columns, rows, level.mpp)
            for start in range(0, columns, tile_px):
                piece = part[:, start : start + tile_px]
                missing = [(0, tile_px - piece.shape[0]), (0, tile_px - piece.shape[1])]
                missing += [(0, 0)] * (piece.ndim - 2)
                yield np.ascontiguousarray(np.pad(piece, missing, constant_values=fill))


def encode_jpeg(tile: Pixels, quality: int, subsampling: Literal["444", "422"]) -> bytes:
    """A baseline JPEG of uint8 (rows, columns), or of RGB (rows, columns, 3) as YCbCr."""
    if tile.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(tile, level=quality))
    return bytes(
        imagecodecs.jpeg8_encode(tile, level=quality, colorspace="rgb", outcolorspace="ycbcr", subsampling=subsampling)
    )


class ArraySource:
    """A map in memory as a source of levels.

    Args:
        array: uint8 (rows, columns) or (rows, columns, channels).
        mpp: Edge of its pixels in um.
        nearest: Whether coarser levels take the upper left value and not the mean: for labels.

    Raises:
        ConfigError: The array is empty or not of two or three dimensions.
    """

    def __init__(self, array: Pixels, mpp: float, *, nearest: bool = False) -> None:
        if array.ndim not in _NDIM or 0 in array.shape or array.dtype != np.uint8:
            got = f"{array.dtype} {array.shape}"
            raise ConfigError("uint8 (rows, columns) or (rows, columns, channels)", got, "convert the array")
        self._array, self._mpp, self._nearest = array, mpp, nearest

    @property
    def size_um(self) -> tuple[float, float]:
        """(width, height) in micrometres."""
        return self._array.shape[1] * self._mpp, self._array.shape[0] * self._mpp

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> Pixels:
        """A region on the grid of a level: `mpp` a whole multiple of the array's, the corner on a pixel of that grid.

        Pixels that reach beyond the array are the mean of what they hold.

        Raises:
            ConfigError: The region is not on such a grid, or lies beyond the array.
        """
        step = round(mpp / self._mpp)
        left, top = round(x_um / self._mpp), round(y_um / self._mpp)
        exact = np.allclose((step * self._mpp, left * self._mpp, top * self._mpp), (mpp, x_um, y_um), rtol=1e-6)
        part = self._array[max(top, 0) : top + rows * step, max(left, 0) : left + columns * step]
        short = step < 1 or (-(-part.shape[0] // step), -(-part.shape[1] // step)) != (rows, columns)
        if short or not exact or min(left, top) < 0:
            got = f"{columns} x {rows} px from {(x_um, y_um)} um at {mpp} um"
            raise ConfigError("a region on the grid of the array and within it", got, "read whole pixels")
        if self._nearest or step == 1:
            return part[::step, ::step]
        return _averaged(part, step)


def _averaged(part: Pixels, step: int) -> Pixels:
    """Means over squares, those at the right and lower edge over what is there."""
    for axis in (0, 1):
        starts = np.arange(0, part.shape[axis], step)
        counts = np.diff(np.append(starts, part.shape[axis])).astype(np.float32)
        sums = np.add.reduceat(part, starts, axis=axis, dtype=np.float32)
        part = sums / counts.reshape([-1 if n == axis else 1 for n in range(part.ndim)])
    return np.asarray(np.floor(part + np.float32(0.5)).astype(np.uint8))
