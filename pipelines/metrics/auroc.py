"""Area under the receiver operating characteristic: how well scores put those with a finding above those without."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Scores = NDArray[np.floating]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class FindingsAuroc:
    """Of several findings.

    Attributes:
        by_finding: None where it is undefined.
        mean: Over the findings where it is defined; None where it is for none.
        undefined: Findings that all or none of the cases have; the mean is without them.
    """

    by_finding: Mapping[str, float | None]
    mean: float | None
    undefined: tuple[str, ...]


def auroc(scores: Scores, truths: Truths) -> float | None:
    """The probability that a case with the finding has a higher score than one without; ties count half.

    From the sum of ranks, which is the Mann-Whitney statistic: Hanley and McNeil, "The Meaning and Use of the Area
    under a Receiver Operating Characteristic (ROC) Curve", Radiology 143 (1982).

    Args:
        scores: (N,), higher for the finding; any monotone scale, logits or probabilities.
        truths: (N,), whether the finding is there.

    Returns:
        In [0, 1]; None where all or none of the cases have the finding, or there are no cases: it is undefined then.

    Raises:
        ValueError: The shapes are not those, or a score is not a number.
    """
    check_pairs(scores, truths)
    present = int(np.count_nonzero(truths))
    absent = truths.size - present
    if present == 0 or absent == 0:
        return None
    ranks = rankdata(scores)  # From 1; ties share the mean of their ranks.
    wins = float(ranks[truths].sum()) - present * (present + 1) / 2
    return wins / (present * absent)


def findings_auroc(scores: Scores, truths: Truths, findings: tuple[str, ...]) -> FindingsAuroc:
    """Of each finding by itself, and their mean.

    Args:
        scores: (N, findings).
        truths: (N, findings).
        findings: Names, in order.

    Raises:
        ValueError: The shapes do not fit, or a score is not a number.
    """
    if scores.shape != truths.shape or scores.shape[1:] != (len(findings),):
        raise ValueError(
            f"expected scores and truths (N, {len(findings)}), got {scores.shape} and {truths.shape}; "
            "give a column for each finding"
        )
    by_finding = {name: auroc(scores[:, at], truths[:, at]) for at, name in enumerate(findings)}
    defined = [figure for figure in by_finding.values() if figure is not None]
    undefined = tuple(name for name, figure in by_finding.items() if figure is None)
    return FindingsAuroc(by_finding, float(np.mean(defined)) if defined else None, undefined)


def check_pairs(scores: Scores, truths: Truths) -> None:
    """Whether there is a number and a truth for each case.

    Raises:
        ValueError: The shapes are not (N,) both, truths are not booleans, or a score is not a number.
    """
    if scores.ndim != 1 or scores.shape != truths.shape:
        raise ValueError(
            f"expected scores and truths (N,), got {scores.shape} and {truths.shape}; give one of each for every case"
        )
    if truths.dtype != np.bool_:
        raise ValueError(f"expected truths as booleans, got {truths.dtype}; say which value means present")
    if np.isnan(scores).any():
        raise ValueError(
            f"expected a score for every case, got {np.count_nonzero(np.isnan(scores))} that are not a number; "
            "leave those cases out, and say so"
        )
