"""What tissue a slide holds where: connective tissue, lymphocytes, fat, tumour, and what they take up of the stains."""

from dataclasses import dataclass, replace

import numpy as np

from datasets.phantoms.patient import Rng
from datasets.phantoms.slide_noise import Doubles, Floats, Places, Points, Region, smoothstep, subkey
from datasets.phantoms.slide_nuclei import Kind, Nuclei
from datasets.phantoms.slide_outline import Outline
from datasets.phantoms.slide_texture import collagen, fat

_NONE = np.zeros((), dtype=np.float32)
# How far the torn edge of the tissue strays from its outline, and how soft the edge of a tumour is.
_FRAY_UM, _TUMOR_EDGE_UM = 5.0, 6.0
# A number for each use of noise, so that no two fields look alike.
_LYMPH, _FAT, _SEPTA, _FLOW, _FRAY, _REGIONAL, _GRAIN = 100, 110, 120, 130, 140, 150, 160
# Chance that a cell of the grid holds a lymphocyte, fibroblast or tumour cell in pure tissue of its kind.
_HIGHEST = (np.float32(0.85), np.float32(0.6), np.float32(0.95))
_LYMPHOCYTES, _FIBROBLASTS, _TUMOR_CELLS = 200, 210, 220


@dataclass(frozen=True, eq=False)
class Mix:
    """Shares of tissues at some places, each 0 to 1, together the share that is tissue at all.

    Attributes:
        stroma: Connective tissue.
        lymph: Crowds of lymphocytes.
        fat: Fat.
        tumor: Tumour cells, without the septa between their nests.
    """

    stroma: Floats
    lymph: Floats
    fat: Floats
    tumor: Floats


