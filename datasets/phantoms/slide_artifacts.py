"""What spoils a slide: a pathologist's pen, a fold, a blurred spot, an air bubble."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from datasets.phantoms.patient import Rng
from datasets.phantoms.slide_noise import Doubles, Floats, Places, Points, Region, subkey
from datasets.phantoms.slide_outline import Outline, Point, draw_outline

# Share of red, green and blue light that passes a felt tip's ink.
INKS = {"green": (0.16, 0.62, 0.36), "blue": (0.13, 0.25, 0.70), "black": (0.12, 0.12, 0.14)}
# Ink lies on the cover glass, out of focus.
_INK_EDGE_UM, _FOLD_EDGE_UM, _BLUR_EDGE_UM = 14.0, 5.0, 160.0
_TRUNCATE = 3.0


class Artifact(StrEnum):
    """What a slide can be spoilt by."""

    PEN = "pen"
    FOLD = "fold"
    BLANK = "blank"
    BLUR = "blur"
    BUBBLE = "bubble"


@dataclass(frozen=True)
class PenStroke:
    """A ring drawn on the cover glass with a felt tip, over glass and tissue.

    Attributes:
        ring: The middle of the stroke.
        width_um: Of the stroke.
        ink: "green", "blue" or "black".
        key: Of its streaks.
    """

    ring: Outline
    width_um: float
    ink: str
    key: int

    def contains(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie under the ink."""
        return np.asarray(np.abs(self.ring.depth_um(Points(x_um, y_um))) <= self.width_um / 2)

    def cover(self, light: list[Floats], region: Region) -> None:
        """Darken what lies under the ink."""
        if self.ring.misses(region, self.width_um):
            return
        away = np.abs(self.ring.depth_um(region, self.width_um + _INK_EDGE_UM + region.mpp))
        ink = np.clip((np.float32(self.width_um / 2) - away) / max(_INK_EDGE_UM, region.mpp) + np.float32(0.5), 0, 1)
        if ink.any():
            ink *= np.clip(0.93 + np.float32(0.08) * region.noise(self.key, 70), 0.6, 1.1)
            for channel, share in zip(light, INKS[self.ink], strict=True):
                channel *= np.exp(np.float32(np.log(share)) * ink)


