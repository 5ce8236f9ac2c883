"""Hematoxylin and eosin on glass: what light of each colour gets through (Beer and Lambert)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.phantoms.patient import Rng
from datasets.phantoms.slide_noise import Floats

# Optical densities (red, green, blue) per unit of stain: hematoxylin, eosin.
# Ruifrok & Johnston, Anal Quant Cytol Histol 23:291 (2001).
RUIFROK = np.array(((0.644211, 0.716556, 0.266844), (0.092789, 0.954111, 0.283111)))
# Macenko et al., ISBI 2009, reference of the authors' program.
MACENKO = np.array(((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581)))

_LN_10 = float(np.log(10))


@dataclass(frozen=True, eq=False)
class Stain:
    """How a slide was stained and scanned.

    Attributes:
        vectors: (2, 3) float64, unit optical densities (red, green, blue) of hematoxylin and of eosin.
        strengths: Concentrations of hematoxylin and eosin relative to a usual slide.
        glass: Grey values (red, green, blue) of bare glass.
        noise: Standard deviation of the camera's noise in grey values.
    """

    vectors: NDArray[np.float64]
    strengths: tuple[float, float]
    glass: NDArray[np.float32]
    noise: float

    def transmit(self, hematoxylin: Floats, eosin: Floats) -> list[Floats]:
        """Share of red, green and blue light that passes, 10^-(concentrations times vectors)."""
        scaled = (-_LN_10 * self.vectors * np.asarray(self.strengths)[:, None]).astype(np.float32)
        return [np.exp(hematoxylin * scaled[0, c] + eosin * scaled[1, c]) for c in range(3)]


def draw_stain(rng: Rng) -> Stain:
    """Draw a laboratory and a scanner: between the vectors of both papers, and a little beyond."""
    vectors = np.stack(
        [
            ruifrok + rng.uniform(0.0, 0.9) * (macenko - ruifrok) + rng.normal(0, 0.02, 3)
            for ruifrok, macenko in zip(RUIFROK, MACENKO, strict=True)
        ]
    ).clip(0.02, None)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    glass = rng.uniform(238, 247) + rng.uniform(-2.0, 2.0, 3)
    strengths = float(rng.uniform(0.75, 1.25)), float(rng.uniform(0.75, 1.3))
    return Stain(vectors, strengths, glass.astype(np.float32), float(rng.uniform(0.6, 1.4)))
