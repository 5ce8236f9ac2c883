"""Micrographs of any depth and colour brought to one scale: what a network of nuclei sees."""

import numpy as np
from numpy.typing import NDArray

from datasets.image import Array

CHANNELS = 3
# A picture's own black and white: few pixels beyond them, and none of them alone, decide nothing.
BLACK_PERCENT, WHITE_PERCENT = 0.5, 99.8


def display_range(pixels: Array) -> tuple[float, float]:
    """The values a picture has as black and white, over all its channels together, so that hues stay.

    Args:
        pixels: Of one picture, any shape; not empty.

    Returns:
        Two percentiles, the second larger: by one where all pixels are alike.
    """
    low, high = (float(value) for value in np.percentile(pixels, (BLACK_PERCENT, WHITE_PERCENT)))
    if high <= low:
        # Few bright pixels on a black of one value lie beyond the percentile and are all there is to see.
        low, high = float(pixels.min()), float(pixels.max())
    return low, high if high > low else low + 1.0


def scaled_micrograph(pixels: Array) -> NDArray[np.float32]:
    """A micrograph between its own black and white, in three channels.

    Args:
        pixels: (C, …), C 1 or 3, integers or floats.

    Returns:
        (3, …) float32 in [0, 1]; grey values three times over.
    """
    low, high = display_range(pixels)
    scaled = np.clip((pixels.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.ascontiguousarray(np.broadcast_to(scaled, (CHANNELS, *pixels.shape[1:])))
