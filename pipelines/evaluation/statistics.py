"""Figures of a set of cases as functions of the cases' weights, so that they can be resampled all at once.

A `Statistic` takes weights (B, N) of N cases in B samples and gives (B,) figures, NaN where one is undefined. With all
weights 1 it is the figure itself; with the number of times each case was drawn it is that of a bootstrap sample.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.auroc import Truths
from pipelines.metrics.confusion import Confusion
from pipelines.metrics.reliability import BINS, Binning, bins_of

Values = NDArray[np.float64]
Statistic = Callable[[Values], Values]


@dataclass(frozen=True, eq=False)
class Ratio:
    """A sum over cases over another: a mean, global Dice, precision of lesions; NaN where the second is 0.

    Attributes:
        parts: (N,).
        wholes: (N,), 0 or more.
    """

    parts: Values
    wholes: Values

    def __call__(self, weights: Values) -> Values:
        """(B, N) weights to (B,) figures."""
        return over(weights @ self.parts, weights @ self.wholes)


def mean(values: Values) -> Ratio:
    """Mean over cases; (N,) values, those that are NaN are left out."""
    known = ~np.isnan(values)
    return Ratio(np.where(known, values, 0.0), known.astype(np.float64))


def difference(first: Statistic, second: Statistic) -> Statistic:
    """The first less the second, of the same cases."""
    if isinstance(first, Ratio) and isinstance(second, Ratio) and np.array_equal(first.wholes, second.wholes):
        return Ratio(first.parts - second.parts, first.wholes)

    def of(weights: Values) -> Values:
        return first(weights) - second(weights)

    return of


def root_mean(values: Values) -> Statistic:
    """Root of the mean: RMSE of squared errors."""
    inner = mean(values)

    def of(weights: Values) -> Values:
        root: Values = np.sqrt(inner(weights))
        return root

    return of


def determination(predicted: Values, true: Values) -> Statistic:
    """R2; NaN where all true scores are equal."""

    def of(weights: Values) -> Values:
        total = weights.sum(-1)
        middle = over(weights @ true, total)
        # About the mean of all cases: the difference of two large squares would lose digits.
        spread = weights @ np.square(true - true.mean()) - total * np.square(middle - true.mean())
        explained = over(weights @ np.square(predicted - true), np.where(spread > _NO_SPREAD, spread, 0.0))
        return 1.0 - explained

    return of


def auroc(scores: Values, truths: Truths) -> Statistic:
    """Area under the ROC curve; ties count half."""
    cases, ends = _ranked(-scores)

    def of(weights: Values) -> Values:
        ranked = weights[:, cases]
        present, absent = ranked * truths[cases], ranked * ~truths[cases]
        # From the lowest score up: those without below, and half of those that tie.
        without = _by_score(absent, ends)
        below = np.cumsum(without, axis=-1) - without
        wins = (_by_score(present, ends) * (below + 0.5 * without)).sum(-1)
        return over(wins, present.sum(-1) * absent.sum(-1))

    return of


def average_precision(scores: Values, truths: Truths) -> Statistic:
    """Area under the precision-recall curve, without interpolation."""
    cases, ends = _ranked(scores)

    def of(weights: Values) -> Values:
        ranked = weights[:, cases]
        gained = _by_score(ranked * truths[cases], ends)
        found = np.cumsum(gained, axis=-1)
        called = np.cumsum(_by_score(ranked, ends), axis=-1)
        precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
        return over((gained * precision).sum(-1), found[:, -1])

    return of


def sensitivity_at(scores: Values, truths: Truths, specificity: float) -> Statistic:
    """The best sensitivity at which specificity is at least as asked for."""
    cases, ends = _ranked(scores)

    def of(weights: Values) -> Values:
        ranked = weights[:, cases]
        found = np.cumsum(_by_score(ranked * truths[cases], ends), axis=-1)
        alarms = np.cumsum(_by_score(ranked * ~truths[cases], ends), axis=-1)
        allowed = alarms <= (1.0 - specificity + _ROUNDING) * alarms[:, -1:]
        best = np.where(allowed, found, 0.0).max(-1)
        return np.where(alarms[:, -1] > 0, over(best, found[:, -1]), np.nan)

    return of


def specificity_at(scores: Values, truths: Truths, sensitivity: float) -> Statistic:
    """The best specificity at which sensitivity is at least as asked for."""
    return sensitivity_at(-scores, ~truths, sensitivity)


def confusion_statistic(
    called: NDArray[np.integer], true: NDArray[np.integer], classes: int, figure: Callable[[Confusion], Values]
) -> Statistic:
    """A figure of the confusion matrix: accuracy, kappa, F1 of a class."""
    cells = np.zeros((true.size, classes * classes))
    cells[np.arange(true.size), true * classes + called] = 1.0

    def of(weights: Values) -> Values:
        return figure((weights @ cells).reshape(-1, classes, classes))

    return of


def calibration(probabilities: Values, truths: Truths, bins: int = BINS, binning: Binning = "equal_width") -> Statistic:
    """Expected calibration error, in the bins of all cases."""
    member = np.zeros((truths.size, bins))
    member[np.arange(truths.size), bins_of(probabilities, bins, binning)] = 1.0
    off = member * (probabilities - truths)[:, None]

    def of(weights: Values) -> Values:
        return over(np.abs(weights @ off).sum(-1), weights.sum(-1))

    return of


def over(part: Values, whole: Values) -> Values:
    """A division that gives NaN where there is nothing to divide by."""
    shares: Values = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)
    return shares


_ROUNDING = 1e-12
_NO_SPREAD = 1e-12


def _ranked(scores: Values) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cases from the highest score down, and where each group of equal scores starts."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0)) if scores.size else np.empty(0, np.intp)
    return order, starts


def _by_score(ranked: Values, starts: NDArray[np.intp]) -> Values:
    """Sums over cases of one score: (B, N) to (B, scores)."""
    sums: Values = np.add.reduceat(ranked, starts, axis=-1)
    return sums
