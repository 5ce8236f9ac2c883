"""How much larger or smaller a predicted volume is (RVD: Heimann et al., IEEE TMI 2009; LiTS)."""

from pipelines.metrics.mask_counts import MaskCounts

_PERCENT = 100.0


def relative_volume_difference(counts: MaskCounts) -> float | None:
    """RVD, (prediction - reference) / reference; above 0 where too much was said.

    Returns:
        0.0 when both are empty; None when only the reference is, because nothing is no measure of something; -1.0 when
        only the prediction is.
    """
    if counts.reference == 0:
        return None if counts.predicted else 0.0
    return (counts.predicted - counts.reference) / counts.reference


def volume_error_percent(counts: MaskCounts) -> float | None:
    """The same in percent."""
    share = relative_volume_difference(counts)
    return None if share is None else _PERCENT * share


def volume_error_ml(counts: MaskCounts, voxel_ml: float) -> float:
    """Prediction less reference in ml; 0.0 when both are empty, the whole volume with its sign when one is.

    Args:
        counts: Of one case.
        voxel_ml: Volume of a voxel.
    """
    return (counts.predicted - counts.reference) * voxel_ml
