"""Discs on a grid of pixels."""

import numpy as np
from numpy.typing import NDArray

Disc = tuple[float, float, float]


def discs(shape: tuple[int, int], *some: Disc) -> NDArray[np.bool_]:
    """True where a pixel's centre lies in any of the discs of (row, column, radius)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for row, column, radius in some:
        mask |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return mask
