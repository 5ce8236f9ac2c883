"""How much light a slide lets through, and the optical density that follows from it (Beer and Lambert)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Light = NDArray[np.float64]

# Of what is not stained, where a picture shows no bare glass: the usual value since Macenko et al. (2009).
USUAL_LIGHT: Final = 240.0
_NEAR_WHITE = 190
_MOST_SATURATION = 0.05
_FEWEST_SHARE = 0.005
# Pale tissue passes for glass now and then, but is darker: most of the brighter half is glass.
_GLASS_PERCENTILE = 75.0
_FULL = 255


def glass_light(overview: Pixels) -> Light | None:
    """The colour of bare glass.

    Args:
        overview: uint8 (rows, columns, 3).

    Returns:
        Grey values (red, green, blue), or None where too little glass is seen to tell. Pure white, which readers put
        where a file holds nothing, counts only where no other glass is seen.
    """
    darkest = np.asarray(overview.min(axis=-1), dtype=np.uint8)
    brightest = np.asarray(overview.max(axis=-1), dtype=np.uint8)
    pale = (darkest >= _NEAR_WHITE) & (darkest >= (1 - _MOST_SATURATION) * brightest.astype(np.float32))
    absent = darkest == _FULL
    seen = pale & ~absent
    if np.count_nonzero(seen) >= _FEWEST_SHARE * max(int(np.count_nonzero(~absent)), 1):
        return np.asarray(np.percentile(overview[seen], _GLASS_PERCENTILE, axis=0), dtype=np.float64)
    return np.full(3, float(_FULL)) if np.count_nonzero(absent) >= _FEWEST_SHARE * absent.size else None


def density_table(light: Light) -> Floats:
    """Optical density, natural logarithm, of every grey value: (256, 3) for red, green, blue; never below 0."""
    grey = np.maximum(np.arange(_FULL + 1, dtype=np.float64), 1.0)[:, np.newaxis]
    return np.asarray(np.maximum(np.log(light) - np.log(grey), 0.0), dtype=np.float32)


def optical_density(pixels: Pixels, light: Light) -> Floats:
    """Optical density of pixels (…, 3), natural logarithm, in their shape; 0 where they are as bright as the light."""
    table = density_table(light)
    return np.stack([table[pixels[..., channel], channel] for channel in range(3)], axis=-1)
