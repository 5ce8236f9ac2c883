"""Lesions found, missed and invented, by one of two stated rules."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datasets.box import bounding_box
from pipelines.metrics.mask_counts import check_masks
from pipelines.metrics.overlap import Overlaps, count_overlaps
from pipelines.regions import Mask, components_by_size

Rule = Literal["overlap", "iou"]
# As LiTS counts (Bilic et al., MedIA 2023), and Kirillov et al. for instances.
USUAL_IOU = 0.5


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of one case, or of several together.

    Attributes:
        reference: Lesions that are there.
        found: Of those, how many a prediction matches.
        predicted: Lesions that were said.
        right: Of those, how many match one that is there.
    """

    reference: int
    found: int
    predicted: int
    right: int

    def __add__(self, other: "LesionCounts") -> "LesionCounts":
        return LesionCounts(
            self.reference + other.reference,
            self.found + other.found,
            self.predicted + other.predicted,
            self.right + other.right,
        )

    @property
    def recall(self) -> float | None:
        """Share of those there that were found; None where there are none."""
        return self.found / self.reference if self.reference else None

    @property
    def precision(self) -> float | None:
        """Share of those said that are there; None where none was said."""
        return self.right / self.predicted if self.predicted else None

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 1.0 where there are none and none was said, 0.0 where only one of the two holds."""
        if self.reference == 0 or self.predicted == 0:
            return 1.0 if self.reference == self.predicted else 0.0
        both = self.found / self.reference + self.right / self.predicted
        return 2.0 * (self.found / self.reference) * (self.right / self.predicted) / both if both else 0.0


@dataclass(frozen=True)
class Lesions:
    """Lesions of a prediction and of a reference in the box around both, numbered by falling size.

    Attributes:
        predicted: (I, J, K) numbers of the predicted lesions, 0 elsewhere.
        reference: The same of the reference.
        offset: Index of the box's first voxel in the image.
        overlaps: What they share.
    """

    predicted: NDArray[np.uint32]
    reference: NDArray[np.uint32]
    offset: tuple[int, int, int]
    overlaps: Overlaps

    def matched(self, rule: Rule, least_iou: float = USUAL_IOU) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which predicted lesions are right, and which of the reference are found.

        Args:
            rule: "overlap": one voxel in common is enough, for any number of partners. "iou": the union overlaps by
                more than `least_iou`, one partner each, the best pairs first.
            least_iou: In [0, 1); of "iou" alone.
        """
        right = np.zeros(self.overlaps.predicted_px.size, dtype=np.bool_)
        found = np.zeros(self.overlaps.reference_px.size, dtype=np.bool_)
        if rule == "overlap":
            right[self.overlaps.predicted] = True
            found[self.overlaps.reference] = True
            return right, found
        iou = self.overlaps.iou
        for pair in np.argsort(-iou, kind="stable"):
            first, second = self.overlaps.predicted[pair], self.overlaps.reference[pair]
            if iou[pair] > least_iou and not right[first] and not found[second]:
                right[first] = found[second] = True
        return right, found

    def counts(self, rule: Rule, least_iou: float = USUAL_IOU) -> LesionCounts:
        """How many, by the rule of `matched`."""
        right, found = self.matched(rule, least_iou)
        return LesionCounts(found.size, int(found.sum()), right.size, int(right.sum()))


def find_lesions(prediction: Mask, reference: Mask) -> Lesions:
    """Number connected regions of both masks; voxels that touch by a corner belong together.

    Args:
        prediction: (I, J, K).
        reference: The same shape.

    Returns:
        Without any lesion on a side that is empty.

    Raises:
        ValueError: The shapes differ.
    """
    check_masks(prediction, reference)
    box = bounding_box(prediction | reference) or (slice(0, 1), slice(0, 1), slice(0, 1))
    predicted, _ = components_by_size(prediction[box])
    there, _ = components_by_size(reference[box])
    i, j, k = (part.start for part in box)
    return Lesions(predicted, there, (i, j, k), count_overlaps(predicted, there))
