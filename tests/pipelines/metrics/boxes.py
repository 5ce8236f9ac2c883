"""Boxes of voxels, whose distances are known by hand, and masks at random."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def box(start: tuple[int, int, int], size: tuple[int, int, int], shape: tuple[int, int, int] = (24, 20, 16)) -> Mask:
    mask = np.zeros(shape, dtype=np.bool_)
    mask[tuple(slice(first, first + extent) for first, extent in zip(start, size, strict=True))] = True
    return mask


def random_masks(seed: int, shape: tuple[int, ...] = (14, 12, 9)) -> tuple[Mask, Mask]:
    """Two that overlap in part, with holes, islands and voxels at the edge of the image."""
    rng = np.random.default_rng(seed)
    base = rng.random(shape) < 0.25
    first = base | (rng.random(shape) < 0.1)
    second = base & (rng.random(shape) < 0.8)
    return first, second


def nothing(shape: tuple[int, int, int] = (24, 20, 16)) -> Mask:
    return np.zeros(shape, dtype=np.bool_)
