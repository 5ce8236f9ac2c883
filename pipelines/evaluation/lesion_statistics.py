"""Figures of lesions of all cases together, as functions of the cases' weights."""

from collections.abc import Sequence

import numpy as np

from pipelines.evaluation.statistics import Statistic, Values, over
from pipelines.metrics.froc import USUAL_RATES


def f1_of(found: Values, lesions: Values, right: Values, said: Values) -> Statistic:
    """Harmonic mean of recall and precision of all lesions together; (N,) counts by case.

    1.0 where there are none and none was said, 0.0 where only one of the two holds.
    """

    def of(weights: Values) -> Values:
        recall = np.nan_to_num(over(weights @ found, weights @ lesions))
        precision = np.nan_to_num(over(weights @ right, weights @ said))
        together = recall + precision
        f1 = np.divide(2.0 * recall * precision, together, out=np.zeros_like(together), where=together > 0)
        nothing = (weights @ lesions == 0) & (weights @ said == 0)
        return np.where(nothing, 1.0, f1)

    return of


def average_sensitivity(
    found: Sequence[Sequence[float]], invented: Sequence[Sequence[float]], lesions: Values, images: Values
) -> Statistic:
    """Mean sensitivity at 1/8 to 8 invented lesions per image.

    Args:
        found: By case, the best score of every lesion that was found.
        invented: By case, the score of every prediction that found none.
        lesions: (N,) how many there are.
        images: (N,) 1.0 of cases that were looked at, 0.0 of others.
    """
    scores = np.array([score for case in (*found, *invented) for score in case])
    of_case = np.array([at for part in (found, invented) for at, case in enumerate(part) for _ in case], dtype=np.intp)
    is_hit = np.arange(scores.size) < sum(map(len, found))
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if scores.size else np.empty(0, np.intp)

    def of(weights: Values) -> Values:
        ranked = weights[:, of_case[order]]
        hits = np.cumsum(ranked * is_hit[order], axis=-1)[:, last]
        alarms = np.cumsum(ranked * ~is_hit[order], axis=-1)[:, last]
        start = np.zeros((len(weights), 1))
        sensitivity = over(np.hstack([start, hits]), np.repeat((weights @ lesions)[:, None], last.size + 1, axis=1))
        rate = over(np.hstack([start, alarms]), np.repeat((weights @ images)[:, None], last.size + 1, axis=1))
        return np.array([np.interp(USUAL_RATES, x, y).mean() for x, y in zip(rate, sensitivity, strict=True)])

    return of
