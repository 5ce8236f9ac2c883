"""Tests between two models, against brute force and other implementations."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import wilcoxon

from pipelines.evaluation import statistics as of
from pipelines.evaluation.comparison import compare, holm, sign_flips
from pipelines.evaluation.delong import delong
from pipelines.evaluation.intervals import Patients, Resampling
from pipelines.evaluation.measures import Measure, mean_measure
from pipelines.metrics.auroc import auroc


def _scores(seed: int, cases: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truths = rng.random(cases) < 0.4
    common = rng.normal(size=cases)
    first = np.round(common + rng.normal(size=cases) + 1.5 * truths, 1)
    second = np.round(common + rng.normal(size=cases) + 0.7 * truths, 1)
    return first, second, truths


@pytest.mark.parametrize("seed", range(4))
def test_delong_is_what_the_pairs_say_one_by_one(seed: int) -> None:
    first, second, truths = _scores(seed)
    found = delong(first, second, truths)
    assert found is not None
    kernels = []
    for scores in (first, second):
        sick, well = scores[truths][:, None], scores[~truths][None, :]
        kernels.append((sick > well) + 0.5 * (sick == well))
    assert found.first == pytest.approx(auroc(first, truths))
    assert found.second == pytest.approx(auroc(second, truths))
    apart = kernels[0] - kernels[1]
    sick, well = apart.mean(1), apart.mean(0)
    variance = sick.var(ddof=1) / sick.size + well.var(ddof=1) / well.size
    assert found.variance == pytest.approx(variance)


def test_delong_is_near_the_jackknife() -> None:
    first, second, truths = _scores(9, 400)
    found = delong(first, second, truths)
    assert found is not None
    kept = [np.arange(400) != number for number in range(400)]
    apart = np.array([(auroc(first[k], truths[k]) or 0.0) - (auroc(second[k], truths[k]) or 0.0) for k in kept])
    jackknife = 399 / 400 * np.square(apart - apart.mean()).sum()
    assert found.variance == pytest.approx(jackknife, rel=0.02)


def test_delong_of_the_same_scores_and_of_too_few_cases() -> None:
    first, _, truths = _scores(0)
    same = delong(first, first, truths)
    assert same is not None
    assert same.p_value == 1.0
    assert delong(first[:3], first[:3], np.array([True, False, False])) is None


def test_signs_are_gone_through_where_there_are_few() -> None:
    differences = np.array([0.3, -0.1, 0.2, 0.4, 0.0])
    there = differences[:4]
    sums = [abs(float(np.dot(signs, there))) for signs in product((1, -1), repeat=4)]
    assert sign_flips(differences) == pytest.approx(np.mean(np.array(sums) >= abs(there.sum()) - 1e-12))
    assert sign_flips(np.zeros(5)) == 1.0
    many = np.random.default_rng(0).normal(0.0, 1.0, 60)
    assert sign_flips(many) == pytest.approx(wilcoxon(many).pvalue, abs=0.25)
    assert sign_flips(many + 1.0) < 0.001


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_means_are_tested_by_patient() -> None:
    rng = np.random.default_rng(5)
    second = rng.random(60) * 0.5 + 0.3
    first = second + 0.05 + rng.normal(0.0, 0.02, 60)
    names = [str(number) for number in np.repeat(np.arange(20), 3)]
    pairs = [[mean_measure(label, "dice", values) for label in "ab"] for values in (first, second)]
    found = compare(pairs[0], pairs[1], Patients(names, Resampling(500)))
    assert [one.label for one in found] == ["a", "b"]
    by_patient = (first - second).reshape(20, 3).mean(1)
    assert found[0].test == "wilcoxon"
    assert found[0].p_value == pytest.approx(wilcoxon(by_patient).pvalue)
    assert found[0].p_holm == pytest.approx(min(1.0, 2 * (found[0].p_value or 0.0)))
    assert found[0].difference.value == pytest.approx((first - second).mean())
    assert found[0].difference.low is not None
    assert 0.0 < found[0].difference.low < 0.05


def test_a_case_that_one_model_has_no_figure_for_is_in_neither() -> None:
    first, second = np.array([0.5, np.nan, 0.7, 0.9]), np.array([0.4, 0.1, 0.6, 0.7])
    patients = Patients(list("abcd"), Resampling(200))
    (found,) = compare([mean_measure("", "hd95_mm", first)], [mean_measure("", "hd95_mm", second)], patients)
    assert found.cases == 3
    assert found.difference.value == pytest.approx(0.4 / 3)
    assert found.first == pytest.approx(2.1 / 3)
    assert found.second == pytest.approx(1.7 / 3)


def test_delong_is_for_independent_cases_alone() -> None:
    first, second, truths = _scores(1)
    which = np.arange(50)
    measures = [
        Measure("x", "auroc", of.auroc(scores, truths), 50, scores=(scores, truths, which))
        for scores in (first, second)
    ]
    alone = Patients([str(number) for number in range(50)], Resampling(300))
    (found,) = compare(measures[:1], measures[1:], alone)
    expected = delong(first, second, truths)
    assert expected is not None
    assert (found.test, found.p_value) == ("delong", pytest.approx(expected.p_value))
    together = Patients([str(number // 2) for number in range(50)], Resampling(300))
    (found,) = compare(measures[:1], measures[1:], together)
    assert found.test == "bootstrap"
    assert found.p_value is not None
    assert 0.0 < found.p_value <= 1.0
