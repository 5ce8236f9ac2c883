"""Hausdorff distance of two borders (Huttenlocher et al., IEEE TPAMI 1993), and its 95th percentile."""

import numpy as np

from pipelines.metrics.surface_distances import SurfaceDistances

_ROBUST = 95.0


def hausdorff(distances: SurfaceDistances) -> float | None:
    """HD: the largest distance of a border voxel of either to the border of the other.

    Returns:
        None where either is empty: nothing has no distance.
    """
    return hausdorff_percentile(distances, 100.0)


def hausdorff_percentile(distances: SurfaceDistances, percentile: float = _ROBUST) -> float | None:
    """HD95: the larger of the two directed 95th percentiles, as MONAI has it, with linear interpolation between ranks.

    Some tools take the percentile of both directions pooled (DeepMind's surface-distance takes the larger, too); the
    pooled one is never larger, and smaller where one border is much longer than the other.

    Args:
        distances: Of both directions.
        percentile: In [0, 100].

    Returns:
        None where either is empty: nothing has no distance.
    """
    if distances.both_empty or distances.one_empty:
        return None
    return float(max(np.percentile(side, percentile) for side in (distances.from_prediction, distances.from_reference)))
