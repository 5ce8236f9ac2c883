"""A stained section on glass whose truth is known by formula, rendered for any region at any resolution.

The slide is a description in micrometres: nothing is stored, and a picture of 100,000 x 100,000 pixels is only ever
rendered in parts. What lies at a place depends on the place alone, so that parts fit together, and levels of a pyramid
show the same tissue.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.errors import ConfigError
from datasets.phantoms.patient import Rng
from datasets.phantoms.slide_artifacts import Artifact, Spoilage, draw_spoilage
from datasets.phantoms.slide_glands import Glands, draw_glands, outside
from datasets.phantoms.slide_noise import Doubles, Floats, Region, subkey
from datasets.phantoms.slide_nuclei import Nuclei, empty_layer
from datasets.phantoms.slide_outline import Outline, Point, draw_outline, inside
from datasets.phantoms.slide_stain import Stain, draw_stain
from datasets.phantoms.slide_tissue import Tissue, draw_tissue

_BLOCK_PX = 512
# Pixels above this size see the mean of many nuclei.
_COARSEST_NUCLEI_UM = 2.6
# Nuclei that would cover a share c of a pixel cover c (1 - this c), because some overlap.
_OVERLAP = np.float32(0.15)
_SMALLEST_SLIDE_UM = 600.0
_PIECE_TRIES, _TUMOR_TRIES = 40, 60
_TUMOR_RADIUS_UM = (120.0, 900.0)
_SMALLEST_TUMOR_UM = 40.0
# Uses of the slide's key besides those of its tissue.
_LAMP, _CAMERA, _CHROMATIN, _GLANDS, _SPOILAGE = 1, 2, 3, 4, 5


@dataclass(frozen=True, eq=False)
class SlidePhantom:
    """A slide stained with hematoxylin and eosin; see `slide_phantom`.

    Coordinates are in micrometres from the upper left corner, x to the right, y downwards.

    Attributes:
        seed: What it was drawn from.
        size_um: (width, height).
        tissue: Tissue and tumours.
        glands: Healthy glands.
        stain: Stains, glass and camera.
        spoilage: Pen strokes, folds, blurs, bubbles, each with `contains(x_um, y_um)`.
        artifacts: What was asked for.
    """

    seed: int
    size_um: Point
    tissue: Tissue
    glands: Glands
    stain: Stain
    spoilage: Spoilage
    artifacts: frozenset[Artifact]

    @property
    def stain_vectors(self) -> NDArray[np.float64]:
        """(2, 3): unit optical densities (red, green, blue) of hematoxylin and of eosin."""
        return self.stain.vectors

    @property
    def tumor_regions(self) -> tuple[Outline, ...]:
        """Where there is tumour: apart from each other, inside the tissue."""
        return self.tissue.tumors

    @property
    def tissue_regions(self) -> tuple[Outline, ...]:
        """The pieces of tissue, apart from each other; fat, lumina and clefts count, and the edge frays by some um."""
        return self.tissue.pieces

    @property
    def tumor_area_mm2(self) -> float:
        """By formula; 0 without tumour."""
        return sum(region.area_um2 for region in self.tumor_regions) / 1e6

    @property
    def tissue_area_mm2(self) -> float:
        """By formula; 0 without tissue."""
        return sum(piece.area_um2 for piece in self.tissue_regions) / 1e6

    def is_tumor(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie in tumour; the arrays broadcast."""
        return _in_any(self.tumor_regions, x_um, y_um)

    def is_tissue(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie in tissue; the arrays broadcast."""
        return _in_any(self.tissue_regions, x_um, y_um)

    def is_pen(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie under ink; the arrays broadcast."""
        shape = np.broadcast_shapes(np.shape(x_um), np.shape(y_um))
        found = np.zeros(shape, dtype=np.bool_)
        for stroke in self.spoilage.strokes:
            found |= stroke.contains(x_um, y_um)
        return found

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> NDArray[np.uint8]:
        """Render a region.

        Args:
            x_um: Left edge of the region, which may reach beyond the slide: there is glass.
            y_um: Upper edge.
            columns: Number of columns; 0 gives an empty picture.
            rows: Number of rows; 0 gives an empty picture.
            mpp: Edge of a pixel in um, above 0.

        Returns:
            uint8 (rows, columns, 3), red, green, blue. A pixel shows about the mean over its area.
        """
        picture = np.empty((rows, columns, 3), dtype=np.uint8)
        for top in range(0, rows, _BLOCK_PX):
            for left in range(0, columns, _BLOCK_PX):
                part = picture[top : top + _BLOCK_PX, left : left + _BLOCK_PX]
                region = Region(x_um + left * mpp, y_um + top * mpp, part.shape[1], part.shape[0], mpp)
                self._render(region, part)
        return picture

    def _render(self, region: Region, out: NDArray[np.uint8]) -> None:
        light = self._spoilt(region)
        lamp = 1 + np.float32(0.006) * region.noise(subkey(self.tissue.key, _LAMP), 2500)
        for channel, grain in enumerate(region.pixel_noise(subkey(self.tissue.key, _CAMERA))):
            grey = light[channel] * lamp * self.stain.glass[channel]
            grey += np.float32(self.stain.noise) * grain
            np.clip(np.rint(grey), 0, 255, out=grey)
            out[..., channel] = grey

    def _spoilt(self, region: Region) -> list[Floats]:
        light = self._blurred(region)
        for bubble in self.spoilage.bubbles:
            bubble.cover(light, region)
        for stroke in self.spoilage.strokes:
            stroke.cover(light, region)
        return light

    def _blurred(self, region: Region) -> list[Floats]:
        for blur in self.spoilage.blurs:
            margin = blur.margin_px(region)
            if margin:
                around = margin * region.mpp
                size = region.columns + 2 * margin, region.rows + 2 * margin
                wide = Region(region.left_um - around, region.top_um - around, *size, region.mpp)
                return blur.cover(self._sharp(wide), region, margin)
        return self._sharp(region)

    def _sharp(self, region: Region) -> list[Floats]:
        """Shares of red, green and blue light that pass the tissue."""
        if all(piece.misses(region, 50) for piece in self.tissue_regions):
            return [np.ones((region.rows, region.columns), dtype=np.float32) for _ in range(3)]
        tissue, key = self.tissue, self.tissue.key
        mix = tissue.mix(region)
        hematoxylin, eosin = tissue.stains(mix, region)
        glands = self.glands.near(region, tissue)
        layer = empty_layer(region)
        coarse = region.mpp > _COARSEST_NUCLEI_UM
        if coarse:
            layer.cover[:], layer.hematoxylin[:] = tissue.mean_cover(mix)
            cover = layer.cover * (1 - _OVERLAP * layer.cover)
        else:
            layer.set_in(Nuclei.merged([outside(tissue.nuclei(region), glands), *self.glands.nuclei(glands)]), region)
            cover = np.minimum(layer.cover, 1)
        self.glands.paint(glands, region, (hematoxylin, eosin), cover if coarse else None)
        blue, red = tissue.regional(region)
        dense = layer.hematoxylin / np.maximum(layer.cover, 1e-6) * np.sqrt(np.maximum(layer.cover, 1))
        chromatin = 1 + np.float32(0.16) * region.noise(subkey(key, _CHROMATIN), 1.6)
        between = self.stain.transmit(hematoxylin * blue, eosin * red)
        within = self.stain.transmit(dense * chromatin * blue, np.float32(0.12) * red)
        light = [low + cover * (high - low) for low, high in zip(between, within, strict=True)]
        for fold in self.spoilage.folds:
            fold.cover(light, region)
        return light


def slide_phantom(
    seed: int,
    size_um: Point = (8000.0, 6000.0),
    *,
    tumors: int | None = None,
    artifacts: Collection[Artifact | str] = (),
) -> SlidePhantom:
    """Draw a slide; the same seed gives the same slide.

    Varied: number and shape of the pieces of tissue, the share of connective, lymphatic and fatty tissue and of glands,
    number, shape, size and grade of the tumours, both stains, their strength over the slide, glass and camera.

    Args:
        seed: Non-negative.
        size_um: (width, height), each at least 600; 25,000 is 100,000 pixels at 40x.
        tumors: Number of regions; drawn from 1 to 3 when None.
        artifacts: What spoils the slide: "pen", "fold", "blur", "bubble"; "blank" for a slide without any tissue.
            They change nothing else, but a blank slide has no tumour.

    Raises:
        ConfigError: The size is too small, a name is no artifact, or the tumours do not fit into the tissue.
    """
    if min(size_um) < _SMALLEST_SLIDE_UM or (tumors is not None and tumors < 0):
        got = f"{size_um[0]:g} x {size_um[1]:g} um with {tumors} tumours"
        raise ConfigError(f"at least {_SMALLEST_SLIDE_UM:g} um each way and no negative number", got, "ask for more")
    asked = _known(artifacts)
    key = subkey(seed, 7)
    # One stream per subject, so that asking for other tumours or artifacts leaves the tissue as it is.
    outlines, inner, make_up, colours, marks = (np.random.default_rng((seed, subject)) for subject in range(30, 35))
    pieces = _draw_pieces(outlines, size_um)
    count = int(inner.integers(1, 4)) if tumors is None else tumors
    regions = _draw_tumors(inner, pieces, count)
    if Artifact.BLANK in asked:
        pieces, regions, around = (), (), (size_um[0] / 2, size_um[1] / 2)
    else:
        around = pieces[0].centre_um
    return SlidePhantom(
        seed,
        (float(size_um[0]), float(size_um[1])),
        draw_tissue(make_up, key, pieces, regions),
        draw_glands(make_up, subkey(key, _GLANDS)),
        draw_stain(colours),
        draw_spoilage(marks, subkey(key, _SPOILAGE), size_um, around, asked),
        asked,
    )


def _known(artifacts: Collection[Artifact | str]) -> frozenset[Artifact]:
    names = [artifact.value for artifact in Artifact]
    unknown = sorted(set(artifacts) - set(names))
    if unknown:
        raise ConfigError(f"some of the artifacts {names}", str(unknown), "ask for these")
    return frozenset(Artifact(name) for name in artifacts)


def _draw_pieces(rng: Rng, size_um: Point) -> tuple[Outline, ...]:
    """One to three pieces side by side, each within its share of the slide."""
    width, height = size_um
    count = int(rng.integers(1, 1 + min(3, max(1, round(1.8 * width / height)))))
    room = width / count
    pieces = []
    for number in range(count):
        centre = (room * (number + 0.5), height * float(rng.uniform(0.46, 0.54)))
        radii = (room * float(rng.uniform(0.34, 0.44)), height * float(rng.uniform(0.28, 0.44)))
        piece = draw_outline(rng, centre, radii, float(rng.uniform(0.1, 0.22)), 16)
        for _ in range(_PIECE_TRIES):
            x, y = piece.outline_um(256, 1.03).T
            if x.min() > room * number and x.max() < room * (number + 1) and y.min() > 0 and y.max() < height:
                break
            radii = (0.95 * radii[0], 0.95 * radii[1])
            piece = Outline(centre, radii, piece.angle, piece.harmonics)
        pieces.append(piece)
    return tuple(pieces)


def _draw_tumors(rng: Rng, pieces: tuple[Outline, ...], count: int) -> tuple[Outline, ...]:
    tumors: list[Outline] = []
    for number in range(count):
        piece = pieces[int(rng.integers(len(pieces)))]
        highest = min(_TUMOR_RADIUS_UM[1], 0.45 * piece.mean_radius_um)
        radius = float(np.exp(rng.uniform(np.log(min(_TUMOR_RADIUS_UM[0], highest / 2)), np.log(highest))))
        while radius >= _SMALLEST_TUMOR_UM:
            found = _place(rng, piece, radius, tumors)
            if found is not None:
                tumors.append(found)
                break
            radius *= 0.8
        else:
            got = f"{count} of them, of which {number} fit"
            raise ConfigError("tumours that fit into the tissue", got, "ask for fewer or a larger slide")
    return tuple(tumors)


def _place(rng: Rng, piece: Outline, radius_um: float, others: list[Outline]) -> Outline | None:
    for _ in range(_TUMOR_TRIES):
        away, angle, stretch = np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.25)
        centre = (
            float(piece.centre_um[0] + away * piece.radii_um[0] * np.cos(angle)),
            float(piece.centre_um[1] + away * piece.radii_um[1] * np.sin(angle)),
        )
        tumor = draw_outline(rng, centre, (radius_um * float(stretch), radius_um / float(stretch)), 0.28, 10)
        apart = all(
            np.hypot(*np.subtract(tumor.centre_um, other.centre_um)) > tumor.reach_um + other.reach_um
            for other in others
        )
        if apart and inside(tumor, piece):
            return tumor
    return None


def _in_any(regions: tuple[Outline, ...], x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
    found = np.zeros(np.broadcast_shapes(np.shape(x_um), np.shape(y_um)), dtype=np.bool_)
    for region in regions:
        found |= region.contains(x_um, y_um)
    return found
