"""Panoptic quality of one class (Kirillov, He, Girshick, Rother, Dollár, "Panoptic Segmentation", CVPR 2019)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.overlap import count_overlaps

# Regions that share more than half of their union match; no region can do so with two others (section 4.1).
_MATCH = 0.5


@dataclass(frozen=True)
class PanopticQuality:
    """How well instances were found, and how well those found were outlined.

    Attributes:
        matched: Pairs with an IoU above one half (true positives).
        invented: Predicted instances without a partner (false positives).
        missed: Instances of the reference without a partner (false negatives).
        iou_sum: Sum of the IoU of all pairs.
    """

    matched: int
    invented: int
    missed: int
    iou_sum: float

    @property
    def recognition(self) -> float:
        """Recognition quality RQ, the F1 score of instances; 1.0 where there are none on either side."""
        counted = self.matched + 0.5 * (self.invented + self.missed)
        return self.matched / counted if counted else 1.0

    @property
    def segmentation(self) -> float:
        """Segmentation quality SQ, the mean IoU of the pairs; 1.0 without any instance, 0.0 without any pair."""
        if self.matched:
            return self.iou_sum / self.matched
        return 0.0 if self.invented + self.missed else 1.0

    @property
    def quality(self) -> float:
        """Panoptic quality PQ = SQ * RQ."""
        return self.segmentation * self.recognition


def panoptic_quality(prediction: NDArray[np.integer], reference: NDArray[np.integer]) -> PanopticQuality:
    """Match instances and count.

    Args:
        prediction: A number per instance, 0 for background; any shape.
        reference: The same, of the same shape.

    Raises:
        ValueError: The shapes differ.
    """
    overlaps = count_overlaps(prediction, reference)
    iou = overlaps.iou
    pairs = iou[iou > _MATCH]
    return PanopticQuality(
        matched=int(pairs.size),
        invented=int(overlaps.predicted_px.size - pairs.size),
        missed=int(overlaps.reference_px.size - pairs.size),
        iou_sum=float(pairs.sum()),
    )
