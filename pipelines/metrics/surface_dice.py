"""Normalised surface Dice (Nikolov et al., "Clinically Applicable Segmentation of Head and Neck Anatomy", JMIR 2021).

The length of a border is counted in border voxels, as MONAI does without `use_subvoxels` (Seidlitz et al., MedIA 2022);
Nikolov et al. weigh border elements by their area, which differs by little on smooth borders.
"""

import numpy as np

from pipelines.metrics.surface_distances import SurfaceDistances

# A distance of three voxels of 0.7 mm is 2.0999999999999996 mm or a hair more: that is the tolerance, not beyond it.
_ROUNDING = 1e-6


def surface_dice(distances: SurfaceDistances, tolerance: float) -> float:
    """NSD: the share of the border voxels of both that lie within a tolerance of the other border.

    Args:
        distances: Of both directions.
        tolerance: In their unit; a distance equal to it lies within.

    Returns:
        In [0, 1]; 1.0 when both are empty (nothing was there and nothing was said), 0.0 when only one is.

    Raises:
        ValueError: The tolerance is below 0 or not finite.
    """
    if not 0.0 <= tolerance < np.inf:
        raise ValueError(f"expected a tolerance of 0 or more; got {tolerance}")
    if distances.both_empty:
        return 1.0
    return float(np.mean(distances.all <= tolerance + _ROUNDING))
