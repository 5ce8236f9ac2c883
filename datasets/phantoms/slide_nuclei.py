"""Nuclei: where they lie, what they look like, and how they are set into a picture."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.phantoms.slide_noise import Cells, Doubles, Floats, Region, cells, subkey, uniform

Stamp = tuple[Cells, Floats, Floats]

_NO_STAMP: Stamp = (np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32))
# Softness of a nucleus' edge: the section is thicker than the focus is deep.
_EDGE_UM = 0.8
_GROUP_RATIO = 1.35
# How far a nucleus strays in its cell of the grid; 1 would let neighbours meet.
_JITTER = 0.8


@dataclass(frozen=True, eq=False)
class Nuclei:
    """Nuclei, one per row of each array.

    Attributes:
        x_um: Centres.
        y_um: Centres.
        radii_um: (n, 2), half axes.
        angle: Of the first half axis.
        density: Concentration of hematoxylin.
        rim: How much darker the edge is than the middle, as a share; vesicular nuclei have more.
        bump: Size of the threefold swing of the outline, 0 for an ellipse.
        nucleolus: Concentration of a dark spot off the middle.
    """

    x_um: Doubles
    y_um: Doubles
    radii_um: Floats
    angle: Floats
    density: Floats
    rim: Floats
    bump: Floats
    nucleolus: Floats

    def __len__(self) -> int:
        return len(self.x_um)

    def chosen(self, keep: NDArray[Any]) -> "Nuclei":
        """Those that a mask or indices name."""
        return Nuclei(*(getattr(self, part.name)[keep] for part in fields(self)))

    @classmethod
    def merged(cls, several: Sequence["Nuclei"]) -> "Nuclei":
        """All of them, in the order given; at least one part."""
        return cls(*(np.concatenate([getattr(nuclei, part.name) for nuclei in several]) for part in fields(cls)))


@dataclass(frozen=True)
class Kind:
    """A kind of nuclei that fill tissue.

    Attributes:
        spacing_um: Edge of the cells of the grid that hold at most one each.
        radius_um: Mean of the geometric mean of the half axes.
        spread: Standard deviation of the logarithm of the size: pleomorphism.
        roundness: Short over long half axis, lowest and highest.
        density: Mean concentration of hematoxylin.
        density_spread: Standard deviation of its logarithm.
        rim: See `Nuclei`; lowest and highest.
        bump: Highest swing of the outline.
        nucleolus: Highest concentration of the dark spot.
    """

    spacing_um: float
    radius_um: float
    spread: float
    roundness: tuple[float, float]
    density: float
    density_spread: float
    rim: tuple[float, float] = (0.0, 0.2)
    bump: float = 0.0
    nucleolus: float = 0.0

    @property
    def cover(self) -> float:
        """Share of the area under nuclei where every cell of the grid holds one, overlaps aside."""
        return float(np.pi * self.radius_um**2 * np.exp(2 * self.spread**2) / self.spacing_um**2)

    @property
    def reach_um(self) -> float:
        """How far a nucleus reaches beyond its cell of the grid."""
        longest = self.radius_um * float(np.exp(2.5 * self.spread) / np.sqrt(self.roundness[0]))
        return 0.5 * self.spacing_um + longest * (1 + self.bump) + 1

    def sites(self, key: int, region: Region, chance: float = 1.0) -> "Sites":
        """Where nuclei may lie that show in a region; `chance` is the highest that any of them will be chosen with."""
        step, reach = self.spacing_um, self.reach_um
        left, top, right, bottom = region.extent_um
        i, j = cells((left - reach, top - reach, right + reach, bottom + reach), step)
        roll = uniform(subkey(key, 3), i, j)
        i, j, roll = i[roll < chance], j[roll < chance], roll[roll < chance]
        # Rows are staggered, so that no columns show.
        x = (i + 0.5 * (j & 1) + 0.5 + _JITTER * (uniform(subkey(key, 0), i, j) - 0.5)) * step
        y = (j + 0.5 + _JITTER * (uniform(subkey(key, 1), i, j) - 0.5)) * step
        return Sites(subkey(key, 2), x, y, i, j, roll)

    def drawn(self, sites: "Sites", keep: NDArray[np.bool_]) -> Nuclei:
        """Draw the looks of the nuclei at the sites that a mask names."""
        x, y, i, j = sites.x_um[keep], sites.y_um[keep], sites.i[keep], sites.j[keep]

        def rolled(number: int) -> Floats:
            return uniform(subkey(sites.key, number), i, j)

        size = self.radius_um * np.exp(self.spread * _normal(rolled(0), rolled(1)))
        flat = np.sqrt(self.roundness[0] + (self.roundness[1] - self.roundness[0]) * rolled(2))
        return Nuclei(
            x,
            y,
            np.stack((size / flat, size * flat), axis=-1).astype(np.float32),
            np.float32(np.pi) * rolled(3),
            (self.density * np.exp(self.density_spread * _normal(rolled(4), rolled(5)))).astype(np.float32),
            np.float32(self.rim[0]) + np.float32(self.rim[1] - self.rim[0]) * rolled(6),
            np.float32(self.bump) * rolled(7),
            np.float32(self.nucleolus) * rolled(8) ** 2,
        )


@dataclass(frozen=True, eq=False)
class Sites:
    """Where nuclei may lie, one per row of each array.

    Attributes:
        key: Of their looks.
        x_um: Centres.
        y_um: Centres.
        i: Integers that their randomness belongs to.
        j: Integers that their randomness belongs to.
        roll: In [0, 1), to choose by.
    """

    key: int
    x_um: Doubles
    y_um: Doubles
    i: Cells
    j: Cells
    roll: Floats


@dataclass(eq=False)
class Layer:
    """What nuclei add to a picture, both (rows, columns).

    Attributes:
        cover: Sum of the shares of each pixel that nuclei cover; above 1 where they overlap.
        hematoxylin: Sum of cover times concentration.
    """

    cover: Floats
    hematoxylin: Floats

    def set_in(self, nuclei: Nuclei, region: Region) -> None:
        """Add nuclei, those of similar size together: each gets a square of pixels as large as the largest needs."""
        reach = nuclei.radii_um[:, 0] * (1 + nuclei.bump)
        order = np.argsort(reach, kind="stable")
        start, stamps = 0, [_NO_STAMP]
        while start < len(order):
            stop = int(np.searchsorted(reach[order], reach[order[start]] * _GROUP_RATIO, side="right"))
            stamps.append(_stamp(nuclei.chosen(order[start:stop]), region, float(reach[order[stop - 1]])))
            start = stop
        pixels, cover, hematoxylin = (np.concatenate(parts) for parts in zip(*stamps, strict=True))
        for layer, weights in ((self.cover, cover), (self.hematoxylin, hematoxylin)):
            layer += np.bincount(pixels, weights, layer.size).reshape(layer.shape).astype(np.float32)


def _stamp(nuclei: Nuclei, region: Region, reach_um: float) -> Stamp:
    """The pixels that nuclei cover, the share of each, and that times the concentration."""
    soft = float(np.hypot(_EDGE_UM, region.mpp))
    half = int(np.ceil((reach_um + soft / 2) / region.mpp))
    offsets = np.arange(-half, half + 1)
    column = np.floor((nuclei.x_um - region.left_um) / region.mpp).astype(np.int64)[:, None] + offsets
    row = np.floor((nuclei.y_um - region.top_um) / region.mpp).astype(np.int64)[:, None] + offsets
    dx = (region.left_um + region.mpp * (column + 0.5) - nuclei.x_um[:, None]).astype(np.float32)[:, None, :]
    dy = (region.top_um + region.mpp * (row + 0.5) - nuclei.y_um[:, None]).astype(np.float32)[:, :, None]
    seen = ((row >= 0) & (row < region.rows))[:, :, None] & ((column >= 0) & (column < region.columns))[:, None, :]
    cover, density = _looks(nuclei, dx, dy, soft)
    keep = np.flatnonzero(seen & (cover > 0))
    pixels = (row[:, :, None] * region.columns + column[:, None, :]).ravel()[keep]
    weights = cover.ravel()[keep]
    return pixels, weights, weights * density.ravel()[keep]


def empty_layer(region: Region) -> Layer:
    """A layer without nuclei."""
    shape = region.rows, region.columns
    return Layer(np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32))


def _looks(nuclei: Nuclei, dx: Floats, dy: Floats, soft_um: float) -> tuple[Floats, Floats]:
    """Cover and concentration in the square of each nucleus, (n, K, K)."""
    a, b = nuclei.radii_um[:, 0, None, None], nuclei.radii_um[:, 1, None, None]
    cos, sin = np.cos(nuclei.angle)[:, None, None], np.sin(nuclei.angle)[:, None, None]
    u = dx * (cos / a) + dy * (sin / a)
    v = dy * (cos / b) - dx * (sin / b)
    squared = u * u + v * v
    distance: NDArray[Any] = np.sqrt(squared)
    if nuclei.bump.any():
        swing = u * (squared - 4 * v * v) / (distance * squared + np.float32(1e-3))
        distance = distance * (1 + nuclei.bump[:, None, None] * swing)
    cover = np.clip((1 - distance) * (np.sqrt(a * b) / np.float32(soft_um)) + np.float32(0.5), 0, 1)
    profile = 1 + nuclei.rim[:, None, None] * (np.minimum(squared, 1) - np.float32(0.5))
    density: NDArray[Any] = nuclei.density[:, None, None] * profile
    if nuclei.nucleolus.any():
        spot = np.exp(-((u - np.float32(0.25)) ** 2 + (v + np.float32(0.15)) ** 2) * np.float32(30))
        density = density + nuclei.nucleolus[:, None, None] * spot
    return cover, density


def _normal(first: Floats, second: Floats) -> Floats:
    """Two uniform numbers to a roughly normal one that never exceeds 2.45 (the difference is triangular)."""
    return np.float32(np.sqrt(6)) * (first - second)
