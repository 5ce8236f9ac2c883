"""How far the border of a predicted mask is from that of a reference: what HD, ASSD, RMSD and NSD are made of.

A border voxel belongs to the mask and has a neighbour by a face that does not; the edge of the image counts as outside.
Distances are between the centres of border voxels, as MONAI measures them (`get_edge_surface_distance`), so a mask has
distance 0 to itself, whatever the spacing. Axes along which the image has one voxel are no axes: a picture has a
border in its plane and not everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from datasets.box import bounding_box
from pipelines.metrics.mask_counts import check_masks
from pipelines.regions import Mask

Distances = NDArray[np.float64]

# Larger leaves than SciPy's usual: every tree is asked once.
_LEAF = 32


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two borders, in the unit of the spacing.

    Attributes:
        from_prediction: Of every border voxel of the prediction to the nearest of the reference; infinite where the
            reference is empty.
        from_reference: The other way round.
    """

    from_prediction: Distances
    from_reference: Distances

    @property
    def both_empty(self) -> bool:
        """Whether there is no border on either side."""
        return self.from_prediction.size == 0 and self.from_reference.size == 0

    @property
    def one_empty(self) -> bool:
        """Whether there is a border on one side only: no distance between them is defined."""
        return (self.from_prediction.size == 0) != (self.from_reference.size == 0)

    @property
    def all(self) -> Distances:
        """Of both directions."""
        return np.concatenate([self.from_prediction, self.from_reference])


def surface_distances(
    prediction: Mask, reference: Mask, spacing: Sequence[float] | NDArray[np.float64]
) -> SurfaceDistances:
    """Measure between the borders of two masks.

    Only the box around both is looked at, and of it only border voxels.

    Args:
        prediction: (I, J, K).
        reference: The same shape.
        spacing: Distance of voxel centres along each axis, mm, or 1 for voxels; of a grid whose axes are not
            perpendicular (3, 3) with the step along each axis as a column.

    Returns:
        No distances on an empty side, infinite ones on the other; none at all when both are empty.

    Raises:
        ValueError: The shapes differ, or there are not three axes.
    """
    check_masks(prediction, reference)
    steps = np.asarray(spacing, dtype=np.float64)
    if prediction.ndim != 3 or steps.shape not in {(3,), (3, 3)}:
        raise ValueError(f"expected masks (I, J, K) and three distances; got {prediction.shape} and {steps.shape}")
    steps = np.diag(steps) if steps.ndim == 1 else steps
    box = bounding_box(prediction | reference)
    if box is None:
        return SurfaceDistances(np.empty(0), np.empty(0))
    axes = [axis for axis in range(3) if prediction.shape[axis] > 1]
    first, second = (np.argwhere(border(mask[box], axes)) @ steps.T for mask in (prediction, reference))
    return SurfaceDistances(_nearest(first, second), _nearest(second, first))


def border(mask: Mask, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Voxels of a mask that have a neighbour by a face outside of it; beyond the array is outside.

    Args:
        mask: Any shape.
        axes: Along which neighbours lie.
    """
    inside = np.ones_like(mask)
    for axis in axes:
        along, result = np.moveaxis(mask, axis, 0), np.moveaxis(inside, axis, 0)
        result[1:] &= along[:-1]
        result[:-1] &= along[1:]
        result[0] = result[-1] = False
    edge: Mask = mask & ~inside
    return edge


def _nearest(points: Distances, others: Distances) -> Distances:
    if len(points) == 0 or len(others) == 0:
        return np.full(len(points), np.inf)
    distances: Distances = KDTree(others, leafsize=_LEAF).query(points)[0]
    return distances
