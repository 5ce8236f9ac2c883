"""Aggregated Jaccard index (Kumar et al., "A Dataset and a Technique for Generalized Nuclear Segmentation for
Computational Pathology", IEEE TMI 36(7), 2017, algorithm 1)."""

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.overlap import count_overlaps


def aggregated_jaccard(prediction: NDArray[np.integer], reference: NDArray[np.integer]) -> float:
    """Pixels that instances share with their best partners, over all pixels that belong to either.

    Every instance of the reference takes the predicted one with the largest IoU (of equal ones the one with the larger
    overlap, then the lower number); one may be taken several times. Predicted ones that nobody took count in full. The
    index is not symmetric.

    Args:
        prediction: A number per instance, 0 for background; any shape.
        reference: The same, of the same shape.

    Returns:
        In [0, 1]; 1.0 when both are empty, 0.0 when only one is.

    Raises:
        ValueError: The shapes differ.
    """
    overlaps = count_overlaps(prediction, reference)
    # By instance of the reference, its best partner first.
    order = np.lexsort((overlaps.predicted, -overlaps.shared_px, -overlaps.iou, overlaps.reference))
    partnered, first = np.unique(overlaps.reference[order], return_index=True)
    best = order[first]
    alone = np.ones(overlaps.reference_px.size, dtype=np.bool_)
    alone[partnered] = False
    unused = np.ones(overlaps.predicted_px.size, dtype=np.bool_)
    unused[overlaps.predicted[best]] = False
    shared = int(overlaps.shared_px[best].sum())
    lost = int(overlaps.reference_px[alone].sum()) + int(overlaps.predicted_px[unused].sum())
    total = int(overlaps.joined_px[best].sum()) + lost
    return shared / total if total else 1.0
