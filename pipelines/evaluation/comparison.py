"""Two models on the same studies: differences with intervals, and how surely they are none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from pipelines.evaluation.delong import delong
from pipelines.evaluation.intervals import Bounds, Interval, Patients
from pipelines.evaluation.measures import Measure
from pipelines.evaluation.statistics import Ratio, Values, difference, mean

Test = Literal["wilcoxon", "delong", "bootstrap"]
_SIGNS = 9999
_MOST_EXACT = 12  # Patients up to which all signs are gone through.


@dataclass(frozen=True)
class Compared:
    """One figure of two models.

    Attributes:
        label: What it is about.
        metric: Its name.
        first: Of the first model; a mean over cases is of those alone that have a value of both.
        second: Of the second.
        difference: First less second, with its interval.
        test: Which gave the p-value.
        p_value: Two-sided, of there being no difference; None where it cannot be had.
        p_permutation: Of a test that changes the signs of the patients' differences; of means alone.
        p_holm: The p-value after Holm's correction for the labels that were tested.
        cases: How many the difference rests on.
    """

    label: str
    metric: str
    first: float | None
    second: float | None
    difference: Interval
    test: Test
    p_value: float | None
    p_permutation: float | None
    p_holm: float | None
    cases: int


def compare(first: Sequence[Measure], second: Sequence[Measure], patients: Patients) -> list[Compared]:
    """Compare figure by figure what both models have; of two measures of the same cases in the same order.

    Means over cases are tested by Wilcoxon's signed ranks of the patients' mean differences; areas under ROC curves by
    DeLong's test where every patient has one study, which it takes for granted; all else by the bootstrap.
    """
    others = {(measure.label, measure.metric): measure for measure in second}
    pairs = [(one, others[one.label, one.metric]) for one in first if (one.label, one.metric) in others]
    compared = [_compare(one, other, patients) for one, other in pairs if one.better != "zero"]
    for metric in dict.fromkeys(one.metric for one in compared):
        tested = [at for at, one in enumerate(compared) if one.metric == metric and one.p_value is not None]
        for at, corrected in zip(tested, holm([compared[at].p_value or 0.0 for at in tested]), strict=True):
            compared[at] = Compared(**(vars(compared[at]) | {"p_holm": corrected}))
    return compared


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected for several tests, so that the chance of any false alarm stays (Holm, Scand. J. Statist. 6, 1979)."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    raised = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors))
    corrected = np.empty(len(p_values))
    corrected[order] = raised
    return [float(value) for value in corrected]


def sign_flips(differences: Values, seed: int = 0) -> float:
    """Two-sided p-value of a permutation test: were the models alike, every difference could as well be turned round.

    All signs are gone through where there are few differences; else a sample of them is drawn, itself included.

    Args:
        differences: (patients,).
        seed: Of the sample.

    Returns:
        1.0 without any difference.
    """
    there = differences[differences != 0]
    seen = abs(float(there.sum()))
    if there.size == 0:
        return 1.0
    if there.size <= _MOST_EXACT:
        numbers = np.arange(2**there.size)[:, None]
        signs = 1.0 - 2.0 * ((numbers >> np.arange(there.size)) & 1)
    else:
        drawn = np.random.default_rng(seed).integers(0, 2, size=(_SIGNS, there.size), dtype=np.int8)
        signs = np.vstack([np.ones((1, there.size)), 1.0 - 2.0 * drawn])
    sums = np.abs(signs @ there)
    return float(np.mean(sums >= seen * (1.0 - 1e-12)))


def _compare(first: Measure, second: Measure, patients: Patients) -> Compared:
    ones = np.ones((1, patients.cases))
    test: Test = "bootstrap"
    permuted: float | None = None
    cases = min(first.cases, second.cases)
    one, other = first.statistic, second.statistic
    if first.values is not None and second.values is not None:
        apart = first.values - second.values
        cases = int(np.count_nonzero(~np.isnan(apart)))
        one, other = _of_both(first.values, apart), _of_both(second.values, apart)
        by_patient = _by_patient(apart, patients)
        test, p_value, permuted = (
            "wilcoxon",
            _signed_ranks(by_patient),
            sign_flips(by_patient, patients.resampling.seed),
        )
    elif first.scores is not None and second.scores is not None and _alone(first, second, patients):
        found = delong(first.scores[0], second.scores[0], first.scores[1])
        test, p_value = "delong", None if found is None else found.p_value
    else:
        p_value = _from_samples(patients.samples(difference(one, other)))
    bounds: Bounds = (first.bounds[0] - first.bounds[1], first.bounds[1] - first.bounds[0])
    return Compared(
        label=first.label,
        metric=first.metric,
        first=_known(one(ones)),
        second=_known(other(ones)),
        difference=patients.interval(difference(one, other), bounds),
        test=test,
        p_value=p_value,
        p_permutation=permuted,
        p_holm=None,
        cases=cases,
    )


def _of_both(values: Values, apart: Values) -> Ratio:
    """The mean over the cases that have a value of both models."""
    return mean(np.where(np.isnan(apart), np.nan, values))


def _by_patient(apart: Values, patients: Patients) -> Values:
    known = ~np.isnan(apart)
    counts = patients.sums(known.astype(np.float64))
    differences: Values = patients.sums(np.where(known, apart, 0.0))[counts > 0] / counts[counts > 0]
    return differences


def _signed_ranks(differences: Values) -> float | None:
    there = differences[differences != 0]
    if differences.size < 2:
        return None
    return float(wilcoxon(there).pvalue) if there.size else 1.0


def _alone(first: Measure, second: Measure, patients: Patients) -> bool:
    """Whether cases are independent, one for each patient, and those of both models the same."""
    if first.scores is None or second.scores is None or patients.count < patients.cases:
        return False
    return np.array_equal(first.scores[2], second.scores[2])


def _from_samples(drawn: Values) -> float | None:
    """How often a bootstrap sample has no difference, or one of the other sign; twice, for both sides."""
    known: NDArray[np.float64] = drawn[~np.isnan(drawn)]
    if known.size == 0:
        return None
    one_side = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2.0 * (one_side + 1) / (known.size + 1)))


def _known(figures: Values) -> float | None:
    return None if np.isnan(figures[0]) else float(figures[0])
