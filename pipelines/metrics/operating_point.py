"""From which score on a finding counts as present, and what follows from it."""

from dataclasses import dataclass

import numpy as np

from pipelines.metrics.auroc import Scores, Truths, check_pairs


@dataclass(frozen=True)
class AtPoint:
    """What an operating point gives.

    Attributes:
        sensitivity: Share of the cases with the finding that are called so; None where there are none.
        specificity: Share of those without that are not; None where there are none.
        accuracy: Share of all cases that are called rightly; None for no cases.
    """

    sensitivity: float | None
    specificity: float | None
    accuracy: float | None


def youden_point(scores: Scores, truths: Truths) -> float:
    """The point at which sensitivity plus specificity is largest: Youden, "Index for rating diagnostic tests" (1950).

    It does not depend on how common the finding is, so it holds where that differs.

    Args:
        scores: (N,), higher for the finding.
        truths: (N,), whether the finding is there.

    Returns:
        The middle between the lowest score that counts and the next below it. Where several points are equally good,
        as far as the cases say, the one that lies in the widest gap between scores.

    Raises:
        ValueError: All or none of the cases have the finding, the shapes are not those, or a score is not a number.
    """
    check_pairs(scores, truths)
    if truths.all() or not truths.any():
        raise ValueError(
            f"expected cases with and without the finding, got {np.count_nonzero(truths)} of {truths.size} with it; "
            "an operating point needs both"
        )
    values, of_case = np.unique(scores, return_inverse=True)
    with_finding = np.bincount(of_case, truths) / np.count_nonzero(truths)
    without = np.bincount(of_case, ~truths) / np.count_nonzero(~truths)
    # From which value on: with the finding at or above it, and without below it, less 1.
    index = 1.0 - np.cumsum(with_finding)[:-1] + np.cumsum(without)[:-1] - 1.0
    if not index.size or index.max() <= 0.0:
        return float(values[0])  # No point is better than calling all of them.
    gaps = np.where(np.isclose(index, index.max(), rtol=0.0, atol=1e-12), np.diff(values), -1.0)
    at = int(gaps.argmax())
    return float(values[at] + values[at + 1]) / 2.0


def at_point(scores: Scores, truths: Truths, point: float) -> AtPoint:
    """What follows from calling every case whose score is at least the point.

    Args:
        scores: (N,).
        truths: (N,).
        point: Of the scores' scale.

    Raises:
        ValueError: The shapes are not those, or a score is not a number.
    """
    check_pairs(scores, truths)
    called = scores >= point
    return AtPoint(_share(called[truths]), _share(~called[~truths]), _share(called == truths))


def _share(right: Truths) -> float | None:
    return float(right.mean()) if right.size else None