@dataclass(frozen=True)
class Fold:
    """A band across the slide where the tissue lies double.

    Attributes:
        point_um: On its middle line.
        normal: Unit vector across it.
        half_width_um: Half its width.
        key: Of its winding.
    """

    point_um: Point
    normal: Point
    half_width_um: float
    key: int

    def contains(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie in the band."""
        return np.asarray(self._away(Points(x_um, y_um)) <= self.half_width_um)

    def cover(self, light: list[Floats], region: Region) -> None:
        """Double the optical density in the band."""
        away = self._away(region)
        band = np.clip((np.float32(self.half_width_um) - away) / max(_FOLD_EDGE_UM, region.mpp) + np.float32(0.5), 0, 1)
        if band.any():
            # Along its edges the tissue bends upright.
            steep = 1 + np.float32(0.7) * np.exp(-(((away - self.half_width_um) / 9) ** 2)).astype(np.float32)
            for channel in light:
                channel *= 1 + band * (channel**steep - 1)

    def _away(self, places: Places) -> Floats:
        straight = (places.x_um - self.point_um[0]) * self.normal[0] + (places.y_um - self.point_um[1]) * self.normal[1]
        return np.abs(straight.astype(np.float32) + np.float32(45) * places.noise(self.key, 700))


@dataclass(frozen=True)
class Blur:
    """A spot out of focus.

    Attributes:
        spot: Where.
        sigma_um: Standard deviation of the blur in its middle.
    """

    spot: Outline
    sigma_um: float

    def contains(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie in the spot."""
        return self.spot.contains(x_um, y_um)

    def margin_px(self, region: Region) -> int:
        """How many pixels around a region the blur asks for; 0 where there is none, or too little to be seen."""
        if self.spot.misses(region, _BLUR_EDGE_UM) or self.sigma_um < 0.3 * region.mpp:
            return 0
        return int(_TRUNCATE * self.sigma_um / region.mpp + 1.5)

    def cover(self, light: list[Floats], region: Region, margin: int) -> list[Floats]:
        """The light of a region, out of that of the region with its margin."""
        inner = slice(margin, margin + region.rows), slice(margin, margin + region.columns)
        share = self.spot.cover(region, _BLUR_EDGE_UM)
        sigma = self.sigma_um / region.mpp
        blurred = [gaussian_filter(channel, sigma, truncate=_TRUNCATE)[inner] for channel in light]
        return [sharp[inner] + share * (soft - sharp[inner]) for sharp, soft in zip(light, blurred, strict=True)]


@dataclass(frozen=True)
class Bubble:
    """Air under the cover glass.

    Attributes:
        rim: Its outline.
    """

    rim: Outline

    def contains(self, x_um: Doubles, y_um: Doubles) -> NDArray[np.bool_]:
        """Whether points lie in the bubble."""
        return self.rim.contains(x_um, y_um)

    def cover(self, light: list[Floats], region: Region) -> None:
        """Darken the rim, which bends light away, and dull the inside."""
        if self.rim.misses(region, 60):
            return
        depth = self.rim.depth_um(region, 80.0)
        edge = np.exp(-((np.maximum(depth, -depth * 2) / np.float32(9)) ** 2))
        inside = np.clip(depth / np.float32(6), 0, 1)
        for channel in light:
            channel *= (1 - np.float32(0.75) * edge) * (1 - np.float32(0.06) * inside)


@dataclass(frozen=True)
class Spoilage:
    """All that spoils a slide.

    Attributes:
        strokes: Of a pen.
        folds: Of the tissue.
        blurs: Spots out of focus; at most one.
        bubbles: Of air.
    """

    strokes: tuple[PenStroke, ...] = ()
    folds: tuple[Fold, ...] = ()
    blurs: tuple[Blur, ...] = ()
    bubbles: tuple[Bubble, ...] = ()


def draw_spoilage(rng: Rng, key: int, size_um: Point, around: Point, artifacts: frozenset[Artifact]) -> Spoilage:
    """Draw what spoils a slide.

    Args:
        rng: Where from.
        key: Of its noise.
        size_um: (width, height) of the slide.
        around: A place with tissue, through which folds run.
        artifacts: What is asked for.
    """
    small = min(size_um)
    # Everything is drawn whether asked for or not, so that one does not change another.
    strokes = _draw_strokes(rng, subkey(key, 1), size_um)
    angle = rng.uniform(0, np.pi)
    fold = Fold(around, (float(np.cos(angle)), float(np.sin(angle))), float(rng.uniform(28, 60)), subkey(key, 2))
    near = (around[0] + 0.1 * small * rng.uniform(-1, 1), around[1] + 0.1 * small * rng.uniform(-1, 1))
    blur = Blur(draw_outline(rng, near, (0.22 * small, 0.2 * small), 0.1), float(rng.uniform(4.0, 7.0)))
    radius = float(rng.uniform(0.05, 0.1) * small)
    place = (float(size_um[0] * rng.uniform(0.25, 0.75)), float(size_um[1] * rng.uniform(0.25, 0.75)))
    bubble = Bubble(draw_outline(rng, place, (radius, radius), 0.03, 3))
    return Spoilage(
        strokes if Artifact.PEN in artifacts else (),
        (fold,) if Artifact.FOLD in artifacts else (),
        (blur,) if Artifact.BLUR in artifacts else (),
        (bubble,) if Artifact.BUBBLE in artifacts else (),
    )


def _draw_strokes(rng: Rng, key: int, size_um: Point) -> tuple[PenStroke, ...]:
    small, inks = min(size_um), list(INKS)
    first = int(rng.integers(len(inks)))
    strokes = []
    for number in range(int(rng.integers(1, 3))):
        centre = (float(size_um[0] * rng.uniform(0.2, 0.8)), float(size_um[1] * rng.uniform(0.15, 0.85)))
        ring = draw_outline(rng, centre, tuple(float(r) for r in small * rng.uniform(0.2, 0.35, 2)), 0.08, 4)  # type: ignore[arg-type]
        width = float(rng.uniform(0.03, 0.055) * small)
        strokes.append(PenStroke(ring, width, inks[(first + number) % len(inks)], subkey(key, number)))
    return tuple(strokes)
