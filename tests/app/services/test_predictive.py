"""Bayes' rule, by counting people."""

import pytest

from app.services.predictive import Accuracy, accuracy_of, predictive_values

CARD = {"sensitivity_mean": 0.9, "specificity_mean": 0.8, "sensitivity_mass": 0.7, "specificity_mass": 0.95}


def test_of_a_thousand_people() -> None:
    # 100 with the finding: 90 called. 900 without: 180 called. 90 of 270 called have it, 720 of 730 not called do not.
    values = predictive_values(Accuracy(0.9, 0.8, own=True), 0.1)
    assert values is not None
    assert values.positive == pytest.approx(90 / 270)
    assert values.negative == pytest.approx(720 / 730)


def test_a_rare_finding_is_seldom_there_when_it_is_called() -> None:
    values = [predictive_values(Accuracy(0.95, 0.95, own=True), prevalence) for prevalence in (0.001, 0.01, 0.1, 0.5)]
    positive = [one.positive for one in values if one is not None]
    assert positive == sorted(positive)
    assert positive[0] < 0.02
    assert positive[-1] == pytest.approx(0.95)


@pytest.mark.parametrize(("sensitivity", "specificity"), [(0.0, 1.0), (1.0, 0.0)])
def test_nothing_is_told_where_all_or_none_is_called(sensitivity: float, specificity: float) -> None:
    assert predictive_values(Accuracy(sensitivity, specificity, own=True), 0.3) is None


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_prevalence_is_a_share(prevalence: float) -> None:
    with pytest.raises(ValueError, match="prevalence"):
        predictive_values(Accuracy(0.9, 0.9, own=True), prevalence)


def test_a_cards_figures_are_the_labels_or_their_mean_or_none() -> None:
    assert accuracy_of(CARD, "mass", 14) == Accuracy(0.7, 0.95, own=True)
    assert accuracy_of(CARD, "hernia", 14) == Accuracy(0.9, 0.8, own=False)
    assert accuracy_of({"sensitivity": 0.9, "specificity": 0.8}, "pneumonia", 1) == Accuracy(0.9, 0.8, own=True)
    assert accuracy_of({"sensitivity": 0.9, "specificity": 0.8}, "pneumonia", 2) is None
    assert accuracy_of({}, "mass", 14) is None
