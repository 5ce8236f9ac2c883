"""Intervals over patients: what they hold, and how often."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from pipelines.evaluation import statistics as of
from pipelines.evaluation.intervals import SHARE, Patients, Resampling

Values = NDArray[np.float64]


def _dice(patients: int, rng: np.random.Generator) -> tuple[list[str], Values]:
    """Skewed and bounded, one to four studies each, those of a patient alike."""
    studies = rng.integers(1, 5, patients)
    of_patient = np.repeat(np.arange(patients), studies)
    values = expit(rng.normal(2.2, 1.0, patients)[of_patient] + rng.normal(0.0, 0.5, of_patient.size))
    return [f"p{number}" for number in of_patient], values


def _true_dice() -> float:
    grid = np.linspace(-12.0, 12.0, 200_001)
    spread = np.sqrt(1.0 + 0.25)
    return float(np.sum(expit(2.2 + spread * grid) * norm.pdf(grid)) * (grid[1] - grid[0]))


def _ranked(patients: int, rng: np.random.Generator) -> tuple[list[str], Values, NDArray[np.bool_]]:
    studies = rng.integers(1, 5, patients)
    of_patient = np.repeat(np.arange(patients), studies)
    truths = rng.random(of_patient.size) < 0.4
    scores = rng.normal(0.0, 0.7, patients)[of_patient] + rng.normal(1.5 * truths, 1.0)
    return [f"p{number}" for number in of_patient], scores, truths


_TRUE_AUROC = float(norm.cdf(1.5 / np.sqrt(2.0 * (1.0 + 0.49))))


def _coverage(patients: int, rounds: int, replicates: int) -> tuple[float, float]:
    """How often intervals of a mean and of an AUROC hold the truth."""
    rng = np.random.default_rng([patients, 7])
    true_dice, held = _true_dice(), np.zeros(2)
    for number in range(rounds):
        resampling = Resampling(replicates, seed=number)
        names, values = _dice(patients, rng)
        mean = Patients(names, resampling).interval(of.mean(values), SHARE)
        names, scores, truths = _ranked(patients, rng)
        area = Patients(names, resampling).interval(of.auroc(scores, truths), SHARE)
        for at, (interval, true) in enumerate(((mean, true_dice), (area, _TRUE_AUROC))):
            assert interval.low is not None
            assert interval.high is not None
            held[at] += interval.low <= true <= interval.high
    return float(held[0] / rounds), float(held[1] / rounds)


def test_coverage_of_a_small_simulation() -> None:
    # 95 % of 120 with a standard deviation of 2 %.
    mean, area = _coverage(45, rounds=120, replicates=400)
    assert 0.89 <= mean <= 1.0
    assert 0.89 <= area <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("patients", [30, 45, 60])
def test_coverage_of_the_full_simulation(patients: int) -> None:
    mean, area = _coverage(patients, rounds=2000, replicates=1000)
    assert 0.93 <= mean <= 0.97
    assert 0.93 <= area <= 0.97


def test_patients_and_not_studies_are_drawn() -> None:
    rng = np.random.default_rng(0)
    by_patient = rng.normal(0.0, 1.0, 40)
    values = np.repeat(by_patient, 5)  # Five studies that say the same: no more is known than of one.
    names = [str(number) for number in np.repeat(np.arange(40), 5)]
    resampling = Resampling(1000)
    clustered = Patients(names, resampling).interval(of.mean(values))
    single = Patients(names[::5], resampling).interval(of.mean(by_patient))
    as_if = Patients([str(number) for number in range(200)], resampling).interval(of.mean(values))
    assert _width(clustered) == pytest.approx(_width(single), rel=0.15)
    assert _width(as_if) < 0.6 * _width(clustered)


def _width(interval: object) -> float:
    return float(interval.high - interval.low)  # type: ignore[attr-defined]


def test_the_studentised_interval_of_many_is_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    found = Patients([str(n) for n in range(400)], Resampling(4000)).interval(of.mean(values))
    reach = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert found.low == pytest.approx(values.mean() - reach, abs=0.03)
    assert found.high == pytest.approx(values.mean() + reach, abs=0.03)


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    names, values = _dice(30, np.random.default_rng(0))
    first, again, other = (Patients(names, Resampling(500, seed=s)).interval(of.mean(values)) for s in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("method", ["percentile", "bca", "chosen"])
def test_all_methods_hold_the_value(method: str) -> None:
    names, scores, truths = _ranked(40, np.random.default_rng(2))
    resampling = Resampling(500, method=method)  # type: ignore[arg-type]
    for statistic in (of.auroc(scores, truths), of.mean(scores)):
        found = Patients(names, resampling).interval(statistic)
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high


def test_a_share_of_all_or_none_is_not_certain() -> None:
    names = [str(number) for number in range(30)]
    all_right = Patients(names, Resampling()).interval(of.mean(np.ones(30)), SHARE)
    assert all_right.low == pytest.approx(0.025 ** (1 / 30))
    assert all_right.high == 1.0
    none_right = Patients(names, Resampling()).interval(of.mean(np.zeros(30)), SHARE)
    assert none_right.high == pytest.approx(1.0 - 0.025 ** (1 / 30))


def test_where_there_is_no_interval() -> None:
    one = Patients(["a", "a"], Resampling()).interval(of.mean(np.array([0.5, 0.7])))
    assert (one.value, one.low, one.high) == (pytest.approx(0.6), None, None)
    nothing = Patients([], Resampling()).interval(of.mean(np.empty(0)))
    assert nothing.value is None
    undefined = Patients(["a", "b"], Resampling()).interval(of.auroc(np.ones(2), np.ones(2, bool)))
    assert undefined.value is None


def test_ends_stay_where_figures_can_be() -> None:
    values = np.array([1.0] * 20 + [0.2])
    found = Patients([str(number) for number in range(21)], Resampling()).interval(of.mean(values), SHARE)
    assert found.high is not None
    assert found.high <= 1.0
