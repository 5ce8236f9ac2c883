"""Random numbers and smooth noise that belong to a place and not to an order of drawing.

Whatever part of a slide is asked for, and in whatever pieces, the same place gets the same numbers: each comes from a
hash of integer coordinates (lowbias32, C. Wellons 2018, public domain), none from a stream.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Cells = NDArray[np.int64]
# Left, top, right, bottom in um.
Extent = tuple[float, float, float, float]

_MASK = 0xFFFFFFFF
# Uniform numbers through a cubic B-spline in two dimensions: their variance 1/12 times (the integral of B^2)^2.
_UNIT_VARIANCE = float(np.sqrt(12.0) * 315 / 151)
# Noise whose nodes lie less than so many pixels apart is left out: pixels see little of it, and it costs most.
_FINEST = 0.8


class Places(Protocol):
    """Points that fields are evaluated at: the pixels of a region, or single points; x and y broadcast together."""

    @property
    def x_um(self) -> Doubles:
        """Abscissas, to the right."""

    @property
    def y_um(self) -> Doubles:
        """Ordinates, downwards."""

    @property
    def mpp(self) -> float:
        """Micrometres that a value stands for, 0 for points."""

    @property
    def extent_um(self) -> Extent:
        """What encloses them all: left, top, right, bottom."""

    def noise(self, key: int, wavelength_um: float) -> Floats:
        """Smooth noise of mean 0 and variance 1; another key, other noise."""


@dataclass(frozen=True)
class Region:
    """Pixels of a part of a slide; implements `Places`.

    Attributes:
        left_um: Left edge of the first column.
        top_um: Upper edge of the first row.
        columns: Number of columns.
        rows: Number of rows.
        mpp: Edge of a pixel in um.
    """

    left_um: float
    top_um: float
    columns: int
    rows: int
    mpp: float
    _weights: dict[tuple[int, float], tuple[int, Floats]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def x_um(self) -> Doubles:
        """(1, columns), centres of the pixels."""
        return np.asarray(self.left_um + self.mpp * (np.arange(self.columns) + 0.5))[None, :]

    @cached_property
    def y_um(self) -> Doubles:
        """(rows, 1), centres of the pixels."""
        return np.asarray(self.top_um + self.mpp * (np.arange(self.rows) + 0.5))[:, None]

    @property
    def right_um(self) -> float:
        """Right edge of the last column."""
        return self.left_um + self.mpp * self.columns

    @property
    def bottom_um(self) -> float:
        """Lower edge of the last row."""
        return self.top_um + self.mpp * self.rows

    @property
    def extent_um(self) -> Extent:
        """Outer edges of the pixels."""
        return self.left_um, self.top_um, self.right_um, self.bottom_um

    def noise(self, key: int, wavelength_um: float) -> Floats:
        """Mean of the noise over each pixel, exactly: (rows, columns)."""
        if wavelength_um < _FINEST * self.mpp:
            return np.zeros((self.rows, self.columns), dtype=np.float32)
        first_x, along = self._spline(1, wavelength_um)
        first_y, down = self._spline(0, wavelength_um)
        i = np.arange(first_x, first_x + along.shape[1])
        j = np.arange(first_y, first_y + down.shape[1])
        lattice = np.float32(_UNIT_VARIANCE) * (uniform(key, i[None, :], j[:, None]) - np.float32(0.5))
        return np.asarray(down @ lattice @ along.T)

    def pixel_noise(self, key: int) -> list[Floats]:
        """Noise of the camera, (rows, columns) for each of three colours, mean 0 and variance 1: one value per pixel
        whatever its size."""
        # An offset that no usual coordinate sits at keeps rounding from choosing the neighbour.
        i = np.floor(self.left_um / self.mpp + 0.37).astype(np.int64) + np.arange(self.columns)
        j = np.floor(self.top_um / self.mpp + 0.37).astype(np.int64) + np.arange(self.rows)
        bits = _hashed(key, i[None, :], j[:, None])
        scale = np.float32(np.sqrt(12) / 256)
        return [scale * ((bits >> np.uint32(shift)).astype(np.uint8) - np.float32(127.5)) for shift in (24, 16, 8)]

    def _spline(self, axis: int, wavelength_um: float) -> tuple[int, Floats]:
        """Index of the first node and the weights (pixels, nodes) of the spline's mean over each pixel."""
        if (axis, wavelength_um) not in self._weights:
            start, count = ((self.top_um, self.rows), (self.left_um, self.columns))[axis]
            step = self.mpp / wavelength_um
            edges = start / wavelength_um + step * np.arange(count + 1)
            nodes = np.arange(int(np.floor(edges[0])) - 1, int(np.floor(edges[-1])) + 3)
            # The spline of a node rises over the four cells around it: 0 before, 1 after.
            base = np.floor(edges).astype(np.int64)[:, None] + np.arange(-1, 3)
            risen = (nodes < base[:, :1]).astype(np.float64)
            np.put_along_axis(risen, base - nodes[0], _spline_integral(edges[:, None] - base), axis=1)
            self._weights[axis, wavelength_um] = int(nodes[0]), (np.diff(risen, axis=0) / step).astype(np.float32)
        return self._weights[axis, wavelength_um]


