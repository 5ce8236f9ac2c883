"""Average and root mean square of the distances between two borders (Heimann et al., IEEE TMI 2009; LiTS)."""

import numpy as np

from pipelines.metrics.surface_distances import SurfaceDistances


def average_symmetric_surface_distance(distances: SurfaceDistances) -> float | None:
    """ASSD: the mean over the border voxels of both, pooled.

    Returns:
        None where either is empty: nothing has no distance.
    """
    if distances.both_empty or distances.one_empty:
        return None
    return float(distances.all.mean())


def root_mean_square_distance(distances: SurfaceDistances) -> float | None:
    """RMSD: the root of the mean square over the border voxels of both, pooled.

    Returns:
        None where either is empty: nothing has no distance.
    """
    if distances.both_empty or distances.one_empty:
        return None
    return float(np.sqrt(np.square(distances.all).mean()))
