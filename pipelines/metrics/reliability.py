"""How often a finding is there where a network says a probability: the data of a reliability diagram."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.auroc import Scores, Truths, check_pairs

Binning = Literal["equal_width", "equal_mass"]
BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Bins that hold cases, from low to high.

    Attributes:
        cases: (M,) how many.
        said: (M,) mean probability.
        happened: (M,) share with the finding.
    """

    cases: NDArray[np.intp]
    said: NDArray[np.float64]
    happened: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of both, weighted by cases; 0.0 for no cases."""
        total = int(self.cases.sum())
        return float((self.cases * np.abs(self.said - self.happened)).sum() / total) if total else 0.0


def reliability(
    probabilities: Scores, truths: Truths, bins: int = BINS, binning: Binning = "equal_width"
) -> Reliability:
    """Put cases into bins.

    Bins of equal width: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017); of equal mass: Nixon et
    al., "Measuring Calibration in Deep Learning" (CVPR workshops 2019).

    Args:
        probabilities: (N,) in [0, 1].
        truths: (N,), whether the finding is there.
        bins: How many at most.
        binning: How their borders are chosen.

    Raises:
        ValueError: The shapes are not those, a value is no probability, or there are no bins.
    """
    check_probabilities(probabilities, truths)
    if bins < 1:
        raise ValueError(f"expected at least one bin; got {bins}")
    of_case = bins_of(probabilities, bins, binning)
    cases = np.bincount(of_case, minlength=bins)
    filled = cases > 0
    said = np.bincount(of_case, probabilities, minlength=bins)[filled] / cases[filled]
    happened = np.bincount(of_case, truths, minlength=bins)[filled] / cases[filled]
    return Reliability(cases[filled], said, happened)


def bins_of(probabilities: Scores, bins: int, binning: Binning) -> NDArray[np.intp]:
    """Number of the bin of each case, (N,). Equal probabilities share a bin."""
    if binning == "equal_width":
        return np.minimum((probabilities * bins).astype(np.intp), bins - 1)
    if probabilities.size == 0:
        return np.empty(0, dtype=np.intp)
    inner = np.quantile(probabilities, np.arange(1, bins) / bins)
    return np.searchsorted(inner, probabilities, side="right").astype(np.intp)


def check_probabilities(probabilities: Scores, truths: Truths) -> None:
    """Whether there is a probability and a truth for each case.

    Raises:
        ValueError: The shapes are not (N,) both, truths are not booleans, or a value is no probability.
    """
    check_pairs(probabilities, truths)
    if probabilities.size and not (probabilities.min() >= 0.0 and probabilities.max() <= 1.0):
        raise ValueError(
            f"expected probabilities, got {probabilities.min()} to {probabilities.max()}; put logits through a sigmoid"
        )
