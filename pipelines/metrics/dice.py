"""Dice similarity of two masks (Dice, Ecology 1945)."""

from pipelines.metrics.mask_counts import MaskCounts, count_masks
from pipelines.regions import Mask


def dice(prediction: Mask, reference: Mask) -> float:
    """Twice the overlap over the sum of both sizes.

    Args:
        prediction: Any shape.
        reference: The same shape.

    Returns:
        In [0, 1]; 1.0 when both are empty (nothing was there and nothing was said), 0.0 when only one is.

    Raises:
        ValueError: The shapes differ.
    """
    return dice_of(count_masks(prediction, reference))


def dice_of(counts: MaskCounts) -> float:
    """The same from counts; of the sum of the counts of several cases it is their global Dice, as LiTS reports it.

    Returns:
        In [0, 1]; 1.0 when both are empty, 0.0 when only one is.
    """
    total = counts.predicted + counts.reference
    return 2.0 * counts.shared / total if total else 1.0
