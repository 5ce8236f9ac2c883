"""Whether two areas under ROC curves of the same cases differ.

DeLong, DeLong and Clarke-Pearson, "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic
Curves: A Nonparametric Approach", Biometrics 44 (1988).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from pipelines.metrics.auroc import Scores, Truths, check_pairs


@dataclass(frozen=True)
class Delong:
    """Two areas and how surely they differ.

    Attributes:
        first: AUROC of the first scores.
        second: AUROC of the second.
        variance: Of their difference.
        p_value: Two-sided; 1.0 where the scores rank all cases alike.
    """

    first: float
    second: float
    variance: float
    p_value: float


def delong(first: Scores, second: Scores, truths: Truths) -> Delong | None:
    """Compare two sets of scores of the same, independent cases.

    The components come from ranks: Sun and Xu, "Fast Implementation of DeLong's Algorithm", IEEE Signal Processing
    Letters 21 (2014).

    Args:
        first: (N,), higher for the finding.
        second: (N,), of the same cases.
        truths: (N,), whether the finding is there.

    Returns:
        None where fewer than two cases have the finding, or fewer than two have it not.

    Raises:
        ValueError: The shapes are not those, or a score is not a number.
    """
    check_pairs(first, truths)
    check_pairs(second, truths)
    present = int(np.count_nonzero(truths))
    absent = truths.size - present
    if present < 2 or absent < 2:
        return None
    areas, with_finding, without = zip(*(_components(scores, truths) for scores in (first, second)), strict=True)
    spread = np.cov(np.stack(with_finding)) / present + np.cov(np.stack(without)) / absent
    variance = float(spread[0, 0] + spread[1, 1] - 2.0 * spread[0, 1])
    apart = areas[0] - areas[1]
    if variance <= 0.0:
        return Delong(areas[0], areas[1], 0.0, 1.0 if apart == 0.0 else 0.0)
    p_value = float(2.0 * norm.sf(abs(apart) / np.sqrt(variance)))
    return Delong(areas[0], areas[1], variance, p_value)


def _components(scores: Scores, truths: Truths) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """The area, and of each case with and without the finding the share of the others it stands right of."""
    sick, well = scores[truths], scores[~truths]
    ranks = rankdata(np.concatenate([sick, well]))
    above = (ranks[: sick.size] - rankdata(sick)) / well.size
    below = 1.0 - (ranks[sick.size :] - rankdata(well)) / sick.size
    return float(above.mean()), above, below
