"""Operating points against every possible one, and against scikit-learn's curve."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score, roc_curve

from pipelines.metrics.operating_point import at_point, youden_point


def _youden(scores: np.ndarray, truths: np.ndarray, point: float) -> float:
    found = at_point(scores, truths, point)
    assert found.sensitivity is not None
    assert found.specificity is not None
    return found.sensitivity + found.specificity - 1.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("decimals", [1, 6])
def test_no_point_is_better(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    truths = rng.random(301) < 0.3
    scores = np.round(rng.normal(truths * 1.2, 1.0), decimals)
    false_alarms, found, _ = roc_curve(truths, scores)
    assert _youden(scores, truths, youden_point(scores, truths)) == pytest.approx(np.max(found - false_alarms))


def test_lies_in_the_middle_of_the_gap() -> None:
    assert youden_point(np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])) == pytest.approx(0.4)


def test_of_equals_the_one_in_the_widest_gap() -> None:
    # From 0.3 on: all three with it, 1 of 3 without called; from 0.8 on: 2 of 3 with it, none without. Both 2/3.
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.8, 0.9])
    truths = np.array([False, False, True, False, True, True])
    assert youden_point(scores, truths) == pytest.approx(0.6)


def test_does_not_depend_on_how_common_the_finding_is() -> None:
    rng = np.random.default_rng(4)
    with_it, without = rng.normal(1.0, 1.0, 200), rng.normal(-1.0, 1.0, 200)
    point = youden_point(np.r_[with_it, without], np.arange(400) < 200)
    assert youden_point(np.r_[np.tile(with_it, 9), without], np.arange(2000) < 1800) == pytest.approx(point)


@pytest.mark.parametrize("scores", [np.zeros(4), np.array([1.0, 1.0, 0.0, 0.0])])
def test_scores_that_tell_nothing_call_all(scores: np.ndarray) -> None:
    truths = np.array([False, False, True, True])
    assert at_point(scores, truths, youden_point(scores, truths)).sensitivity == 1.0


def test_shares_are_what_scikit_learn_says() -> None:
    rng = np.random.default_rng(5)
    truths = rng.random(100) < 0.4
    scores = np.round(rng.random(100), 1)
    found, called = at_point(scores, truths, 0.5), scores >= 0.5
    assert found.sensitivity == pytest.approx(recall_score(truths, called))
    assert found.specificity == pytest.approx(recall_score(~truths, ~called))
    assert found.accuracy == pytest.approx(accuracy_score(truths, called))


def test_shares_of_nothing_are_none() -> None:
    assert at_point(np.zeros(0), np.zeros(0, bool), 0.5).accuracy is None
    assert at_point(np.zeros(2), np.zeros(2, bool), 0.5).sensitivity is None
    assert at_point(np.zeros(2), np.ones(2, bool), 0.5).specificity is None


@pytest.mark.parametrize("truths", [np.zeros(3, bool), np.ones(3, bool)])
def test_one_class_has_no_point(truths: np.ndarray) -> None:
    with pytest.raises(ValueError, match="with and without the finding"):
        youden_point(np.zeros(3), truths)
