"""What drawing must give, by formula: the grid of the tests, brushes and distances on it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHAPE = (48, 40, 12)
SPACING = (1.0, 1.5, 3.0)


def near(plane: tuple[int, int], ends: Any, radius: float) -> NDArray[np.bool_]:
    """(axis of rows, axis of columns) -> voxels of that plane within a radius of the way between two of them."""
    rows, columns = plane
    v, u = np.mgrid[: SHAPE[rows], : SHAPE[columns]]
    first, last = (np.asarray(end, float) * (SPACING[columns], SPACING[rows]) for end in ends)
    points = np.stack([u * SPACING[columns], v * SPACING[rows]], -1)
    way = last - first
    part = np.clip(((points - first) @ way) / max(float(way @ way), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(points - first - part[..., None] * way, axis=-1) <= radius)


def brute_distance(mask: NDArray[np.bool_], steps: tuple[float, float]) -> NDArray[np.float64]:
    """Signed distance by trying every pair of voxels."""
    points = np.argwhere(np.ones_like(mask)) * (steps[1], steps[0])
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    flat = mask.ravel()
    outside, inside = (np.where(flat == want, squares, np.inf).min(1) for want in (False, True))
    return np.where(flat, np.sqrt(outside), -np.sqrt(inside)).reshape(mask.shape)
