"""Figures of scores and classes, as scikit-learn has them."""

import numpy as np
import pytest
from sklearn import metrics

from pipelines.metrics.average_precision import average_precision
from pipelines.metrics.calibration_fit import calibration_error
from pipelines.metrics.confusion import accuracy, balanced_accuracy, confusion_matrix, f1
from pipelines.metrics.kappa import cohen_kappa
from pipelines.metrics.reliability import reliability
from pipelines.metrics.roc_curve import operating_curve, sensitivity_at, specificity_at
from pipelines.metrics.score_error import mean_absolute_error, r_squared, root_mean_square_error


def _scores(seed: int, decimals: int, cases: int = 301) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truths = rng.random(cases) < 0.3
    return np.round(rng.normal(truths * 1.0, 1.0), decimals), truths


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_curves_are_what_scikit_learn_says(seed: int, decimals: int) -> None:
    scores, truths = _scores(seed, decimals)
    assert average_precision(scores, truths) == pytest.approx(metrics.average_precision_score(truths, scores), abs=1e-9)
    curve = operating_curve(scores, truths)
    assert curve is not None
    alarms, found, points = metrics.roc_curve(truths, scores, drop_intermediate=False)
    assert np.allclose(curve.false_alarms, alarms)
    assert np.allclose(curve.sensitivity, found)
    assert np.allclose(curve.points[1:], points[1:])
    precision, recall, _ = metrics.precision_recall_curve(truths, scores)
    assert np.allclose(curve.precision[::-1], precision)
    assert np.allclose(curve.sensitivity[::-1], recall)
    assert sensitivity_at(curve, 0.9) == max(found[1 - alarms >= 0.9])
    assert specificity_at(curve, 0.9) == max((1 - alarms)[found >= 0.9])


def test_ranking_without_both_kinds_of_cases() -> None:
    scores = np.array([0.1, 0.9])
    assert average_precision(scores, np.array([False, False])) is None
    assert average_precision(scores, np.array([True, True])) == 1.0
    assert operating_curve(scores, np.array([True, True])) is None


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_agreement_is_what_scikit_learn_says(classes: int) -> None:
    rng = np.random.default_rng(classes)
    true = rng.integers(0, classes, 200)
    called = np.where(rng.random(200) < 0.6, true, rng.integers(0, classes, 200))
    counts = confusion_matrix(called, true, classes)
    assert np.array_equal(counts, metrics.confusion_matrix(true, called, labels=range(classes)))
    assert accuracy(counts) == pytest.approx(metrics.accuracy_score(true, called))
    assert balanced_accuracy(counts) == pytest.approx(metrics.balanced_accuracy_score(true, called))
    assert f1(counts) == pytest.approx(metrics.f1_score(true, called, average=None))
    assert cohen_kappa(counts) == pytest.approx(metrics.cohen_kappa_score(true, called))
    quadratic = metrics.cohen_kappa_score(true, called, weights="quadratic")
    assert cohen_kappa(counts, "quadratic") == pytest.approx(quadratic)
    assert cohen_kappa(np.stack([counts, 2 * counts]), "quadratic") == pytest.approx([quadratic] * 2)


def test_agreement_of_nothing_and_of_one_class() -> None:
    assert np.isnan(accuracy(np.zeros((2, 2))))
    assert np.isnan(cohen_kappa(np.array([[5.0, 0.0], [0.0, 0.0]])))
    assert balanced_accuracy(np.array([[3.0, 1.0], [0.0, 0.0]])) == pytest.approx(0.75)
    assert np.isnan(f1(np.array([[3.0, 0.0], [0.0, 0.0]]))[1])
    with pytest.raises(ValueError, match="0 to 1"):
        confusion_matrix(np.array([2]), np.array([0]), 2)
    with pytest.raises(ValueError, match="every case"):
        confusion_matrix(np.array([1, 0]), np.array([0]), 2)


def test_errors_of_scores_are_what_scikit_learn_says() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(5.0, 2.0, 80)
    said = true + rng.normal(0.3, 1.0, 80)
    assert mean_absolute_error(said, true) == pytest.approx(metrics.mean_absolute_error(true, said))
    assert root_mean_square_error(said, true) == pytest.approx(metrics.root_mean_squared_error(true, said))
    assert r_squared(said, true) == pytest.approx(metrics.r2_score(true, said))
    assert r_squared(said[:1], true[:1]) is None
    assert mean_absolute_error(said[:0], true[:0]) is None
    assert root_mean_square_error(said[:0], true[:0]) is None
    with pytest.raises(ValueError, match="every case"):
        mean_absolute_error(said[:3], true)


def test_reliability_by_hand() -> None:
    probabilities = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 0.95])
    truths = np.array([False, True, True, True, True, False])
    bins = reliability(probabilities, truths, bins=10)
    assert bins.cases.tolist() == [2, 4]
    assert bins.said == pytest.approx([0.05, 0.95])
    assert bins.happened == pytest.approx([0.5, 0.75])
    assert bins.error == pytest.approx((2 * 0.45 + 4 * 0.2) / 6)
    assert calibration_error(probabilities, truths, 10) == pytest.approx(bins.error)


def test_bins_of_equal_mass_hold_as_many_cases() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.beta(0.5, 3.0, 600)
    bins = reliability(probabilities, rng.random(600) < probabilities, bins=15, binning="equal_mass")
    assert bins.cases.tolist() == [40] * 15
    assert np.all(np.diff(bins.said) > 0)
    assert reliability(np.array([]), np.array([], dtype=bool), 15, "equal_mass").error == 0.0
    with pytest.raises(ValueError, match="at least one bin"):
        reliability(probabilities, probabilities > 0.5, 0)
