"""What phantom films are drawn with: pixels in millimetres of the patient, ovals and bent strokes.

Patient coordinates of a film in mm: x grows to the image's right, which is the patient's left on a frontal film, y
downwards; the origin is the middle of the chest. Thickness is that of water with the same attenuation.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
Point = tuple[float, float]
# Left, top, right, bottom.
Box = tuple[float, float, float, float]
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Plane:
    """The pixels of a film.

    Attributes:
        x: (1, columns) float32, middle of each column in patient mm.
        y: (rows, 1) float32, middle of each row in patient mm.
        step_mm: Edge of a pixel.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    step_mm: float

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.y.shape[0], self.x.shape[1]

    def part(self, box: Box, room_mm: float = 0.0) -> "tuple[tuple[slice, slice], Plane]":
        """The pixels that a box touches, as slices of (rows, columns) and as a plane of their own; may be empty."""
        left, top, right, bottom = box
        room = room_mm + self.step_mm
        columns = _touched(float(self.x[0, 0]), self.step_mm, (left - room, right + room), self.x.shape[1])
        rows = _touched(float(self.y[0, 0]), self.step_mm, (top - room, bottom + room), self.y.shape[0])
        return (rows, columns), Plane(self.x[:, columns], self.y[rows], self.step_mm)

    def soft(self, depth_mm: Values, edge_mm: float) -> Values:
        """The share of each pixel that is inside.

        Args:
            depth_mm: How far inside a point lies, negative outside.
            edge_mm: Width over which the edge fades; a pixel's width is added to it.
        """
        return np.asarray(np.clip(0.5 + depth_mm / np.float32(np.hypot(edge_mm, self.step_mm)), 0, 1))


def _touched(first: float, step: float, span: tuple[float, float], count: int) -> slice:
    start = int(np.clip(np.floor((span[0] - first) / step), 0, count))
    return slice(start, int(np.clip(np.ceil((span[1] - first) / step) + 1, start, count)))


@dataclass(frozen=True)
class Oval:
    """An ellipse.

    Attributes:
        centre_mm: Of the ellipse.
        radii_mm: Half axes.
        turn_rad: From x towards y (clockwise as it is seen), of the first half axis.
    """

    centre_mm: Point
    radii_mm: Point
    turn_rad: float = 0.0

    @property
    def reach_mm(self) -> Point:
        """Half of the tight box: the projection of a turned ellipse on x and y."""
        (a, b), cos, sin = self.radii_mm, np.cos(self.turn_rad), np.sin(self.turn_rad)
        return float(np.hypot(a * cos, b * sin)), float(np.hypot(a * sin, b * cos))

    @property
    def box(self) -> Box:
        """The tight box by formula."""
        (x, y), (dx, dy) = self.centre_mm, self.reach_mm
        return x - dx, y - dy, x + dx, y + dy

    def square(self, x: Values, y: Values) -> Values:
        """Squared distance from the centre in units of the half axes: 1 on the edge."""
        dx, dy = x - np.float32(self.centre_mm[0]), y - np.float32(self.centre_mm[1])
        cos, sin = np.float32(np.cos(self.turn_rad)), np.float32(np.sin(self.turn_rad))
        along, across = (dx * cos + dy * sin) / self.radii_mm[0], (dy * cos - dx * sin) / self.radii_mm[1]
        return np.asarray(along * along + across * across)

    def depth(self, x: Values, y: Values) -> Values:
        """How far inside a point lies in mm, negative outside; zero on the edge, to first order elsewhere."""
        return np.asarray((1 - np.sqrt(self.square(x, y))) * np.float32(min(self.radii_mm)))

    def add(self, target: Values, plane: Plane, thickness_mm: float, power: float = 0.5) -> None:
        """Add a lens to a film: `thickness_mm` in the middle, (1 - r^2)^power of it elsewhere; 0.5 is an ellipsoid."""
        window, near = plane.part(self.box)
        target[window] += np.float32(thickness_mm) * np.maximum(1 - self.square(near.x, near.y), 0) ** power


@dataclass(frozen=True)
class Stroke:
    """A bent line that grows thinner: vessels, ribs, wires.

    Attributes:
        start_mm: Where it begins.
        end_mm: Where it ends.
        sag_mm: How far its middle is bent off the straight line, towards +y for a stroke that runs along +x.
        radii_mm: Half widths at the start and at the end.
    """

    start_mm: Point
    end_mm: Point
    sag_mm: float
    radii_mm: Point

    @property
    def box(self) -> Box:
        """A box that holds the stroke."""
        room = max(self.radii_mm) + abs(self.sag_mm)
        (ax, ay), (bx, by) = self.start_mm, self.end_mm
        return min(ax, bx) - room, min(ay, by) - room, max(ax, bx) + room, max(ay, by) + room

    def at(self, share: float) -> Point:
        """The point at a share of the way."""
        (ax, ay), (bx, by) = self.start_mm, self.end_mm
        length = float(np.hypot(bx - ax, by - ay))
        bent = 4 * self.sag_mm * share * (1 - share) / length
        return ax + share * (bx - ax) - bent * (by - ay), ay + share * (by - ay) + bent * (bx - ax)

    def across(self, x: Values, y: Values) -> tuple[Values, Values, Values]:
        """Share of the way, signed distance from the middle line and half width (mm) of points."""
        (ax, ay), (bx, by) = self.start_mm, self.end_mm
        length = float(np.hypot(bx - ax, by - ay))
        ux, uy = (bx - ax) / length, (by - ay) / length
        dx, dy = x - np.float32(ax), y - np.float32(ay)
        share = (dx * np.float32(ux) + dy * np.float32(uy)) / np.float32(length)
        bend = 4 * self.sag_mm / length
        off = dy * np.float32(ux) - dx * np.float32(uy) - np.float32(4 * self.sag_mm) * share * (1 - share)
        # Square to the bent line, not to the straight one.
        off = off / np.sqrt(1 + (np.float32(bend) * (1 - 2 * np.clip(share, 0, 1))) ** 2)
        first, last = self.radii_mm
        return share, off, first + np.float32(last - first) * np.clip(share, 0, 1)

    def add(self, target: Values, plane: Plane, thickness_mm: float, hollow: float = 0.0) -> None:
        """Add a round bar to a film; on coarse pixels it is as wide as a pixel and thinner, so that its sum is kept.

        Args:
            target: (rows, columns) mm, changed in place.
            plane: Of the target.
            thickness_mm: In the middle at the thick end; the bar is flattened to it.
            hollow: Share of the thickness that a core of three quarters of the width takes away, as in a bone.
        """
        window, near = plane.part(self.box)
        share, off, radius = self.across(near.x, near.y)
        wide = np.hypot(radius, np.float32(0.6 * plane.step_mm))
        square = (off / wide) ** 2
        bar = np.sqrt(np.maximum(1 - square, 0))
        if hollow:
            bar = bar - np.float32(hollow) * np.sqrt(np.maximum(1 - square / np.float32(0.56), 0))
        length = float(np.hypot(self.end_mm[0] - self.start_mm[0], self.end_mm[1] - self.start_mm[1]))
        # Round ends would cost a root more and are hidden by what strokes begin and end in.
        ends = np.clip(0.5 + np.minimum(share, 1 - share) * np.float32(length / (2.0 + plane.step_mm)), 0, 1)
        largest = np.float32(max(self.radii_mm))
        target[window] += np.float32(thickness_mm) * ends * bar * (radius * radius / (wide * largest))
