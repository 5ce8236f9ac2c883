"""What all sheets are drawn with: colours, type, and dashed lines."""

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

Colour = tuple[int, int, int]
Line = NDArray[np.float64]

BACKGROUND, TEXT, FAINT, TRUTH = (16, 18, 22), (236, 238, 240), (150, 156, 164), (255, 255, 255)
# Drawn larger and shrunk, so that outlines are smooth.
OVERSAMPLING = 2
_DASH_PX = 5.0


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface of all sheets."""
    return ImageFont.load_default(size)


def dashes(points: Line) -> list[Line]:
    """A line (n, 2), in pixels before shrinking, cut into dashes of equal length, however far apart its points lie."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    step = _DASH_PX * OVERSAMPLING
    parts = []
    for start in np.arange(0.0, along[-1], 2 * step):
        at = np.linspace(start, min(start + step, along[-1]), 5)
        parts.append(np.stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)], axis=1))
    return parts
