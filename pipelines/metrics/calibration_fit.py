"""Whether probabilities are what happens, and the line on the log odds that makes them so."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from pipelines.metrics.auroc import Scores, Truths, check_pairs
from pipelines.metrics.reliability import BINS, Binning, check_probabilities, reliability


def fit_platt(log_odds: Scores, truths: Truths) -> tuple[float, float]:
    """Slope and intercept that make log odds fit best: calibrated = sigmoid(slope * log odds + intercept).

    Platt, "Probabilistic Outputs for Support Vector Machines" (1999), with his targets: they are short of 1 and 0 by
    what a uniform prior adds, so the slope stays finite where the scores separate the cases without error.

    Args:
        log_odds: (N,), of the network's probability.
        truths: (N,), whether the finding is there.

    Returns:
        Slope and intercept.

    Raises:
        ValueError: All or none of the cases have the finding, the shapes are not those, or a value is not finite.
    """
    check_pairs(log_odds, truths)
    present = np.count_nonzero(truths)
    absent = truths.size - present
    if present == 0 or absent == 0:
        raise ValueError(
            f"expected cases with and without the finding, got {present} of {truths.size} with it; "
            "calibration needs both"
        )
    if not np.isfinite(log_odds).all():
        raise ValueError("expected finite log odds, got infinite ones; clip the probabilities")
    targets = np.where(truths, (present + 1.0) / (present + 2.0), 1.0 / (absent + 2.0))
    values = log_odds.astype(np.float64)

    def cost(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = line[0] * values + line[1]
        off = expit(odds) - targets
        return float(np.mean(np.logaddexp(0.0, odds) - targets * odds)), np.array([np.mean(off * values), off.mean()])

    found = minimize(cost, np.array([1.0, 0.0]), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    return float(found[0]), float(found[1])


def calibration_error(
    probabilities: Scores, truths: Truths, bins: int = BINS, binning: Binning = "equal_width"
) -> float:
    """Expected calibration error: how far, on average, a probability is from how often the finding is there.

    Bins weighted by their cases: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017).

    Args:
        probabilities: (N,) in [0, 1], of the finding.
        truths: (N,), whether it is there.
        bins: How many.
        binning: Of equal width, as usual, or of equal mass.

    Returns:
        In [0, 1]; 0.0 for no cases.

    Raises:
        ValueError: The shapes are not those, or a value is no probability.
    """
    return reliability(probabilities, truths, bins, binning).error


def brier(probabilities: Scores, truths: Truths) -> float:
    """Mean squared distance from the truth.

    Brier, "Verification of Forecasts Expressed in Terms of Probability", Monthly Weather Review 78 (1950).

    Args:
        probabilities: (N,) in [0, 1], of the finding.
        truths: (N,), whether it is there.

    Returns:
        In [0, 1], 0 is best; 0.0 for no cases.

    Raises:
        ValueError: The shapes are not those, or a value is no probability.
    """
    check_probabilities(probabilities, truths)
    return float(np.square(probabilities - truths).mean()) if probabilities.size else 0.0
