"""How far predicted scores are from the true ones."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def mean_absolute_error(predicted: Values, true: Values) -> float | None:
    """MAE, in the scores' unit; None for no cases.

    Raises:
        ValueError: The shapes are not (N,) both.
    """
    _check(predicted, true)
    return float(np.abs(predicted - true).mean()) if true.size else None


def root_mean_square_error(predicted: Values, true: Values) -> float | None:
    """RMSE, in the scores' unit; None for no cases.

    Raises:
        ValueError: The shapes are not (N,) both.
    """
    _check(predicted, true)
    return float(np.sqrt(np.square(predicted - true).mean())) if true.size else None


def r_squared(predicted: Values, true: Values) -> float | None:
    """Coefficient of determination: one less the squared errors over those of always saying the mean.

    Returns:
        At most 1, below 0 where the mean would have been better; None where all true scores are equal or there are
        fewer than two: there is nothing to explain (scikit-learn says 1 or 0 there).

    Raises:
        ValueError: The shapes are not (N,) both.
    """
    _check(predicted, true)
    spread = float(np.square(true - true.mean()).sum()) if true.size else 0.0
    return 1.0 - float(np.square(predicted - true).sum()) / spread if spread > 0.0 else None


def _check(predicted: Values, true: Values) -> None:
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise ValueError(
            f"expected a predicted and a true score for every case; got {predicted.shape} and {true.shape}"
        )
