"""Calibration of cases whose true probability is known, and against scikit-learn."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from pipelines.metrics.calibration_fit import brier, calibration_error, fit_platt


def _cases(slope: float, intercept: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log odds, and truths that come true as often as the line says."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(0.5, 2.0, count)
    return log_odds, rng.random(count) < expit(slope * log_odds + intercept)


@pytest.mark.parametrize("line", [(1.0, 0.0), (0.5, -1.0), (2.0, 0.7)])
def test_finds_the_line_the_cases_follow(line: tuple[float, float]) -> None:
    assert fit_platt(*_cases(*line, count=200_000)) == pytest.approx(line, abs=0.03)


def test_is_logistic_regression_but_for_the_targets() -> None:
    log_odds, truths = _cases(0.7, 0.3, 50_000)
    reference = LogisticRegression(C=np.inf).fit(log_odds[:, np.newaxis], truths)
    assert fit_platt(log_odds, truths) == pytest.approx((reference.coef_[0, 0], reference.intercept_[0]), abs=2e-3)


def test_cases_without_an_error_give_a_finite_slope() -> None:
    slope, _ = fit_platt(np.array([-3.0, -2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    # Platt's targets are 3/4 and 1/4 with two of each: the mean log odds 2.5 become about log 3.
    assert 0.3 < slope < 0.6


def test_makes_probabilities_what_happens() -> None:
    log_odds, truths = _cases(0.4, -0.8, 100_000)
    slope, intercept = fit_platt(log_odds, truths)
    assert calibration_error(expit(log_odds), truths) > 0.1
    assert calibration_error(expit(slope * log_odds + intercept), truths) < 0.01


def test_calibration_error_by_hand() -> None:
    # One bin holds 0.2 twice, where half come true; another 0.9 twice, where all do: (0.3 * 2 + 0.1 * 2) / 4.
    probabilities, truths = np.array([0.2, 0.2, 0.9, 0.9]), np.array([True, False, True, True])
    assert calibration_error(probabilities, truths) == pytest.approx(0.2)
    assert calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0
    assert calibration_error(np.array([0.0, 1.0]), np.array([True, False])) == 1.0


def test_brier_is_what_scikit_learn_says() -> None:
    log_odds, truths = _cases(1.0, 0.0, 500)
    assert brier(expit(log_odds), truths) == pytest.approx(brier_score_loss(truths, expit(log_odds)))


def test_no_cases_are_no_error() -> None:
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == brier(np.zeros(0), np.zeros(0, bool)) == 0.0


@pytest.mark.parametrize(
    ("log_odds", "truths", "told"),
    [
        (np.zeros(2), np.ones(2, bool), "got 2 of 2 with it"),
        (np.array([0.0, np.inf]), np.array([True, False]), "expected finite log odds"),
    ],
)
def test_what_cannot_be_fitted_is_refused(log_odds: np.ndarray, truths: np.ndarray, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        fit_platt(log_odds, truths)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_logits_are_no_probabilities(value: float) -> None:
    for measure in (calibration_error, brier):
        with pytest.raises(ValueError, match="expected probabilities"):
            measure(np.array([0.5, value]), np.array([True, False]))
