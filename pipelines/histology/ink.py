"""Pen marks on the glass: colours that no mixture of hematoxylin and eosin has.

Both stains take most from green: optical densities of hematoxylin are about (0.65, 0.70, 0.29), of eosin about
(0.1, 0.95, 0.3) (Ruifrok & Johnston 2001). Blue and green ink take most from red, red ink takes as much from blue as
from green and nothing from red, black ink takes from all alike.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from pipelines.histology.light import Light, Pixels, optical_density
from pipelines.regions import Mask, components_by_size

# Ink on glass is strong; what is paler is a stained section, or the rim of a stroke.
_COOL, _COOL_DENSITY = 1.3, 0.25
# Blood takes nearly as much from blue as from green too, but some from red.
_WARM, _WARM_RED, _WARM_DENSITY = 0.7, 0.12, 1.0
_BLACK, _BLACK_DENSITY = 0.75, 0.9
# Over tissue the densities of both add up, and the colour alone no longer tells.
_OVER_COOL, _OVER_COOL_DENSITY = 0.75, 1.5
_OVER_WARM, _OVER_WARM_RED, _OVER_WARM_DENSITY = 0.65, 0.3, 1.3
_OVER_BLACK, _OVER_BLACK_DENSITY = 0.5, 1.5
# Strokes are hundreds of um wide; thinner lines in a pen's colour are colour fringes of an optical system.
_THINNEST_UM: Final = 40.0
# A stroke's rim is too pale to be told from a stain, and blurs what lies under it.
_RIM_UM: Final = 32.0


@dataclass(frozen=True, eq=False)
class InkColours:
    """Where a picture has a pen's colours.

    Attributes:
        sure: Colours that stained tissue has not.
        over: Colours that ink over tissue may have, and some very dark tissue.
    """

    sure: Mask
    over: Mask


def ink_colours(pixels: Pixels, light: Light) -> InkColours:
    """Which pixels (…, 3) have a pen's colours."""
    density = optical_density(pixels, light)
    red, green, blue = density[..., 0], density[..., 1], density[..., 2]
    most, least = density.max(axis=-1), density.min(axis=-1)
    sure = (
        ((red > _COOL * green) & (most > _COOL_DENSITY))
        | ((blue > _WARM * green) & (red < _WARM_RED * most) & (most > _WARM_DENSITY))
        | ((least > _BLACK * most) & (most > _BLACK_DENSITY))
    )
    over = (
        ((red > _OVER_COOL * green) & (red > _OVER_COOL_DENSITY))
        | ((blue > _OVER_WARM * green) & (red < _OVER_WARM_RED * most) & (most > _OVER_WARM_DENSITY))
        | ((least > _OVER_BLACK * most) & (most > _OVER_BLACK_DENSITY))
    )
    return InkColours(np.asarray(sure), np.asarray(over))


def pen_marks(colours: InkColours, mpp: float, min_area_mm2: float) -> Mask:
    """Strokes with their rims: what is surely ink, and what may be and hangs together with it.

    Args:
        colours: (rows, columns).
        mpp: Micrometres per pixel.
        min_area_mm2: Smaller spots are pigment, dust or folds.
    """
    thin = max(round(_THINNEST_UM / mpp / 2), 1)
    opened = ndimage.binary_opening(colours.sure, iterations=thin)
    strokes = large_regions(opened, min_area_mm2, mpp)
    whole = ndimage.binary_propagation(strokes, mask=strokes | colours.sure | colours.over)
    return np.asarray(ndimage.binary_dilation(whole, iterations=max(round(_RIM_UM / mpp), 1)))


def large_regions(mask: Mask, min_area_mm2: float, mpp: float) -> Mask:
    """The connected regions of a mask (rows, columns) that are at least so large."""
    fewest = max(round(min_area_mm2 * 1e6 / mpp**2), 1)
    return components_by_size(mask[..., np.newaxis], fewest)[0][..., 0] > 0
