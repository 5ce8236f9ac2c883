"""Shapes that phantoms are made of: implicit surfaces, each a field (negative inside) with its gradient."""

from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
# Coordinates and components of gradients: arrays that broadcast to the block (K, J, I), often flat along some axes.
Values = NDArray[Any]
Field = tuple[Values, tuple[Values, Values, Values]]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]

_UNBOUNDED: Bounds = (np.full(3, -np.inf), np.full(3, np.inf))
_NONE = np.zeros((), np.float32)


class Part(Protocol):
    """A region of space bounded by smooth surfaces."""

    @property
    def bounds_mm(self) -> Bounds:
        """Lowest and highest corner of a box around the region; infinite where it has no end."""

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """One field with its gradient (per mm) for each bounding surface; inside, all are negative."""


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """A rotated ellipsoid.

    Attributes:
        centre_mm: RAS.
        radii_mm: Half axes.
        rotation: 3x3 whose columns are the directions of the half axes; None: along x, y, z.
    """

    centre_mm: Vector
    radii_mm: Vector
    rotation: NDArray[np.float64] | None = None

    @property
    def volume_ml(self) -> float:
        """4/3 pi a b c."""
        return float(4 / 3 * np.pi * np.prod(self.radii_mm) / 1000)

    @property
    def axes(self) -> NDArray[np.float64]:
        """3x3; the columns are the directions of the half axes."""
        return np.eye(3) if self.rotation is None else self.rotation

    @property
    def bounds_mm(self) -> Bounds:
        """The tight box: the reach along x is the norm of the first row of rotation times radii, and so on."""
        reach = np.linalg.norm(self.axes * np.asarray(self.radii_mm), axis=1)
        return np.asarray(self.centre_mm) - reach, np.asarray(self.centre_mm) + reach

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """(|u|^2 - 1) / 2 with u the position in units of the half axes."""
        u = _into(self.centre_mm, self.rotation, x, y, z)
        scaled = [value * (1 / radius**2) for value, radius in zip(u, self.radii_mm, strict=True)]
        half = sum((value * part for value, part in zip(u, scaled, strict=True)), _NONE) * 0.5 - 0.5
        return [(half, out_of(self.rotation, scaled[0], scaled[1], scaled[2]))]

    def surface(self, count: int, margin_mm: float = 0.0) -> NDArray[np.float64]:
        """Points (count, 3) spread over the surface, moved outwards by about `margin_mm`."""
        radii = np.asarray(self.radii_mm) + margin_mm
        return np.asarray(sphere_points(count) * radii @ self.axes.T + np.asarray(self.centre_mm))


@dataclass(frozen=True)
class HalfSpace:
    """Everything on one side of a plane: normal . p <= offset, the normal being a unit vector."""

    normal: Vector
    offset_mm: float

    @property
    def bounds_mm(self) -> Bounds:
        """No end."""
        return _UNBOUNDED

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """Signed distance to the plane."""
        parts = [value * n for value, n in zip((x, y, z), self.normal, strict=True) if n != 0.0]
        gradient = [np.asarray(n, x.dtype) for n in self.normal]
        return [(sum(parts, _NONE) - self.offset_mm, (gradient[0], gradient[1], gradient[2]))]


@dataclass(frozen=True)
class Tube:
    """A cylinder along z whose section lies between an ellipse (squareness 0) and a rounded box (1).

    The section is (1 - s)(X^2 + Y^2) + s(X^4 + Y^4) = 1, X and Y in units of the half axes.

    Attributes:
        centre_mm: (x, y).
        radii_mm: Half axes along x and y at z = 0.
        squareness: s, 0..1.
        taper: Relative growth of the half axes per mm of z.
    """

    centre_mm: tuple[float, float]
    radii_mm: tuple[float, float]
    squareness: float = 0.0
    taper: float = 0.0

    @property
    def bounds_mm(self) -> Bounds:
        """No end along z; across it only where there is no taper."""
        if self.taper:
            return _UNBOUNDED
        centre, reach = np.array((*self.centre_mm, 0.0)), np.array((*self.radii_mm, np.inf))
        return centre - reach, centre + reach

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """The section's polynomial; the gradient along z, tiny, is left out."""
        s = self.squareness
        u, v = (x - self.centre_mm[0]) * (1 / self.radii_mm[0]), (y - self.centre_mm[1]) * (1 / self.radii_mm[1])
        a, b = self.radii_mm
        if self.taper:
            shrink = 1 / np.maximum(1 + self.taper * z, 0.2)
            u, v = u * shrink, v * shrink
        uu, vv = u * u, v * v
        f = (uu * (1 - s + s * uu) - 1) + vv * (1 - s + s * vv)
        gradient = u * (2 * (1 - s) + 4 * s * uu) * (1 / a), v * (2 * (1 - s) + 4 * s * vv) * (1 / b), _NONE
        return [(f, gradient)]

    def inset(self, by_mm: float) -> "Tube":
        """The tube whose half axes are shorter by `by_mm`."""
        a, b = self.radii_mm
        return Tube(self.centre_mm, (a - by_mm, b - by_mm), self.squareness, self.taper)


