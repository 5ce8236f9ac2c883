"""Healthy glands: rings of even cells around a lumen, which a classifier must not take for tumour."""

from dataclasses import dataclass

import numpy as np

from datasets.phantoms.patient import Rng
from datasets.phantoms.slide_noise import Floats, Points, Region, cells, subkey, uniform
from datasets.phantoms.slide_nuclei import Kind, Nuclei, Sites
from datasets.phantoms.slide_outline import Outline, Point
from datasets.phantoms.slide_tissue import Tissue

_CELL_UM = 150.0
_MOST_NUCLEI = 96
# Where the middles of the nuclei lie below the outer face of the gland, and how far apart.
_BASAL_UM, _PITCH_UM = 5.5, 6.5
# Pixels above this size show no glands.
_COARSEST_UM = 12.0
# Share of the wall that nuclei take, and the wall's own concentrations of hematoxylin and eosin.
_NUCLEI_SHARE, _WALL = 0.3, (0.12, 0.33)


@dataclass(frozen=True)
class Gland:
    """One gland.

    Attributes:
        outline: Its outer face.
        thickness_um: Of its wall.
        i: Column of the grid that holds it.
        j: Row of the grid that holds it.
    """

    outline: Outline
    thickness_um: float
    i: int
    j: int


@dataclass(frozen=True)
class Glands:
    """The glands of a slide, at most one in each cell of a grid.

    Attributes:
        key: Of all their randomness.
        level: Level of a noise field above which there are glands; higher, fewer.
        thickness_um: Mean thickness of their walls.
        cells: The looks of their nuclei.
    """

    key: int
    level: float
    thickness_um: float
    cells: Kind

    def near(self, region: Region, tissue: Tissue) -> list[Gland]:
        """The glands that may show in a region: inside connective tissue or lymphatic tissue, clear of tumour."""
        if region.mpp > _COARSEST_UM:
            return []
        left, top, right, bottom = region.extent_um
        i, j = cells((left - _CELL_UM, top - _CELL_UM, right + _CELL_UM, bottom + _CELL_UM), _CELL_UM)
        x = (i + 0.5 * (j & 1) + 0.5 + 0.45 * (uniform(subkey(self.key, 1), i, j) - 0.5)) * _CELL_UM
        y = (j + 0.5 + 0.45 * (uniform(subkey(self.key, 2), i, j) - 0.5)) * _CELL_UM
        there = (Points(x, y).noise(self.key, 600) > self.level) & (uniform(subkey(self.key, 4), i, j) < 0.8)
        if not there.any():
            return []
        i, j, x, y = i[there], j[there], x[there], y[there]
        radius = 20 + 26 * uniform(subkey(self.key, 3), i, j)
        # Its surroundings are healthy too.
        angle = np.arange(6) * np.pi / 3
        mix = tissue.mix(Points(x[:, None] + 80 * np.cos(angle), y[:, None] + 80 * np.sin(angle)))
        healthy = np.broadcast_to((mix.stroma + mix.lymph > 0.99) & (mix.tumor < 0.01), (len(x), len(angle)))
        found_healthy = np.flatnonzero(healthy.all(axis=1))
        found = [self._gland((float(x[n]), float(y[n])), float(radius[n]), int(i[n]), int(j[n])) for n in found_healthy]
        return [gland for gland in found if not gland.outline.misses(region, 3.0)]

    def nuclei(self, glands: list[Gland]) -> list[Nuclei]:
        """Their nuclei: one row at the foot of the wall, long axes towards the lumen."""
        drawn = []
        for gland in glands:
            radius = gland.outline.mean_radius_um
            count = min(_MOST_NUCLEI, int(2 * np.pi * (radius - _BASAL_UM) / _PITCH_UM))
            x, y = gland.outline.outline_um(count, 1 - _BASAL_UM / radius).T
            i = gland.i * _MOST_NUCLEI + np.arange(count)
            j = np.full(count, gland.j)
            x = x + 2.0 * (uniform(subkey(self.key, 5), i, j) - 0.5)
            y = y + 2.0 * (uniform(subkey(self.key, 6), i, j) - 0.5)
            roll = uniform(subkey(self.key, 7), i, j)
            nuclei = self.cells.drawn(Sites(subkey(self.key, 8), x, y, i, j, roll), roll < 0.96)
            dx, dy = nuclei.x_um - gland.outline.centre_um[0], nuclei.y_um - gland.outline.centre_um[1]
            nuclei.angle[:] = np.arctan2(dy, dx) + 0.3 * (nuclei.angle / np.float32(np.pi) - np.float32(0.5))
            drawn.append(nuclei)
        return drawn

    def paint(self, glands: list[Gland], region: Region, stained: tuple[Floats, Floats], cover: Floats | None) -> None:
        """Replace what the stains show by walls and lumina.

        Args:
            glands: Those near the region.
            region: The pixels.
            stained: Concentrations of hematoxylin and of eosin (rows, columns), changed in place.
            cover: Mean share of other nuclei where single ones are not drawn, changed in place: the walls then take up
                what their nuclei would. None where nuclei are drawn.
        """
        for gland in glands:
            window, columns, rows = _window(gland.outline, region)
            depth = gland.outline.depth_um(window)
            outer = np.clip(depth * np.float32(1 / max(2.0, region.mpp)) + np.float32(0.5), 0, 1)
            lumen = np.clip((depth - np.float32(gland.thickness_um)) / np.float32(max(1.5, region.mpp)) + 0.5, 0, 1)
            wall = (outer - lumen) * (1 + np.float32(0.12) * window.noise(self.key, 6))
            blue = _WALL[0] if cover is None else _WALL[0] + _NUCLEI_SHARE * self.cells.density
            for stain, amount in zip(stained, (blue, _WALL[1]), strict=True):
                stain[rows, columns] += wall * np.float32(amount) - outer * stain[rows, columns]
            if cover is not None:
                cover[rows, columns] *= 1 - outer

    def _gland(self, centre_um: Point, radius: float, i: int, j: int) -> Gland:
        roll = [float(uniform(subkey(self.key, n), np.array([i]), np.array([j]))[0]) for n in range(10, 17)]
        stretch = 0.8 + 0.45 * roll[0]
        harmonics = tuple((0.10 * roll[n] / k) * complex(np.exp(2j * np.pi * roll[n + 3])) for n, k in ((1, 1), (2, 2)))
        outline = Outline(centre_um, (radius * stretch, radius / stretch), float(np.pi * roll[6]), harmonics)
        return Gland(outline, self.thickness_um * (0.9 + 0.2 * roll[3]), i, j)


