"""Measurements of a region in the patient: volume, diameters, attenuation, place."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from skimage.measure import find_contours

from datasets.box import bounding_box
from datasets.geometry import Grid
from pipelines.regions import Mask

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Diameters:
    """The two diameters of RECIST 1.1 (Eisenhauer et al., Eur J Cancer 2009), both in one plane.

    Attributes:
        longest_mm: Longest diameter in any plane of the third index axis.
        perpendicular_mm: Longest chord at right angles to it in the same plane.
        plane: Index of that plane.
    """

    longest_mm: float
    perpendicular_mm: float
    plane: int


def volume_ml(mask: Mask, grid: Grid) -> float:
    """Volume of the true voxels of a mask (I, J, K) in ml; 0.0 for an empty mask."""
    return float(np.count_nonzero(mask)) * grid.voxel_volume_ml


def centroid_mm(mask: Mask, grid: Grid) -> tuple[float, float, float] | None:
    """Mean position of the true voxels of a mask (I, J, K) in RAS mm; None for an empty mask."""
    box = bounding_box(mask)
    if box is None:
        return None
    inside = np.argwhere(mask[box]).mean(axis=0) + [part.start for part in box]
    x, y, z = grid.points_mm(inside)
    return float(x), float(y), float(z)


def mean_value(mask: Mask, values: NDArray[Any]) -> float | None:
    """Mean of `values` (I, J, K) under a mask of the same shape; None for an empty mask."""
    box = bounding_box(mask)
    if box is None:
        return None
    return float(np.mean(values[box][mask[box]], dtype=np.float64))


def axial_diameters(mask: Mask, grid: Grid) -> Diameters | None:
    """Longest diameter over all planes of the third axis, and the longest chord perpendicular to it.

    The outline is traced half way between voxels in and voxels out, so a disc is neither shrunk to its voxel centres
    nor blown up to their corners. Millimetres come from the grid's affine, so pixels may be oblong and axes oblique.

    Args:
        mask: (I, J, K), K the axial slices: reorient to "LPS" before.
        grid: The mask's grid.

    Returns:
        None for an empty mask.
    """
    box = bounding_box(mask)
    if box is None:
        return None
    best: Diameters | None = None
    for plane in range(box[2].start, box[2].stop):
        outline = _outline_mm(mask[box[0], box[1], plane], grid, (box[0].start, box[1].start))
        if outline is None:
            continue
        first, second, longest = _farthest(outline)
        if best is None or longest > best.longest_mm:
            best = Diameters(longest, _widest_across(outline, first, second), plane)
    return best


def _outline_mm(section: Mask, grid: Grid, corner: tuple[int, int]) -> Points | None:
    """Vertices (n, 2) of the convex hull of a section, in mm within its plane; None for an empty section."""
    if not section.any():
        return None
    contours = find_contours(np.pad(section, 1).astype(np.float64), 0.5)  # type: ignore[no-untyped-call]
    indices = np.concatenate(contours) - 1.0 + corner
    steps = grid.affine[:3, :2]
    # An orthonormal frame of the plane: distances in it are distances in the patient, sheared grids included.
    frame, _ = np.linalg.qr(steps)
    points: Points = indices @ steps.T @ frame
    try:
        hull: Points = points[ConvexHull(points).vertices]
    except QhullError:
        return points
    return hull


def _farthest(points: Points) -> tuple[Points, Points, float]:
    between = points[:, np.newaxis] - points[np.newaxis]
    distances = np.sqrt((between**2).sum(axis=-1))
    first, second = np.unravel_index(int(distances.argmax()), distances.shape)
    return points[first], points[second], float(distances[first, second])


def _widest_across(outline: Points, first: Points, second: Points) -> float:
    """Longest chord of a convex outline at right angles to the line from `first` to `second`, in mm."""
    along = (second - first) / np.linalg.norm(second - first)
    across = np.array([-along[1], along[0]])
    s, t = (outline - first) @ along, (outline - first) @ across
    # The outline's vertices above and below the line are two chains; the width between them is piecewise linear, so
    # it is greatest at a vertex of one of them.
    upper, lower = _chain(s, t, 1.0), _chain(s, t, -1.0)
    widths = np.interp(s, *upper) - np.interp(s, *lower)
    return float(widths.max())


def _chain(s: Points, t: Points, side: float) -> tuple[Points, Points]:
    chosen = (side * t >= 0.0) | (s <= s.min()) | (s >= s.max())
    order = np.lexsort((t[chosen], s[chosen]))
    return s[chosen][order], t[chosen][order]
