"""Dice similarity of two masks (Dice, Ecology 1945)."""

import numpy as np

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
    if prediction.shape != reference.shape:
        raise ValueError(f"expected masks of one shape; got {prediction.shape} and {reference.shape}")
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    if total == 0:
        return 1.0
    return 2.0 * float(np.count_nonzero(prediction & reference)) / float(total)