def outside(nuclei: Nuclei, glands: list[Gland]) -> Nuclei:
    """The nuclei that no gland covers."""
    keep = np.ones(len(nuclei), dtype=np.bool_)
    for gland in glands:
        x, y = gland.outline.centre_um
        near = np.flatnonzero(np.hypot(nuclei.x_um - x, nuclei.y_um - y) < gland.outline.reach_um + 3)
        depth = gland.outline.depth_um(Points(nuclei.x_um[near], nuclei.y_um[near]))
        keep[near] &= depth < -2.5
    return nuclei.chosen(keep)


def draw_glands(rng: Rng, key: int) -> Glands:
    """Draw how many glands a slide has, and how they look."""
    cells = Kind(6.0, float(rng.uniform(2.9, 3.3)), 0.07, (0.5, 0.7), float(rng.uniform(0.7, 0.9)), 0.1, (0.0, 0.4))
    return Glands(key, float(rng.uniform(-0.3, 2.5)), float(rng.uniform(14, 19)), cells)


def _window(outline: Outline, region: Region) -> tuple[Region, slice, slice]:
    """The pixels of a region that an outline reaches."""
    reach = outline.reach_um + 3 + region.mpp
    x, y = outline.centre_um
    left = max(0, int((x - reach - region.left_um) / region.mpp))
    top = max(0, int((y - reach - region.top_um) / region.mpp))
    right = max(left, min(region.columns, int((x + reach - region.left_um) / region.mpp) + 1))
    bottom = max(top, min(region.rows, int((y + reach - region.top_um) / region.mpp) + 1))
    start_x, start_y = region.left_um + left * region.mpp, region.top_um + top * region.mpp
    part = Region(start_x, start_y, right - left, bottom - top, region.mpp)
    return part, slice(left, right), slice(top, bottom)