@dataclass(frozen=True)
class Slabs:
    """Equal slabs one above the other: those p whose z + slope * y lies within `half_mm` of offset + n * period."""

    period_mm: float
    half_mm: float
    offset_mm: float = 0.0
    slope: float = 0.0

    @property
    def bounds_mm(self) -> Bounds:
        """No end."""
        return _UNBOUNDED

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """Distance to the nearest slab's middle, less its half thickness."""
        t = self.nearest(y, z)
        side = np.sign(t)
        return [(np.abs(t) - self.half_mm, (_NONE, side * self.slope, side))]

    def nearest(self, y: Values, z: Values) -> Values:
        """Signed distance (along z) to the middle of the nearest slab."""
        t = (z + self.slope * y - self.offset_mm) * (1 / self.period_mm)
        return np.asarray((t - np.round(t)) * self.period_mm)


@dataclass(frozen=True)
class Hoops:
    """Ribs: where the wall of a tube meets slanted slabs, with an elliptic section.

    Attributes:
        wall: The middle of the ribs.
        slabs: Their spacing and slant; `half_mm` is half a rib's height.
        half_mm: Half a rib's thickness across the wall.
    """

    wall: Tube
    slabs: Slabs
    half_mm: float

    @property
    def bounds_mm(self) -> Bounds:
        """No end along z."""
        lo, hi = self.wall.bounds_mm
        return lo - self.half_mm, hi + self.half_mm

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """Half of (d / half thickness)^2 + (t / half height)^2 - 1."""
        f, (gx, gy, _) = self.wall.fields(x, y, z)[0]
        norm2 = np.maximum(gx * gx + gy * gy, 1e-12)
        # The polynomial over its slope is the distance to first order, which near the wall is all that counts.
        across = f / (norm2 * self.half_mm**2)
        along = self.slabs.nearest(y, z) * (1 / self.slabs.half_mm**2)
        half = (f * across + along * along * self.slabs.half_mm**2 - 1) * 0.5
        return [(half, (across * gx, across * gy + along * self.slabs.slope, along))]


@dataclass(frozen=True)
class Capsule:
    """A segment with a radius: a stretch of a vessel."""

    start_mm: Vector
    end_mm: Vector
    radius_mm: float

    @property
    def bounds_mm(self) -> Bounds:
        """The box around both ends."""
        ends = np.array((self.start_mm, self.end_mm))
        return ends.min(axis=0) - self.radius_mm, ends.max(axis=0) + self.radius_mm

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """Distance to the segment less the radius."""
        axis = np.subtract(self.end_mm, self.start_mm)
        p = [value - start for value, start in zip((x, y, z), self.start_mm, strict=True)]
        share: Values = sum((value * float(a / (axis @ axis)) for value, a in zip(p, axis, strict=True)), _NONE)
        t = np.clip(share, 0, 1)
        q = [value - t * float(a) for value, a in zip(p, axis, strict=True)]
        d = np.maximum(np.sqrt(sum((value * value for value in q), _NONE)), 1e-6)
        return [(d - self.radius_mm, (q[0] / d, q[1] / d, q[2] / d))]


@cache
def sphere_points(count: int) -> NDArray[np.float64]:
    """Points (count, 3) spread evenly over the unit sphere (Fibonacci lattice); read-only."""
    n = np.arange(count) + 0.5
    z, turn = 1 - 2 * n / count, np.pi * (1 + 5**0.5) * n
    points = np.stack((np.cos(turn) * np.sqrt(1 - z * z), np.sin(turn) * np.sqrt(1 - z * z), z), axis=1)
    points.setflags(write=False)
    return points


def _into(
    centre: Vector, rotation: NDArray[np.float64] | None, x: Values, y: Values, z: Values
) -> tuple[Values, Values, Values]:
    p = x - centre[0], y - centre[1], z - centre[2]
    return p if rotation is None else out_of(rotation.T, *p)


def out_of(rotation: NDArray[np.float64] | None, x: Values, y: Values, z: Values) -> tuple[Values, Values, Values]:
    """Rotate components that may be flat along some axes."""
    if rotation is None:
        return x, y, z
    rows = [x * float(row[0]) + y * float(row[1]) + z * float(row[2]) for row in rotation]
    return rows[0], rows[1], rows[2]
