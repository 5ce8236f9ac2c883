"""Stain normalisation after Macenko et al., "A method for normalizing histology slides for quantitative analysis" (ISBI
2009): colours of different laboratories and scanners are brought to those of one reference.

MONAI's `ExtractHEStains` and `NormalizeHEStains` do this patch by patch. A patch without one of the stains, of which
every slide has many, then gets vectors out of thin air, and neighbours get different ones; so here the vectors are
estimated once per slide. Some things are done differently on the way: the sign of eigenvectors is settled (left to
chance, angles may lie about the break at pi, and their percentiles then mean nothing), glass has the colour it has
instead of a grey of 240, a pixel is transparent by its mean density (a bound on each colour alone, as in the published
programs, drops eosin, which hardly takes any blue), and dyes that are no H&E, with which margins of a specimen are
marked, do not count. MONAI 1.6 also gives eosin first and hematoxylin second, against what it says and its own
reference.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.histology.ink import ink_colours
from pipelines.histology.light import Floats, Light, Pixels, density_table, optical_density
from pipelines.histology.settings import StainReference, StainSettings

_FEWEST_PIXELS: Final = 2000
# Vectors of real stains are 20 to 45 degrees apart; one stain alone gives two that are nearly the same.
_LEAST_APART_DEG: Final = 8.0
# Hematoxylin takes more from red than eosin does, and both most from green, or nearly so.
_FURTHEST_DEG: Final = 35.0
_STRONG_PERCENTILE: Final = 99.0


@dataclass(frozen=True, eq=False)
class Stains:
    """How a slide is stained.

    Attributes:
        vectors: (2, 3) float64, unit optical densities (red, green, blue) of hematoxylin and of eosin.
        concentrations: (2,), the 99th percentiles of both, natural logarithms.
        light: (3,), grey values of what is not stained.
    """

    vectors: NDArray[np.float64]
    concentrations: NDArray[np.float64]
    light: Light

    @classmethod
    def of(cls, reference: StainReference) -> "Stains":
        """A reference as it stands in the settings."""
        vectors = np.array((reference.hematoxylin, reference.eosin))
        return cls(vectors, np.array(reference.concentrations), np.full(3, reference.light))


def estimate_stains(pixels: Pixels, light: Light, settings: StainSettings) -> Stains | None:
    """Estimate a slide's stains.

    Args:
        pixels: (n, 3), from all over the tissue.
        light: Grey values of bare glass.
        settings: What is transparent, and how many angles at either end are outliers.

    Returns:
        None where pixels are few, or look like no hematoxylin and eosin.
    """
    density = optical_density(pixels[~ink_colours(pixels, light).sure], light)
    density = density[density.mean(axis=1) > settings.min_density].astype(np.float64)
    if len(density) < _FEWEST_PIXELS:
        return None
    plane = np.linalg.eigh(np.cov(density.T))[1][:, :0:-1]  # (3, 2), the direction of most variance first
    # Densities are positive: with their mean on the positive side, angles lie around 0, far from the break.
    plane = plane * np.where(plane.sum(axis=0) < 0, -1.0, 1.0)
    angles = np.arctan2(density @ plane[:, 1], density @ plane[:, 0])
    ends = np.percentile(angles, (settings.percentile, 100 - settings.percentile))
    vectors = np.stack((np.cos(ends), np.sin(ends)), axis=1) @ plane.T
    vectors = np.maximum(vectors, 1e-3)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    # Hematoxylin is the one that takes more from red.
    vectors = vectors[np.argsort(-vectors[:, 0])]
    if not _plausible(vectors, settings.reference):
        return None
    concentrations = np.percentile(density @ np.linalg.pinv(vectors), _STRONG_PERCENTILE, axis=0)
    return Stains(vectors, concentrations, light) if concentrations.min() > 0 else None


def angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Angle between two vectors."""
    cosine = float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@dataclass(frozen=True, eq=False)
class StainNormaliser:
    """Brings the colours of one slide to those of a reference; `of` makes one.

    Attributes:
        densities: (256, 3), optical density of each grey value on this slide.
        mixing: (3, 3), from densities on this slide to those of the reference.
        light: (3,), grey values of the reference's glass.
    """

    densities: Floats
    mixing: Floats
    light: Floats

    @classmethod
    def of(cls, stains: Stains, reference: Stains) -> "StainNormaliser":
        """From one slide's stains to the reference's."""
        scale = reference.concentrations / stains.concentrations
        target = reference.vectors * scale[:, np.newaxis]
        mixing = np.linalg.pinv(stains.vectors) @ target
        return cls(density_table(stains.light), mixing.astype(np.float32), reference.light.astype(np.float32))

    def __call__(self, pixels: Pixels) -> Pixels:
        """Normalise pixels (…, 3); a new array in their shape. What lies outside of both stains is lost."""
        density = np.stack([self.densities[pixels[..., channel], channel] for channel in range(3)], axis=-1)
        grey = self.light * np.exp(-(density @ self.mixing))
        return np.asarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def _plausible(vectors: NDArray[np.float64], reference: StainReference) -> bool:
    usual = np.array((reference.hematoxylin, reference.eosin))
    # Neither takes more from blue than from green; the brown of immunohistochemistry does.
    if (vectors[:, 2] >= vectors[:, 1]).any():
        return False
    far = max(angle_deg(found, wanted) for found, wanted in zip(vectors, usual, strict=True))
    return angle_deg(vectors[0], vectors[1]) >= _LEAST_APART_DEG and far <= _FURTHEST_DEG
