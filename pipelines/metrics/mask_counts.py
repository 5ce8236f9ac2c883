"""How many voxels a predicted mask, a reference and both have: what Dice, IoU and volumes are made of."""

from dataclasses import dataclass

import numpy as np

from pipelines.regions import Mask


@dataclass(frozen=True)
class MaskCounts:
    """Voxels of two masks on one grid; the sum of several counts is that of all their cases together.

    Attributes:
        predicted: In the prediction.
        reference: In the reference.
        shared: In both.
    """

    predicted: int
    reference: int
    shared: int

    def __add__(self, other: "MaskCounts") -> "MaskCounts":
        return MaskCounts(
            self.predicted + other.predicted, self.reference + other.reference, self.shared + other.shared
        )

    @property
    def joined(self) -> int:
        """In either."""
        return self.predicted + self.reference - self.shared


NO_VOXELS = MaskCounts(0, 0, 0)


def count_masks(prediction: Mask, reference: Mask) -> MaskCounts:
    """Count voxels.

    Args:
        prediction: Any shape.
        reference: The same shape.

    Raises:
        ValueError: The shapes differ.
    """
    check_masks(prediction, reference)
    return MaskCounts(
        int(np.count_nonzero(prediction)),
        int(np.count_nonzero(reference)),
        int(np.count_nonzero(prediction & reference)),
    )


def check_masks(prediction: Mask, reference: Mask) -> None:
    """Whether two masks can be compared voxel by voxel.

    Raises:
        ValueError: The shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"expected masks of one shape; got {prediction.shape} and {reference.shape}")
