"""The parts of a phantom film that findings take up: each says how far inside a point lies, and its box."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from datasets.phantoms.film_shapes import Box, Stroke, Values
from datasets.phantoms.film_thorax import Lung

# Boxes of regions without a closed formula are as fine as this.
BOX_STEP_MM = 0.25


class Shape(Protocol):
    """Where something is; it may have no end."""

    def depth(self, x: Values, y: Values) -> Values:
        """How far inside points lie in mm, negative outside; zero on the edge, to first order elsewhere."""


class Region(Shape, Protocol):
    """A part of a film."""

    @property
    def box(self) -> Box:
        """The tight box in patient mm."""


@dataclass(frozen=True)
class Cut:
    """The part of a lung that lies within something else.

    Attributes:
        lung: The lung.
        within: The rest of the bounds; None for the whole lung.
    """

    lung: Lung
    within: Shape | None = None

    @property
    def box(self) -> Box:
        """The box of what is drawn, to a quarter of a millimetre outwards."""
        return traced_box(self, self.lung.box)

    def depth(self, x: Values, y: Values) -> Values:
        """The lesser of both depths."""
        depth = self.lung.depth(x, y)
        return depth if self.within is None else np.minimum(depth, self.within.depth(x, y))


@dataclass(frozen=True)
class Fluid:
    """Everything under a meniscus, which climbs towards the wall.

    Attributes:
        side: Of the lung.
        level_y_mm: Height of the surface far from the wall.
        climb_mm: How much higher it is at the wall.
        wall_mm: Distance of the wall from the midline.
        reach_mm: Over which the climb falls to a third.
    """

    side: float
    level_y_mm: float
    climb_mm: float
    wall_mm: float
    reach_mm: float

    def depth(self, x: Values, y: Values) -> Values:
        """Distance under the surface."""
        away = np.maximum(self.wall_mm - np.float32(self.side) * x, 0) / self.reach_mm
        rise = np.exp(-away)
        slope = self.climb_mm / self.reach_mm * rise
        return np.asarray((y - self.level_y_mm + self.climb_mm * rise) / np.sqrt(1 + slope * slope))


@dataclass(frozen=True)
class Band:
    """A rind along the wall of a lung, thickest in its middle.

    Attributes:
        lung: Whose wall.
        span_mm: Heights y between which it lies.
        width_mm: In its middle.
    """

    lung: Lung
    span_mm: tuple[float, float]
    width_mm: float

    def depth(self, x: Values, y: Values) -> Values:
        """Distance from its inner face, along x; the ends are round."""
        top, bottom = self.span_mm
        share = (2 * y - top - bottom) / (bottom - top)
        width = self.width_mm * np.maximum(1 - share * share, 0) ** 0.4
        inner = np.float32(self.lung.side) * x - self.lung.lateral(y) + width
        return np.asarray(np.where(np.abs(share) < 1, inner, -np.abs(inner) - 1.0))


@dataclass(frozen=True)
class Beyond:
    """Everything that is not within a lung: with the lung's former outline, the air around a collapsed one."""

    lung: Lung

    def depth(self, x: Values, y: Values) -> Values:
        """The lung's depth, turned over; its mediastinal side and its dome bound nothing."""
        away = np.float32(self.lung.side) * x
        slope = (self.lung.lateral(y + 0.5) - self.lung.lateral(y - 0.5)).clip(-20, 20)
        wall = (away - self.lung.lateral(y)) / np.sqrt(1 + slope * slope)
        return np.asarray(np.maximum(wall, self.lung.apex_mm[1] - y))


@dataclass(frozen=True)
class Lobe:
    """What lies between two fissures, which are lines.

    Attributes:
        top: (height y at the midline, change of y per mm away from it) of the upper one.
        bottom: Of the lower one.
        side: Of the lung.
    """

    top: tuple[float, float]
    bottom: tuple[float, float]
    side: float

    def depth(self, x: Values, y: Values) -> Values:
        """Distance from the nearer of both."""
        away = np.float32(self.side) * x
        (above, fall), (below, drop) = self.top, self.bottom
        upper = (y - above - fall * away) / np.float32(np.hypot(1, fall))
        return np.asarray(np.minimum(upper, (below + drop * away - y) / np.float32(np.hypot(1, drop))))


@dataclass(frozen=True)
class Plate:
    """The area of a stroke."""

    stroke: Stroke

    @property
    def box(self) -> Box:
        """The box of what is drawn, to a quarter of a millimetre outwards."""
        return traced_box(self, self.stroke.box)

    def depth(self, x: Values, y: Values) -> Values:
        """Distance from the stroke's edge."""
        share, off, radius = self.stroke.across(x, y)
        (ax, ay), (bx, by) = self.stroke.start_mm, self.stroke.end_mm
        ends = np.minimum(share, 1 - share) * np.float32(np.hypot(bx - ax, by - ay))
        return np.asarray(np.minimum(radius - np.abs(off), ends))


@lru_cache(maxsize=512)
def traced_box(region: Region, around: Box) -> Box:
    """The tight box of a region within another box, from points a quarter of a millimetre apart.

    Returns:
        Outer edges of the outermost squares whose middles are inside; no point inside lies more than a quarter of a
        millimetre out of it, and every edge is met by the region to as much. An empty region gives an empty box.
    """
    left, top, right, bottom = around
    x = np.arange(left + BOX_STEP_MM / 2, right, BOX_STEP_MM)[None]
    y = np.arange(top + BOX_STEP_MM / 2, bottom, BOX_STEP_MM)[:, None]
    inside = region.depth(x, y) >= 0
    columns, rows = np.flatnonzero(inside.any(axis=0)), np.flatnonzero(inside.any(axis=1))
    if columns.size == 0:
        return left, top, left, top
    half = BOX_STEP_MM / 2
    return (
        float(x[0, columns[0]]) - half,
        float(y[rows[0], 0]) - half,
        float(x[0, columns[-1]]) + half,
        float(y[rows[-1], 0]) + half,
    )
