"""Figures as functions of weights are the figures of cases repeated as often as the weights say."""

import numpy as np
import pytest

from pipelines.evaluation import statistics as of
from pipelines.evaluation.class_measures import binary_measures, finding_labels
from pipelines.evaluation.lesion_statistics import average_sensitivity, f1_of
from pipelines.evaluation.measures import mask_measures
from pipelines.metrics import confusion
from pipelines.metrics.auroc import auroc
from pipelines.metrics.average_precision import average_precision
from pipelines.metrics.froc import froc
from pipelines.metrics.kappa import cohen_kappa
from pipelines.metrics.reliability import reliability
from pipelines.metrics.roc_curve import operating_curve, sensitivity_at, specificity_at
from pipelines.metrics.score_error import r_squared, root_mean_square_error

RNG = np.random.default_rng(3)
N = 60
TRUTHS = RNG.random(N) < 0.4
SCORES = np.round(RNG.normal(TRUTHS * 1.0, 1.0), 1)
PROBABILITIES = np.round(1 / (1 + np.exp(-SCORES)), 3)
WEIGHTS = RNG.integers(0, 4, size=(5, N)).astype(float)


def _repeated(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.repeat(values, weights.astype(int))


@pytest.mark.parametrize("row", range(5))
def test_ranking_and_calling(row: int) -> None:
    weights = WEIGHTS[row]
    scores, truths = _repeated(SCORES, weights), _repeated(TRUTHS, weights)
    assert of.auroc(SCORES, TRUTHS)(WEIGHTS)[row] == pytest.approx(auroc(scores, truths))
    assert of.average_precision(SCORES, TRUTHS)(WEIGHTS)[row] == pytest.approx(average_precision(scores, truths))
    curve = operating_curve(scores, truths)
    assert curve is not None
    for asked in (0.5, 0.8, 0.9):
        found = of.sensitivity_at(SCORES, TRUTHS, asked)(WEIGHTS)[row]
        assert found == pytest.approx(sensitivity_at(curve, asked))
        assert of.specificity_at(SCORES, TRUTHS, asked)(WEIGHTS)[row] == pytest.approx(specificity_at(curve, asked))


@pytest.mark.parametrize("row", range(5))
def test_means_and_agreement(row: int) -> None:
    weights = WEIGHTS[row]
    scores, truths = _repeated(SCORES, weights), _repeated(TRUTHS, weights)
    assert of.mean(SCORES)(WEIGHTS)[row] == pytest.approx(scores.mean())
    true = SCORES + 0.5 * RNG.normal(size=N)
    repeated = _repeated(true, weights)
    assert of.determination(SCORES, true)(WEIGHTS)[row] == pytest.approx(r_squared(scores, repeated))
    rmse = of.root_mean(np.square(SCORES - true))(WEIGHTS)[row]
    assert rmse == pytest.approx(root_mean_square_error(scores, repeated))
    called = (SCORES > 0.5).astype(int)
    counts = confusion.confusion_matrix(_repeated(called, weights), truths.astype(int), 2)
    for figure in (confusion.accuracy, confusion.balanced_accuracy, cohen_kappa):
        weighted = of.confusion_statistic(called, TRUTHS.astype(int), 2, figure)(WEIGHTS)[row]
        assert weighted == pytest.approx(float(figure(counts)))


def test_calibration_of_all_cases() -> None:
    ones = np.ones((1, N))
    for binning in ("equal_width", "equal_mass"):
        expected = reliability(PROBABILITIES, TRUTHS, 15, binning).error
        assert of.calibration(PROBABILITIES, TRUTHS, 15, binning)(ones)[0] == pytest.approx(expected)


def test_nothing_to_divide_by_is_no_figure() -> None:
    zeros = np.zeros((1, N))
    for statistic in (of.mean(SCORES), of.auroc(SCORES, TRUTHS), of.average_precision(SCORES, TRUTHS)):
        assert np.isnan(statistic(zeros)[0])
    values = np.array([1.0, np.nan, 3.0])
    assert of.mean(values)(np.ones((1, 3)))[0] == 2.0
    assert np.isnan(of.determination(np.arange(3.0), np.ones(3))(np.ones((1, 3)))[0])


def test_a_difference_of_means_stays_a_mean() -> None:
    apart = of.difference(of.mean(SCORES), of.mean(SCORES * 0.5))
    assert isinstance(apart, of.Ratio)
    assert apart(WEIGHTS) == pytest.approx(of.mean(SCORES * 0.5)(WEIGHTS))
    other = of.difference(of.auroc(SCORES, TRUTHS), of.auroc(-SCORES, TRUTHS))
    assert other(WEIGHTS) == pytest.approx(2 * of.auroc(SCORES, TRUTHS)(WEIGHTS) - 1)


def test_froc_and_f1_of_weighted_cases() -> None:
    found, invented = [(0.9, 0.5), (), (0.4,)], [(0.7,), (0.5, 0.2), ()]
    lesions, images = np.array([3.0, 0.0, 2.0]), np.ones(3)
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    figures = average_sensitivity(found, invented, lesions, images)(weights)
    first = froc(np.array([0.9, 0.5, 0.4]), np.array([0.7, 0.5, 0.2]), 5, 3)
    second = froc(np.array([0.9, 0.5, 0.9, 0.5, 0.4]), np.array([0.7, 0.7]), 8, 3)
    assert first is not None
    assert second is not None
    assert figures == pytest.approx([first.average(), second.average()])
    f1 = f1_of(np.array([2.0, 0.0]), np.array([3.0, 0.0]), np.array([2.0, 0.0]), np.array([4.0, 0.0]))
    assert f1(np.array([[1.0, 1.0], [0.0, 1.0]])) == pytest.approx([2 * (2 / 3) * 0.5 / (2 / 3 + 0.5), 1.0])


def test_no_cases_give_no_measures() -> None:
    assert list(mask_measures([])) == []
    assert list(binary_measures(finding_labels([]))) == []
