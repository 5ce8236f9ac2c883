"""What is told of findings and classes: how well they are ranked, called and calibrated."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation import statistics as of
from pipelines.evaluation.cases import Case
from pipelines.evaluation.intervals import Bounds
from pipelines.evaluation.measures import Measure, among
from pipelines.evaluation.statistics import Statistic, Values
from pipelines.metrics import confusion
from pipelines.metrics.confusion import Confusion
from pipelines.metrics.kappa import cohen_kappa
from pipelines.metrics.reliability import BINS

# At which the other of the two is told.
ASKED_FOR = 0.9
AGREEMENT: Bounds = (-1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Binary:
    """One label over the cases in which it is known.

    Attributes:
        label: Its name.
        all_cases: How many cases there are, N.
        which: (M,) places among them of those in which it is known.
        truths: (M,) whether it is there.
        probabilities: (M,) as told.
        raw: (M,) the network's own; None where nobody says.
        called: (M,) whether it was called.
    """

    label: str
    all_cases: int
    which: NDArray[np.intp]
    truths: NDArray[np.bool_]
    probabilities: Values
    raw: Values | None
    called: NDArray[np.bool_]

    @property
    def scores(self) -> Values:
        """What ranks cases: the network's own probability, which calibration does not reorder but rounding may tie."""
        return self.probabilities if self.raw is None else self.raw


def finding_labels(cases: Sequence[Case]) -> list[Binary]:
    """Labels that may be there or not, in the order in which they occur."""
    labels = dict.fromkeys(record.label for case in cases for record in case.findings)
    found = []
    for label in labels:
        rows = [(at, one) for at, case in enumerate(cases) for one in case.findings if one.label == label]
        raw = [one.raw for _, one in rows if one.raw is not None]
        found.append(
            Binary(
                label=label,
                all_cases=len(cases),
                which=np.array([at for at, _ in rows], dtype=np.intp),
                truths=np.array([one.truth > 0.5 for _, one in rows]),
                probabilities=np.array([one.probability for _, one in rows]),
                raw=np.array(raw) if len(raw) == len(rows) else None,
                called=np.array([one.positive for _, one in rows]),
            )
        )
    return found


def class_labels(cases: Sequence[Case], classes: Sequence[str]) -> list[Binary]:
    """Every class against the others; of two the second alone, which says the same as the first."""
    rows = [(at, case.classes) for at, case in enumerate(cases) if case.classes is not None]
    if not rows:
        return []
    which = np.array([at for at, _ in rows], dtype=np.intp)
    told = np.array([one.probabilities for _, one in rows])
    raw = np.array([one.raw or () for _, one in rows]) if all(one.raw for _, one in rows) else None
    true, called = (np.array([getattr(one, key) for _, one in rows]) for key in ("truth", "called"))
    numbers = (1,) if len(classes) == 2 else range(len(classes))
    return [
        Binary(classes[n], len(cases), which, true == n, told[:, n], None if raw is None else raw[:, n], called == n)
        for n in numbers
    ]


def binary_measures(labels: Sequence[Binary]) -> Iterator[Measure]:
    """Of labels one by one, and the mean over them."""
    ranking: list[Statistic] = []
    for one in labels:
        measures = list(_of_label(one))
        yield from measures
        ranking += [measure.statistic for measure in measures if measure.metric == "auroc"]
    if len(ranking) > 1:

        def mean(weights: Values) -> Values:
            figures = np.array([statistic(weights) for statistic in ranking])
            known = ~np.isnan(figures)
            return of.over(np.where(known, figures, 0.0).sum(0), known.sum(0))

        yield Measure("", "auroc_mean", mean, max(one.which.size for one in labels), primary=True)


