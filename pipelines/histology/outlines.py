"""Exact outlines of masks: polygons along the edges of pixels, so that a polygon's area is the area of its pixels.

Contour finders cut corners (scikit-image's go half way between pixels): what is drawn would not be what is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.regions import Mask

Ring = NDArray[np.float64]

# Steps along (x, y), y down: right, down, left, up. Pixels lie to the right hand of who walks along.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


@dataclass(frozen=True, eq=False)
class Polygon:
    """An area with holes. Rings are closed, (n, 2) of (x, y), their last point being their first.

    Attributes:
        exterior: Its `ring_area` is positive: y being down, the ring is seen to run clockwise, and a reader who takes y
            for up, as the standard of GeoJSON does, sees it run counterclockwise.
        holes: Their areas are negative.
    """

    exterior: Ring
    holes: tuple[Ring, ...]

    @property
    def area(self) -> float:
        """In the square of its coordinates' unit."""
        return ring_area(self.exterior) + sum(ring_area(hole) for hole in self.holes)

    def scaled(self, x: float, y: float) -> "Polygon":
        """With coordinates multiplied."""
        factors = np.array((x, y))
        return Polygon(self.exterior * factors, tuple(hole * factors for hole in self.holes))


def ring_area(ring: Ring) -> float:
    """Signed area of a closed ring (n, 2), by Gauss's formula: positive where x turns towards y."""
    x, y = ring[:, 0], ring[:, 1]
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2


def outlines(mask: Mask, corner: tuple[int, int] = (0, 0)) -> tuple[Polygon, ...]:
    """The polygons that cover the true pixels of a mask, and nothing else.

    Pixels that touch by an edge share a polygon; those that touch by a corner alone do not. Rings never touch
    themselves, though a hole may touch its polygon's outline at a corner.

    Args:
        mask: (rows, columns).
        corner: Row and column of the mask's first pixel in a larger one.

    Returns:
        In pixels, (0, 0) being the outer corner of the larger mask's first pixel; none for an empty mask.
    """
    framed = np.pad(mask, 1)
    parts, count = ndimage.label(framed)
    exteriors: list[Ring | None] = [None] * (count + 1)
    holes: list[list[Ring]] = [[] for _ in range(count + 1)]
    shift = np.array((corner[1] - 1, corner[0] - 1))
    for part, points in _rings(framed, parts):
        ring = np.asarray(_corners(points) + shift, dtype=np.float64)
        if ring_area(ring) > 0:
            exteriors[part] = ring
        else:
            holes[part].append(ring)
    return tuple(
        Polygon(exterior, tuple(holes[part])) for part, exterior in enumerate(exteriors) if exterior is not None
    )


Point = tuple[int, int]
Ways = dict[Point, list[int]]


def _rings(framed: Mask, parts: NDArray[np.int32]) -> list[tuple[int, list[Point]]]:
    """Closed walks along edges, none of which meets a point twice, each with the part it bounds."""
    ways = _ways(framed)
    rings = []
    for start in list(ways):  # A dict finds its first key slowly once many are gone.
        walk, met, direction = [start], {start: 0}, 0
        while walk[-1] in ways:
            direction = _way_on(ways, walk[-1], direction)
            x, y = walk[-1][0] + _STEPS[direction][0], walk[-1][1] + _STEPS[direction][1]
            if (x, y) not in met:
                met[x, y] = len(walk)
                walk.append((x, y))
                continue
            # Where two pixels of a part touch by a corner, a walk comes by twice: what lies between is a ring.
            ring = walk[met[x, y] :]
            rings.append((_bounded(parts, ring), [*ring, (x, y)]))
            for passed in ring[1:]:
                del met[passed]
            del walk[met[x, y] + 1 :]
    return rings


def _ways(framed: Mask) -> Ways:
    """The directions in which one can go on from each point, true pixels to the right hand."""
    up, left = np.roll(framed, 1, axis=0), np.roll(framed, 1, axis=1)
    # A pixel's upper edge is walked to the right, its right edge down, its lower edge to the left, its left edge up.
    edges = ((framed & ~up, (0, 0)), (left & ~framed, (0, 0)), (up & ~framed, (1, 0)), (framed & ~left, (0, 1)))
    ways: Ways = {}
    for direction, (mask, (dx, dy)) in enumerate(edges):
        for row, column in np.argwhere(mask).tolist():
            ways.setdefault((column + dx, row + dy), []).append(direction)
    return ways


def _way_on(ways: Ways, point: Point, came: int) -> int:
    """Use up one way on from a point: a turn to the right where there are two, which stays with the same part."""
    there = ways[point]
    right = (came + 1) % len(_STEPS)
    direction = right if right in there else there[0]
    there.remove(direction)
    if not there:
        del ways[point]
    return direction


def _bounded(parts: NDArray[np.int32], ring: Sequence[Point]) -> int:
    """The part to the right hand of a ring's first edge."""
    (x, y), (x_next, y_next) = ring[0], ring[1]
    direction = _STEPS.index((x_next - x, y_next - y))
    dx, dy = ((0, 0), (-1, 0), (-1, -1), (0, -1))[direction]
    return int(parts[y + dy, x + dx])


def _corners(points: Sequence[Point]) -> NDArray[np.int64]:
    """A closed ring (n, 2) without the points at which it goes straight on."""
    ring = np.array(points[:-1], dtype=np.int64)
    turns = (ring - np.roll(ring, 1, axis=0) != np.roll(ring, -1, axis=0) - ring).any(axis=1)
    kept = ring[turns]
    return np.concatenate((kept, kept[:1]))
