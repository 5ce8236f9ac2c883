"""Curves over all operating points: sensitivity against false alarms, and precision against sensitivity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.auroc import Scores, Truths, check_pairs

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class OperatingCurve:
    """What every score gives as an operating point, from the strictest to calling all.

    Attributes:
        points: (M,) cases are called from this score on; the first is infinite: none is called.
        sensitivity: (M,) rises from 0 to 1.
        false_alarms: (M,) 1 - specificity, rises from 0 to 1.
        precision: (M,) share of those called that have the finding; 1 where none is called.
    """

    points: NDArray[np.float64]
    sensitivity: Shares
    false_alarms: Shares
    precision: Shares


def operating_curve(scores: Scores, truths: Truths) -> OperatingCurve | None:
    """All operating points that differ.

    Args:
        scores: (N,), higher for the finding.
        truths: (N,), whether the finding is there.

    Returns:
        None where all or none of the cases have the finding.

    Raises:
        ValueError: The shapes are not those, or a score is not a number.
    """
    check_pairs(scores, truths)
    if truths.all() or not truths.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order].astype(np.float64), truths[order]
    last = np.append(np.diff(ranked) != 0, True)
    found = np.concatenate([[0], np.cumsum(hits)[last]])
    alarms = np.concatenate([[0], np.cumsum(~hits)[last]])
    called = found + alarms
    precision = np.divide(found, called, out=np.ones(called.size), where=called > 0)
    return OperatingCurve(
        points=np.concatenate([[np.inf], ranked[last]]),
        sensitivity=found / found[-1],
        false_alarms=alarms / alarms[-1],
        precision=precision,
    )


def sensitivity_at(curve: OperatingCurve, specificity: float) -> float:
    """The best sensitivity at which specificity is at least as asked for; nothing is interpolated.

    Args:
        curve: Of one finding.
        specificity: In [0, 1].
    """
    allowed = 1.0 - curve.false_alarms >= specificity - _ROUNDING
    return float(curve.sensitivity[allowed].max())


def specificity_at(curve: OperatingCurve, sensitivity: float) -> float:
    """The best specificity at which sensitivity is at least as asked for; nothing is interpolated.

    Args:
        curve: Of one finding.
        sensitivity: In [0, 1].
    """
    allowed = curve.sensitivity >= sensitivity - _ROUNDING
    return float(1.0 - curve.false_alarms[allowed].min())


_ROUNDING = 1e-12
