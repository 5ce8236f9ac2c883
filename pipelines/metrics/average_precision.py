"""Area under the precision-recall curve as average precision, without interpolation."""

import numpy as np

from pipelines.metrics.auroc import Scores, Truths, check_pairs


def average_precision(scores: Scores, truths: Truths) -> float | None:
    """Precision at every score that recalls more cases, weighted by how much more: AUPRC as scikit-learn has it.

    Between points nothing is interpolated: Davis and Goadrich, "The Relationship Between Precision-Recall and ROC
    Curves" (ICML 2006), show that a straight line there is too kind.

    Args:
        scores: (N,), higher for the finding.
        truths: (N,), whether the finding is there.

    Returns:
        In [0, 1]; a coin gives the share of cases with the finding. None where no case has it: scikit-learn gives 0
        there with a warning. 1.0 where all have it.

    Raises:
        ValueError: The shapes are not those, or a score is not a number.
    """
    check_pairs(scores, truths)
    if not truths.any():
        return None
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(truths[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # Equal scores are called together.
    found, called = found[last], np.flatnonzero(last) + 1
    gains = np.diff(found, prepend=0)
    return float(np.sum(gains * found / called) / found[-1])
