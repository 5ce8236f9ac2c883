"""Where tissue lies on a slide: what has colour, on an overview, without pen marks, dust and pin-holes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from datasets.slide import Overview
from pipelines.histology.ink import InkColours, ink_colours, large_regions, pen_marks
from pipelines.histology.light import USUAL_LIGHT, Light, Pixels, glass_light
from pipelines.histology.settings import TissueSettings
from pipelines.regions import Mask

_FULL = 255
# Rows that are worked on at once: colours in floating point need twelve times the memory of the overview.
_STRIPE = 512
_SQUARE_UM_PER_MM2 = 1e6


@dataclass(frozen=True, eq=False)
class Tissue:
    """Where tissue lies.

    Attributes:
        mask: (rows, columns); pixel (r, c) covers y in [r, r + 1) * mpp and x in [c, c + 1) * mpp of the slide.
        ink: Pen marks, on the same pixels; never tissue.
        mpp: Micrometres per pixel.
        light: Grey values (red, green, blue) of what is not stained.
        threshold: Saturation above which a pixel was taken for tissue.
    """

    mask: Mask
    ink: Mask
    mpp: float
    light: Light
    threshold: float

    @property
    def area_mm2(self) -> float:
        """Of tissue."""
        return float(np.count_nonzero(self.mask)) * self.mpp**2 / _SQUARE_UM_PER_MM2

    @property
    def ink_mm2(self) -> float:
        """Of pen marks."""
        return float(np.count_nonzero(self.ink)) * self.mpp**2 / _SQUARE_UM_PER_MM2

    def shares(self, cell: int, rows: int, columns: int) -> NDArray[np.float32]:
        """Share of tissue in square cells.

        Args:
            cell: Edge of a cell in pixels of the mask.
            rows: Number of rows of cells; those beyond the mask hold none.
            columns: Number of columns.

        Returns:
            (rows, columns), in [0, 1].
        """
        return np.asarray(self.pixels_in(cell, rows, columns) / cell**2, dtype=np.float32)

    def pixels_in(self, cell: int, rows: int, columns: int) -> NDArray[np.int64]:
        """Number of pixels of tissue in each cell, (rows, columns)."""
        framed = np.zeros((rows * cell, columns * cell), dtype=np.bool_)
        part = self.mask[: rows * cell, : columns * cell]
        framed[: part.shape[0], : part.shape[1]] = part
        return np.asarray(framed.reshape(rows, cell, columns, cell).sum(axis=(1, 3)))


def find_tissue(overview: Overview, settings: TissueSettings) -> Tissue:
    """Find the tissue on an overview.

    A pixel is tissue where its colour, seen against bare glass, is more saturated than a threshold: Otsu's, which must
    lie between two rails. Below the lower one (PCam's filter) there is nothing but glass, so that an empty slide gives
    nothing; above the upper one the rule has told dark tissue from pale, not tissue from glass.

    Returns:
        Possibly without any tissue.
    """
    smooth = np.asarray(ndimage.gaussian_filter(overview.array, sigma=1.0, axes=(0, 1)))
    seen = glass_light(smooth)
    light = np.full(3, USUAL_LIGHT) if seen is None else seen
    saturation = np.zeros(smooth.shape[:2], dtype=np.uint8)
    colours = InkColours(*(np.zeros(smooth.shape[:2], dtype=np.bool_) for _ in range(2)))
    for rows in _stripes(smooth.shape[0]):
        saturation[rows] = np.rint(_FULL * _saturation(smooth[rows], light)).astype(np.uint8)
        part = ink_colours(smooth[rows], light)
        colours.sure[rows], colours.over[rows] = part.sure, part.over
    ink = pen_marks(colours, overview.mpp, settings.min_ink_mm2)
    threshold = min(max(_otsu(saturation[~ink]), settings.min_saturation), settings.max_saturation)
    mask = (saturation > threshold * _FULL) & ~ink
    mask = large_regions(mask, settings.min_area_mm2, overview.mpp)
    holes = ~mask & ~ink
    mask |= holes & ~large_regions(holes, settings.max_hole_mm2, overview.mpp)
    return Tissue(mask, ink, overview.mpp, light, threshold)


def _saturation(pixels: Pixels, light: Light) -> NDArray[np.float32]:
    """1 - least / most of the light that gets through: 0 for glass and grey, 1 for pure colours."""
    through = pixels / light.astype(np.float32)
    return np.asarray(1 - through.min(axis=-1) / np.maximum(through.max(axis=-1), 1 / _FULL), dtype=np.float32)


def _otsu(saturation: NDArray[np.uint8]) -> float:
    counts = np.bincount(saturation, minlength=_FULL + 1)
    if np.count_nonzero(counts) < 2:
        return 0.0
    found = threshold_otsu(hist=(counts, np.arange(_FULL + 1)))  # type: ignore[no-untyped-call]
    return float(found) / _FULL


def _stripes(rows: int) -> Iterator[slice]:
    for start in range(0, rows, _STRIPE):
        yield slice(start, start + _STRIPE)