def class_measures(cases: Sequence[Case], classes: Sequence[str]) -> Iterator[Measure]:
    """Of which class was called: agreement over all classes."""
    rows = [(at, case.classes) for at, case in enumerate(cases) if case.classes is not None]
    if not rows:
        return
    which = np.array([at for at, _ in rows], dtype=np.intp)
    true = np.array([one.truth for _, one in rows])
    called = np.array([one.called for _, one in rows])

    def told(metric: str, figure: Callable[[Confusion], Values], bounds: Bounds = (0.0, 1.0)) -> Measure:
        statistic = among(which, of.confusion_statistic(called, true, len(classes), figure))
        return Measure("", metric, statistic, which.size, bounds=bounds, primary=metric == "accuracy")

    yield told("accuracy", confusion.accuracy)
    yield told("balanced_accuracy", confusion.balanced_accuracy)
    yield told("f1_macro", lambda counts: _mean_known(confusion.f1(counts)))
    yield told("kappa", cohen_kappa, AGREEMENT)
    if len(classes) > 2:
        yield told("kappa_quadratic", lambda counts: cohen_kappa(counts, "quadratic"), AGREEMENT)
        best = np.array([max(one.probabilities) for _, one in rows])
        right = np.array([int(np.argmax(one.probabilities)) == one.truth for _, one in rows])
        error = among(which, of.calibration(best, right))
        yield Measure("", "calibration_error_top_label", error, which.size, better="lower")


def _of_label(one: Binary) -> Iterator[Measure]:
    count, truths, scores = one.which.size, one.truths, one.scores
    area = among(one.which, of.auroc(scores, truths))
    yield Measure(one.label, "auroc", area, count, primary=True, scores=(scores, truths, one.which))
    yield Measure(one.label, "average_precision", among(one.which, of.average_precision(scores, truths)), count)

    def ratio(metric: str, part: NDArray[np.bool_], whole: NDArray[np.bool_], *, primary: bool = False) -> Measure:
        share = of.Ratio((part & whole).astype(np.float64), whole.astype(np.float64))
        return Measure(one.label, metric, _spread(share, one), int(whole.sum()), primary=primary)

    everyone = np.ones_like(truths)
    yield ratio("prevalence", truths, everyone)
    yield ratio("sensitivity", one.called, truths, primary=True)
    yield ratio("specificity", ~one.called, ~truths, primary=True)
    yield ratio("precision", truths, one.called)
    yield ratio("negative_predictive_value", ~truths, ~one.called)
    yield ratio("accuracy", one.called == truths, everyone)
    f1 = of.confusion_statistic(
        one.called.astype(np.intp), truths.astype(np.intp), 2, lambda m: confusion.f1(m)[..., 1]
    )
    yield Measure(one.label, "f1", among(one.which, f1), count)
    asked = f"{ASKED_FOR:.0%}".rstrip("%")
    at_specificity = among(one.which, of.sensitivity_at(scores, truths, ASKED_FOR))
    yield Measure(one.label, f"sensitivity_at_specificity_{asked}", at_specificity, count)
    at_sensitivity = among(one.which, of.specificity_at(scores, truths, ASKED_FOR))
    yield Measure(one.label, f"specificity_at_sensitivity_{asked}", at_sensitivity, count)
    yield from _calibration(one, one.probabilities, "")
    if one.raw is not None:
        yield from _calibration(one, one.raw, "_raw")


def _calibration(one: Binary, probabilities: Values, suffix: str) -> Iterator[Measure]:
    count = one.which.size
    squares = of.Ratio(np.square(probabilities - one.truths), np.ones(count))
    yield Measure(one.label, f"brier{suffix}", _spread(squares, one), count, better="lower")
    plain = among(one.which, of.calibration(probabilities, one.truths))
    yield Measure(one.label, f"calibration_error{suffix}", plain, count, better="lower")
    mass = among(one.which, of.calibration(probabilities, one.truths, BINS, "equal_mass"))
    yield Measure(one.label, f"calibration_error_equal_mass{suffix}", mass, count, better="lower")


def _spread(ratio: of.Ratio, one: Binary) -> of.Ratio:
    """A ratio over some cases as one over all: those that are not among them count nothing."""
    parts, wholes = np.zeros(one.all_cases), np.zeros(one.all_cases)
    parts[one.which], wholes[one.which] = ratio.parts, ratio.wholes
    return of.Ratio(parts, wholes)


def _mean_known(values: Values) -> Values:
    known = ~np.isnan(values)
    return of.over(np.where(known, values, 0.0).sum(-1), known.sum(-1).astype(np.float64))
