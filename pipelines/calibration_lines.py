"""Lines on the log odds that make probabilities mean what they say, and how well they do."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from pipelines.calibration import Platt
from pipelines.metrics.calibration_fit import brier, calibration_error, fit_platt

Method = Literal["platt", "temperature"]
Numbers = NDArray[np.float64]
Truths = NDArray[np.bool_]

# Probabilities are told to six digits; beyond them log odds are not known.
LEAST = 5e-7
_FOLDS = 5


def fit_line(scores: Numbers, truths: Truths, method: Method) -> Platt | None:
    """The line that fits best.

    Args:
        scores: (N,), the network's own probabilities.
        truths: (N,), whether the finding is there.
        method: Slope and intercept (Platt, with his targets), or the slope alone, by the likelihood.

    Returns:
        None where it would turn the order round, or cases of only one sort are there.
    """
    if truths.all() or not truths.any():
        return None
    odds = logit(np.clip(scores, LEAST, 1.0 - LEAST))
    if method == "platt":
        slope, intercept = fit_platt(odds, truths)
        return Platt(slope, intercept) if slope > 0.0 else None
    sign = np.where(truths, 1.0, -1.0)
    found = minimize_scalar(
        lambda log_slope: float(np.logaddexp(0.0, -np.exp(log_slope) * odds * sign).mean()),
        bounds=(-6.0, 6.0),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return Platt(float(np.exp(found.x)))


def held_out(scores: Numbers, truths: Truths, patients: Sequence[str], method: Method) -> Numbers:
    """Calibrated probabilities (N,), those of every patient by a line that was fitted on other patients."""
    order: Mapping[str, int] = {patient: index for index, patient in enumerate(dict.fromkeys(sorted(patients)))}
    folds = np.asarray([order[patient] % _FOLDS for patient in patients])
    calibrated = scores.copy()
    for fold in range(_FOLDS):
        mine = folds == fold
        if mine.any():
            line = fit_line(scores[~mine], truths[~mine], method) or Platt()
            calibrated[mine] = line(scores[mine])
    return calibrated


def figures(scores: Numbers, truths: Truths) -> dict[str, float]:
    """Expected calibration error, Brier score and mean negative log likelihood of probabilities (N,)."""
    odds = logit(np.clip(scores, LEAST, 1.0 - LEAST))
    loss = np.logaddexp(0.0, np.where(truths, -odds, odds)).mean()
    shown = expit(odds)
    return {
        "calibration_error": round(calibration_error(shown, truths), 6),
        "brier": round(brier(shown, truths), 6),
        "log_loss": round(float(loss), 6),
    }
