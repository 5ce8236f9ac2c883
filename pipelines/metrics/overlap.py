"""How numbered regions of two label maps overlap: what the metrics of instances count."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlaps:
    """Regions of a prediction and of a reference, and every pair of them that shares a pixel.

    Regions are counted from 0 in the order of their numbers in the label map; background is no region.

    Attributes:
        predicted_px: Size of each predicted region.
        reference_px: Size of each region of the reference.
        predicted: Of each pair, which predicted region.
        reference: Of each pair, which region of the reference.
        shared_px: Of each pair, the pixels in both.
    """

    predicted_px: NDArray[np.intp]
    reference_px: NDArray[np.intp]
    predicted: NDArray[np.intp]
    reference: NDArray[np.intp]
    shared_px: NDArray[np.intp]

    @property
    def joined_px(self) -> NDArray[np.intp]:
        """Of each pair, the pixels in either."""
        return self.predicted_px[self.predicted] + self.reference_px[self.reference] - self.shared_px

    @property
    def iou(self) -> NDArray[np.float64]:
        """Of each pair, the intersection over the union."""
        return self.shared_px / self.joined_px


def count_overlaps(prediction: NDArray[np.integer], reference: NDArray[np.integer]) -> Overlaps:
    """Count the pixels that regions share.

    Args:
        prediction: A number per region, 0 for background, gaps allowed; any shape.
        reference: The same, of the same shape.

    Raises:
        ValueError: The shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"expected label maps of one shape; got {prediction.shape} and {reference.shape}")
    first, predicted_px = _regions(prediction)
    second, reference_px = _regions(reference)
    both = (first > 0) & (second > 0)
    width = reference_px.size + 1
    codes, shared = np.unique(first[both] * width + second[both], return_counts=True)
    return Overlaps(predicted_px, reference_px, codes // width - 1, codes % width - 1, shared.astype(np.intp))


def _regions(labels: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Regions numbered 1, 2, 3 … pixel by pixel, flat, and the size of each."""
    numbers, places = np.unique(labels, return_inverse=True)
    shift = 0 if numbers.size and numbers[0] == 0 else 1
    flat = places.reshape(-1).astype(np.intp) + shift
    return flat, np.bincount(flat, minlength=1)[1:].astype(np.intp)