@dataclass(frozen=True, eq=False)
class Points:
    """Single points; implements `Places`.

    Attributes:
        x_um: Any shape.
        y_um: The same shape.
    """

    x_um: Doubles
    y_um: Doubles

    @property
    def mpp(self) -> float:
        """Points have no extent."""
        return 0.0

    @cached_property
    def extent_um(self) -> Extent:
        """The box around the points; that of the origin where there are none."""
        x, y = self.x_um, self.y_um
        if 0 in (x.size, y.size):
            return 0.0, 0.0, 0.0, 0.0
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())

    def noise(self, key: int, wavelength_um: float) -> Floats:
        """The noise at the points, in their shape."""
        i, along = _taps(self.x_um / wavelength_um)
        j, down = _taps(self.y_um / wavelength_um)
        lattice = uniform(key, i[..., None, :], j[..., :, None]) - np.float32(0.5)
        return np.asarray(np.float32(_UNIT_VARIANCE) * np.einsum("...ji,...j,...i->...", lattice, down, along))


def subkey(key: int, number: int) -> int:
    """A key that depends on another and a number; for randomness that must not repeat elsewhere."""
    value = (key * 0x9E3779B1 + number * 0x85EBCA77 + 0x165667B1) & _MASK
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & _MASK
    value = ((value ^ (value >> 15)) * 0x846CA68B) & _MASK
    return value ^ (value >> 16)


def cells(extent: Extent, step_um: float) -> tuple[Cells, Cells]:
    """Columns and rows of the cells of a grid that touch an extent, row by row."""
    left, top, right, bottom = (int(np.floor(edge / step_um)) for edge in extent)
    i, j = np.meshgrid(np.arange(left, right + 1, dtype=np.int64), np.arange(top, bottom + 1, dtype=np.int64))
    return np.asarray(i.ravel()), np.asarray(j.ravel())


def uniform(key: int, i: Cells, j: Cells) -> Floats:
    """Numbers in [0, 1) that belong to integer places.

    Args:
        key: Another key, other numbers.
        i: Any integers.
        j: Any integers that broadcast with `i`.

    Returns:
        float32 of the broadcast shape.
    """
    # The upper 24 bits are what float32 holds.
    return (_hashed(key, i, j) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def smoothstep(low: float, high: float, values: Floats) -> Floats:
    """0 below `low`, 1 above `high`, and a smooth rise between them."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (np.float32(3) - np.float32(2) * t))


def _hashed(key: int, i: Cells, j: Cells) -> NDArray[np.uint32]:
    # Arrays of integers wrap around without a warning, which is what a hash wants.
    a = np.atleast_1d(i).astype(np.uint32) * np.uint32(0x9E3779B1)
    b = np.atleast_1d(j).astype(np.uint32) * np.uint32(0xC2B2AE3D) + np.uint32(key)
    b ^= b >> np.uint32(15)
    b *= np.uint32(0x2C1B3C6D)
    value = np.asarray(a + b)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        value ^= value >> np.uint32(shift)
        value *= np.uint32(factor)
    value ^= value >> np.uint32(16)
    return value


def _spline_integral(x: Doubles) -> Doubles:
    """Integral of the cubic B-spline from -2 to x."""
    t = np.clip(np.abs(x), 0, 2)
    inner = 0.5 + t * (2 / 3) - t**3 / 3 + t**4 / 8
    outer = 1 - (2 - t) ** 4 / 24
    half = np.where(t < 1, inner, outer)
    return np.where(x < 0, 1 - half, half)


def _taps(x: Doubles) -> tuple[Cells, Floats]:
    """The four nodes around each coordinate and the cubic B-spline there, last axis."""
    base = np.floor(x)
    t = (x - base)[..., None].astype(np.float32)
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.asarray(np.concatenate(parts, axis=-1) / np.float32(6), dtype=np.float32)
    return base[..., None].astype(np.int64) + np.arange(-1, 3), weights
