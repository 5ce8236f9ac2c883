"""Outlines of tissue and tumour on a slide: ellipses whose radius swings with the angle, with areas by formula."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datasets.phantoms.patient import Rng
from datasets.phantoms.slide_noise import Doubles, Floats, Places, Points, Region

Point = tuple[float, float]

_BLOCK_PX = 32
# Nearer to the centre than this share of the least radius the depth may rise steeply, but is large.
_CORE = 0.6


@dataclass(frozen=True)
class Outline:
    """A star-shaped region: in the frame of its ellipse, r(theta) = 1 + sum of Re(c_k exp(i k theta)), k = 2, 3 …

    Attributes:
        centre_um: (x, y).
        radii_um: Half axes of the ellipse.
        angle: Of the first half axis, in radians, from x towards y.
        harmonics: c_2, c_3 …; the sum of their magnitudes is below 1.
    """

    centre_um: Point
    radii_um: Point
    angle: float
    harmonics: tuple[complex, ...]

    @property
    def area_um2(self) -> float:
        """By formula: half the integral of r^2, pi a b (1 + sum |c_k|^2 / 2)."""
        return float(np.pi * np.prod(self.radii_um) * (1 + 0.5 * np.sum(np.abs(np.asarray(self.harmonics)) ** 2)))

    @cached_property
    def reach_um(self) -> float:
        """No point of the region is farther from the centre."""
        return max(self.radii_um) * (1 + float(np.sum(np.abs(np.asarray(self.harmonics)))))

    @property
    def mean_radius_um(self) -> float:
        """Geometric mean of the half axes."""
        return float(np.sqrt(np.prod(self.radii_um)))

    @cached_property
    def _slope(self) -> tuple[float, float]:
        """By how many um the depth changes at most per um, outside of a core; the least depth (um) within that core."""
        theta = np.linspace(0, 2 * np.pi, 1024)
        waves = [c * np.exp(1j * k * theta) for k, c in enumerate(self.harmonics, start=2)]
        least = 1 + float(np.min(np.real(sum(waves, np.zeros(1024)))))
        swing = float(np.max(np.abs(np.imag(sum((k * w for k, w in enumerate(waves, start=2)), np.zeros(1024))))))
        stretch = self.mean_radius_um / min(self.radii_um)
        steepest = 1.05 * stretch * float(np.hypot(1, swing / (_CORE * least)))
        return steepest, (1 - _CORE) * least * self.mean_radius_um

    def contains(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie inside; the arrays broadcast."""
        return self._height(x_um, y_um, np.complex128) > 0

    def outline_um(self, count: int = 256, scale: float = 1.0) -> Doubles:
        """Points (count, 2) on the outline as (x, y), in the order of the angle; `scale` draws it larger or smaller."""
        theta = 2 * np.pi * np.arange(count) / count
        radius = scale * (
            1
            + sum((np.real(c * np.exp(1j * k * theta)) for k, c in enumerate(self.harmonics, start=2)), np.zeros(count))
        )
        u, v = self.radii_um[0] * radius * np.cos(theta), self.radii_um[1] * radius * np.sin(theta)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.stack((self.centre_um[0] + cos * u - sin * v, self.centre_um[1] + sin * u + cos * v), axis=1)

    def depth_um(self, places: Places, within_um: float = np.inf) -> Floats:
        """Distance to the outline, positive inside; near the outline as exact as r(theta) is gentle.

        Args:
            places: Where.
            within_um: Farther away only the sign counts, and that the value is farther away: large regions are then
                worked out where the outline runs, and nowhere else.
        """
        if isinstance(places, Region) and within_um < np.inf and places.rows * places.columns > 4 * _BLOCK_PX**2:
            return self._depth_by_blocks(places, within_um)
        return np.asarray(np.float32(self.mean_radius_um) * self._height(places.x_um, places.y_um, np.complex64))

    def _depth_by_blocks(self, region: Region, within_um: float) -> Floats:
        edge = _BLOCK_PX * region.mpp
        across, down = -(-region.columns // _BLOCK_PX), -(-region.rows // _BLOCK_PX)
        middle_x = np.asarray(region.left_um + edge * (np.arange(across) + 0.5), dtype=np.float64)
        middle_y = np.asarray(region.top_um + edge * (np.arange(down) + 0.5), dtype=np.float64)
        rough = self.depth_um(Points(middle_x[None, :], middle_y[:, None]))
        blocks = np.repeat(rough[:, :, None, None], _BLOCK_PX, axis=2).repeat(_BLOCK_PX, axis=3)
        steepest, core_um = self._slope
        near = np.abs(np.minimum(rough, core_um)) <= steepest * edge / np.sqrt(2) + within_um
        offsets = region.mpp * (np.arange(_BLOCK_PX) + 0.5 - _BLOCK_PX / 2)
        row, column = near.nonzero()
        blocks[near] = np.float32(self.mean_radius_um) * self._height(
            middle_x[column, None, None] + offsets, middle_y[row, None, None] + offsets[:, None], np.complex64
        )
        whole = blocks.transpose(0, 2, 1, 3).reshape(down * _BLOCK_PX, across * _BLOCK_PX)
        return np.asarray(whole[: region.rows, : region.columns])

    def cover(self, places: Places, edge_um: float) -> Floats:
        """Share of each place that lies inside, 0 to 1, over an edge at least this soft; a single number where all
        places are certainly inside or outside."""
        if self.misses(places, edge_um):
            return np.zeros((), dtype=np.float32)
        if self.holds(places, edge_um):
            return np.ones((), dtype=np.float32)
        width = max(edge_um, places.mpp)
        return np.asarray(np.clip(self.depth_um(places, width) * np.float32(1 / width) + np.float32(0.5), 0, 1))

    def misses(self, places: Places, margin_um: float = 0.0) -> bool:
        """Whether places are certainly free of it, by more than a margin."""
        left, top, right, bottom = places.extent_um
        dx = max(left - self.centre_um[0], 0.0, self.centre_um[0] - right)
        dy = max(top - self.centre_um[1], 0.0, self.centre_um[1] - bottom)
        return bool(np.hypot(dx, dy) > self.reach_um + margin_um + places.mpp)

    def holds(self, places: Places, margin_um: float = 0.0) -> bool:
        """Whether places certainly lie within it, by more than a margin."""
        left, top, right, bottom = places.extent_um
        centre = Points(np.array([(left + right) / 2]), np.array([(top + bottom) / 2]))
        half = float(np.hypot(right - left, bottom - top)) / 2
        steepest, core_um = self._slope
        return min(float(self.depth_um(centre)[0]), core_um) > steepest * half + margin_um

    def _height(self, x_um: Doubles, y_um: Doubles, kind: type) -> NDArray[np.floating]:
        """r(theta) minus the distance from the centre, in the frame of the ellipse."""
        dx, dy = np.asarray(x_um) - self.centre_um[0], np.asarray(y_um) - self.centre_um[1]
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned = (dx * ((cos - 0j) / self.radii_um[0] - 1j * sin / self.radii_um[1])).astype(kind)
        turned = turned + (dy * (sin / self.radii_um[0] + 1j * cos / self.radii_um[1])).astype(kind)
        distance = np.abs(turned)
        direction = turned / np.maximum(distance, 1e-12)
        # Horner's rule over the powers of exp(i theta), without an arc tangent.
        total = np.zeros_like(direction)
        for harmonic in reversed(self.harmonics):
            total = (total + kind(harmonic)) * direction
        return np.asarray(1 + (total * direction).real - distance)


def draw_outline(rng: Rng, centre_um: Point, radii_um: Point, roughness: float, count: int = 8) -> Outline:
    """Draw an outline.

    Args:
        rng: Where from.
        centre_um: (x, y).
        radii_um: Half axes.
        roughness: Size of the swings, 0 for an ellipse, below about 0.3.
        count: Number of harmonics, from the second on; finer ones are smaller.
    """
    k = np.arange(2, 2 + count)
    size = roughness * rng.uniform(0.3, 1.0, count) / k**0.9
    harmonics = size * np.exp(2j * np.pi * rng.random(count))
    angle = float(rng.uniform(-0.35, 0.35))
    return Outline(centre_um, radii_um, angle, tuple(complex(c) for c in harmonics))


def inside(outline: Outline, other: Outline, margin: float = 1.08) -> bool:
    """Whether an outline, drawn larger by a factor, lies within another."""
    x, y = outline.outline_um(128, margin).T
    return bool(np.all(other.depth_um(Points(x, y)) > 0))