@dataclass(frozen=True)
class Tissue:
    """The tissue of a slide.

    Attributes:
        key: Of all noise.
        pieces: Apart from each other.
        tumors: Inside the pieces, apart from each other.
        lymph_from: Level of a noise field above which lymphocytes crowd; higher, fewer.
        fat_from: Level of another above which there is fat.
        flow: Main direction of the fibres in radians.
        lymphocytes: Small, round, dark.
        fibroblasts: Spindles along the fibres.
        tumor_cells: Large, of uneven size, crowded.
    """

    key: int
    pieces: tuple[Outline, ...]
    tumors: tuple[Outline, ...]
    lymph_from: float
    fat_from: float
    flow: float
    lymphocytes: Kind
    fibroblasts: Kind
    tumor_cells: Kind

    def mix(self, places: Places) -> Mix:
        """Shares of the tissues; they broadcast with the places."""
        tissue = _NONE
        for piece in self.pieces:
            tissue = np.maximum(tissue, self._frayed(piece, places))
        tumor = _NONE
        for region in self.tumors:
            tumor = np.maximum(tumor, region.cover(places, _TUMOR_EDGE_UM))
        rest = tissue * (1 - tumor)
        lymph = fatty = _NONE
        if rest.any():
            fatty = rest * self._fat(places)
            lymph = (rest - fatty) * self._lymph(places)
        septa = np.float32(0)
        if tumor.any():
            wall = places.noise(subkey(self.key, _SEPTA), 85)
            septa = tumor * np.exp(-((wall * np.float32(1 / 0.11)) ** 2))
        return Mix(rest - fatty - lymph + septa, lymph, fatty, tumor - septa)

    def stains(self, mix: Mix, region: Region) -> tuple[Floats, Floats]:
        """Concentrations of hematoxylin and eosin between the nuclei, (rows, columns)."""
        key = subkey(self.key, _GRAIN)
        fine, coarse = region.noise(key, 7), region.noise(subkey(key, 1), 16)
        hematoxylin, eosin = np.zeros((2, region.rows, region.columns), dtype=np.float32)
        hematoxylin += np.float32(0.05) * mix.stroma
        if mix.stroma.any():
            u, v = self._along_fibres(region)
            eosin += mix.stroma * collagen().look_up(u, v, region.mpp) * np.float32(0.44)
        if mix.fat.any():
            u, v = np.broadcast_arrays(region.x_um.astype(np.float32), region.y_um.astype(np.float32))
            eosin += mix.fat * fat().look_up(u + 4 * coarse, v, region.mpp) * np.float32(0.35)
        if mix.lymph.any():
            net = np.clip(1 + np.float32(0.25) * coarse + np.float32(0.25) * fine, 0.1, 1.5)
            eosin += mix.lymph * net * np.float32(0.23)
            hematoxylin += mix.lymph * net * np.float32(0.12)
        if mix.tumor.any():
            # Cracks open between the cells.
            solid = smoothstep(-2.0, -1.2, coarse + np.float32(0.4) * fine)
            plasma = solid * (1 + np.float32(0.12) * fine)
            eosin += mix.tumor * plasma * np.float32(0.30)
            hematoxylin += mix.tumor * plasma * np.float32(0.17)
        return hematoxylin, eosin

    def regional(self, region: Region) -> tuple[Floats, Floats]:
        """Factors of hematoxylin and eosin that drift over the slide: the section is not equally thick all over."""
        key = subkey(self.key, _REGIONAL)
        thickness = np.float32(0.10) * region.noise(key, 1500)
        blue = thickness + np.float32(0.13) * region.noise(subkey(key, 1), 1100)
        red = thickness + np.float32(0.12) * region.noise(subkey(key, 2), 900)
        return np.exp(blue), np.exp(red)

    def nuclei(self, region: Region) -> Nuclei:
        """All nuclei that may show in a region, but those of glands."""
        kinds = [(self.lymphocytes, _LYMPHOCYTES), (self.fibroblasts, _FIBROBLASTS), (self.tumor_cells, _TUMOR_CELLS)]
        if all(tumor.misses(region, self.tumor_cells.reach_um) for tumor in self.tumors):
            del kinds[2]
        sites = [
            kind.sites(subkey(self.key, number), region, float(highest))
            for (kind, number), highest in zip(kinds, _HIGHEST, strict=False)
        ]
        x, y = np.concatenate([part.x_um for part in sites]), np.concatenate([part.y_um for part in sites])
        chances = _crowding(self.mix(Points(x, y)))
        ends = np.cumsum([len(part.x_um) for part in sites])
        drawn = []
        for part, (kind, _), chance, end in zip(sites, kinds, chances, ends, strict=False):
            here = np.broadcast_to(chance, x.shape)[end - len(part.x_um) : end]
            drawn.append(kind.drawn(part, part.roll < here))
        spindles = drawn[1]
        # They lie along the fibres, more or less.
        fibres = self._fibre_angle(spindles.x_um, spindles.y_um)
        drawn[1] = replace(spindles, angle=fibres + np.float32(0.25) * (spindles.angle - np.float32(np.pi / 2)))
        return Nuclei.merged(drawn)

    def mean_cover(self, mix: Mix) -> tuple[Floats, Floats]:
        """What nuclei add on average, for pixels too large to tell them apart: cover, and cover times concentration."""
        cover, hematoxylin = np.float32(0) * mix.stroma, np.float32(0) * mix.stroma
        for kind, chance in zip((self.lymphocytes, self.fibroblasts, self.tumor_cells), _crowding(mix), strict=True):
            crowd = np.asarray(chance * np.float32(kind.cover))
            cover = cover + crowd
            hematoxylin = hematoxylin + crowd * np.float32(kind.density)
        return np.asarray(cover), np.asarray(hematoxylin)

    def _frayed(self, piece: Outline, places: Places) -> Floats:
        if piece.misses(places, 4 * _FRAY_UM):
            return _NONE
        if piece.holds(places, 4 * _FRAY_UM):
            return np.ones_like(_NONE)
        key = subkey(self.key, _FRAY)
        torn = places.noise(key, 14) + np.float32(0.5) * places.noise(subkey(key, 1), 5)
        depth = piece.depth_um(places, 10 * _FRAY_UM + places.mpp) + np.float32(_FRAY_UM) * torn
        return np.clip(depth * np.float32(1 / max(2.5, places.mpp)) + np.float32(0.5), 0, 1)

    def _lymph(self, places: Places) -> Floats:
        key = subkey(self.key, _LYMPH)
        field = np.float32(0.8) * places.noise(key, 480) + np.float32(0.5) * places.noise(subkey(key, 1), 150)
        field = field + np.float32(0.25) * places.noise(subkey(key, 2), 40)
        return smoothstep(self.lymph_from - 0.35, self.lymph_from + 0.35, field)

    def _fat(self, places: Places) -> Floats:
        key = subkey(self.key, _FAT)
        field = places.noise(key, 800) + np.float32(0.3) * places.noise(subkey(key, 1), 120)
        return smoothstep(self.fat_from - 0.02, self.fat_from + 0.02, field)

    def _along_fibres(self, places: Places) -> tuple[Floats, Floats]:
        """Coordinates along and across the fibres, which wind."""
        key = subkey(self.key, _FLOW)
        cos, sin = np.cos(self.flow), np.sin(self.flow)
        u = (cos * places.x_um + sin * places.y_um).astype(np.float32) + 60 * places.noise(key, 330)
        v = (cos * places.y_um - sin * places.x_um).astype(np.float32) + 170 * places.noise(subkey(key, 1), 380)
        return u, v + 6 * places.noise(subkey(key, 2), 42)

    def _fibre_angle(self, x_um: Doubles, y_um: Doubles) -> Floats:
        """Direction of the fibres at points: where the coordinate across them does not change."""
        step = 2.0
        here, right, below = (
            self._along_fibres(Points(x_um + dx, y_um + dy))[1] for dx, dy in ((0, 0), (step, 0), (0, step))
        )
        return np.asarray(np.arctan2(here - right, below - here), dtype=np.float32)


def draw_tissue(rng: Rng, key: int, pieces: tuple[Outline, ...], tumors: tuple[Outline, ...]) -> Tissue:
    """Draw the make-up of a slide: much lymphatic tissue or little, fat or none, and the grade of the tumour."""
    grade = rng.uniform(0.9, 1.2)
    return Tissue(
        key,
        pieces,
        tumors,
        float(rng.uniform(-0.5, 1.3)),
        float(rng.uniform(0.8, 2.6)),
        float(rng.uniform(0, np.pi)),
        Kind(7.0, float(rng.uniform(2.6, 3.0)), 0.10, (0.75, 1.0), 1.0, 0.14),
        Kind(19.0, 3.0, 0.2, (0.18, 0.4), 0.85, 0.2),
        Kind(
            float(rng.uniform(11.8, 13.4) * np.sqrt(grade)),
            float(4.6 * grade),
            float(rng.uniform(0.16, 0.24)),
            (0.55, 1.0),
            float(rng.uniform(0.65, 0.95)),
            0.28,
            (0.1, 0.8),
            0.14,
            0.8,
        ),
    )


def _crowding(mix: Mix) -> list[Floats]:
    """Chance that a cell of the grid holds a lymphocyte, a fibroblast, a tumour cell."""
    lymphocyte = _HIGHEST[0] * mix.lymph + np.float32(0.03) * mix.stroma + np.float32(0.015) * mix.tumor
    return [lymphocyte, _HIGHEST[1] * mix.stroma, _HIGHEST[2] * mix.tumor]
