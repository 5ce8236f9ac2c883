"""Intersection over union of masks (Jaccard, 1912), at one threshold and as the authors of UNet++ count it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.mask_counts import MaskCounts, count_masks
from pipelines.regions import Mask

# 0.5, 0.55 … 0.95 (the authors' keras/helper_functions.py of UNet++, mean_iou).
THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


def iou(prediction: Mask, reference: Mask) -> float:
    """The pixels in both masks over those in either.

    Args:
        prediction: Any shape.
        reference: The same shape.

    Returns:
        In [0, 1]; 1.0 when both are empty (nothing was there and nothing was said), 0.0 when only one is.

    Raises:
        ValueError: The shapes differ.
    """
    return iou_of(count_masks(prediction, reference))


def iou_of(counts: MaskCounts) -> float:
    """The same from counts, or from the sum of the counts of several cases.

    Returns:
        In [0, 1]; 1.0 when both are empty, 0.0 when only one is.
    """
    return counts.shared / counts.joined if counts.joined else 1.0


def volumetric_overlap_error(counts: MaskCounts) -> float:
    """VOE, what the union has and the overlap has not: 1 - IoU (Heimann et al., IEEE TMI 2009; LiTS).

    Returns:
        In [0, 1]; 0.0 when both are empty, 1.0 when only one is.
    """
    return 1.0 - iou_of(counts)


def two_class_iou(
    probability: NDArray[np.floating], reference: Mask, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Mean IoU of foreground and background, averaged over thresholds of the foreground's probability.

    The measure of Zhou et al. (UNet++, DLMIA 2018) as their code counts it: a pixel is foreground where its probability
    exceeds the threshold, and background is a class like the other. A class that is nowhere, in neither mask, has an
    IoU of 1; the authors leave it out of the mean, which comes to the same, because the other class then has 1, too.

    Args:
        probability: Of the foreground, any shape; or what grows with it, with thresholds on its scale.
        reference: The same shape.
        thresholds: At least one.

    Raises:
        ValueError: The shapes differ, or there is no threshold.
    """
    if not thresholds:
        raise ValueError("expected at least one threshold; got none")
    sums = 0.0
    for threshold in thresholds:
        said = probability > threshold
        sums += 0.5 * (iou(said, reference) + iou(~said, ~reference))
    return sums / len(thresholds)
