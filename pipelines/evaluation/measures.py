"""What is told of a set of cases: every figure with its name, unit and what it is computed from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluation import statistics as of
from pipelines.evaluation.cases import Case, InstanceRecord, LesionRecord, MaskRecord
from pipelines.evaluation.intervals import SHARE, UNBOUNDED, Bounds
from pipelines.evaluation.lesion_statistics import average_sensitivity, f1_of
from pipelines.evaluation.statistics import Ratio, Statistic, Values

Better = Literal["higher", "lower", "zero"]
POSITIVE: Bounds = (0.0, np.inf)
_BOUNDS: Mapping[Better, Bounds] = {"higher": SHARE, "lower": POSITIVE, "zero": UNBOUNDED}
_PERCENT = 100.0
Record = TypeVar("Record", MaskRecord, InstanceRecord)


@dataclass(frozen=True, eq=False)
class Measure:
    """A figure that can be computed of any weights of the cases.

    Attributes:
        label: What it is about; "" where it is about all labels.
        metric: Its name, with its unit where it has one.
        statistic: Of weights (B, N) of all N cases.
        cases: How many it rests on.
        undefined: Of the cases with the label, how many are left out, because it is undefined for them.
        bounds: Between which values it lies.
        better: Which way is better.
        values: (N,) of each case, NaN where undefined, where the figure is a mean over cases; None otherwise.
        primary: Whether it is told by group, too.
        scores: Scores and truths where it is an area under the ROC curve, for DeLong's test, with the cases they
            belong to.
    """

    label: str
    metric: str
    statistic: Statistic
    cases: int
    undefined: int = 0
    bounds: Bounds = SHARE
    better: Better = "higher"
    values: Values | None = None
    primary: bool = False
    scores: tuple[Values, NDArray[np.bool_], NDArray[np.intp]] | None = None


def mask_measures(cases: Sequence[Case]) -> Iterator[Measure]:
    """Of label maps, label by label."""
    for label in _in_order(record.label for case in cases for record in case.masks):
        records = [next((one for one in case.masks if one.label == label), None) for case in cases]
        yield from _mask_label(label, records)


def instance_measures(cases: Sequence[Case]) -> Iterator[Measure]:
    """Of objects one by one: means over cases, and of all pixels or objects together."""
    records = [case.instances for case in cases]
    there = [record for record in records if record is not None]
    if not there:
        return
    label = there[0].label

    def sums(value: Callable[[InstanceRecord], float]) -> Values:
        return np.array([0.0 if record is None else value(record) for record in records])

    def mean(metric: str, value: Callable[[InstanceRecord], float | None], *, primary: bool = False) -> Measure:
        return mean_measure(label, metric, _values(records, value), primary=primary)

    if any(record.two_class_iou is not None for record in there):
        yield mean("two_class_iou", lambda one: one.two_class_iou, primary=True)
    yield mean("foreground_iou", lambda one: one.foreground_iou)
    shared, joined = sums(lambda one: one.shared), sums(lambda one: one.predicted + one.reference - one.shared)
    yield Measure(label, "foreground_iou_pooled", Ratio(shared, joined), len(there))
    yield mean("panoptic_quality", lambda one: one.panoptic_quality, primary=True)
    matched, iou_sum = sums(lambda one: one.matched), sums(lambda one: one.iou_sum)
    counted = matched + 0.5 * sums(lambda one: one.invented + one.missed)
    yield Measure(label, "panoptic_quality_pooled", Ratio(iou_sum, counted), len(there))
    yield Measure(label, "recognition_quality_pooled", Ratio(matched, counted), len(there))
    yield Measure(label, "segmentation_quality_pooled", Ratio(iou_sum, matched), len(there))
    yield Measure(label, "object_precision", Ratio(matched, matched + sums(lambda one: one.invented)), len(there))
    yield Measure(label, "object_recall", Ratio(matched, matched + sums(lambda one: one.missed)), len(there))
    yield mean("aggregated_jaccard", lambda one: one.aggregated_jaccard, primary=True)


def score_measures(cases: Sequence[Case]) -> Iterator[Measure]:
    """Of numbers that were said."""
    for label in _in_order(record.label for case in cases for record in case.scores):
        said, true = np.full(len(cases), np.nan), np.full(len(cases), np.nan)
        for at, case in enumerate(cases):
            for record in case.scores:
                if record.label == label:
                    said[at], true[at] = record.said, record.truth
        known = np.flatnonzero(~np.isnan(true))
        off = said - true
        yield mean_measure(label, "mae", np.abs(off), "lower", primary=True)
        rmse = of.root_mean(np.square(off))
        yield Measure(label, "rmse", rmse, known.size, bounds=POSITIVE, better="lower")
        r2 = among(known, of.determination(said[known], true[known]))
        yield Measure(label, "r2", r2, known.size, bounds=(-np.inf, 1.0))
        yield mean_measure(label, "bias", off, "zero")


def mean_measure(
    label: str,
    metric: str,
    values: Values,
    better: Better = "higher",
    *,
    primary: bool = False,
    among_cases: int | None = None,
) -> Measure:
    """A mean over cases; (N,) values, NaN where there is none.

    Args:
        label: What it is about.
        metric: Its name.
        values: Of each case.
        better: Which way is better: shares rise to 1, errors fall to 0, differences may have either sign.
        primary: Whether it is told by group, too.
        among_cases: How many cases could have a value; those with one where None.
    """
    known = int(np.count_nonzero(~np.isnan(values)))
    undefined = 0 if among_cases is None else among_cases - known
    return Measure(label, metric, of.mean(values), known, undefined, _BOUNDS[better], better, values, primary)


def among(which: NDArray[np.intp], statistic: Statistic) -> Statistic:
    """A statistic of some of the cases as one of all of them."""

    def of_all(weights: Values) -> Values:
        return statistic(weights[:, which])

    return of_all


def _mask_label(label: str, records: Sequence[MaskRecord | None]) -> Iterator[Measure]:
    there = [record for record in records if record is not None]
    unit = "mm" if all(record.unit == "mm" for record in there) else "px"

    def mean(metric: str, value: Callable[[MaskRecord], float | None], better: Better = "higher") -> Measure:
        primary = metric in _PRIMARY or metric == f"hd95_{unit}"
        values = _values(records, value)
        return mean_measure(label, metric, values, better, primary=primary, among_cases=len(there))

    yield mean("dice", lambda one: one.dice)
    if any(record.reference == 0 for record in there):
        yield mean("dice_with_reference", lambda one: one.dice if one.reference else None)
    counts = np.array(
        [[0, 0, 0] if one is None else [one.predicted, one.reference, one.shared] for one in records], float
    )
    yield Measure(label, "dice_global", Ratio(2.0 * counts[:, 2], counts[:, 0] + counts[:, 1]), len(there))
    yield mean("iou", lambda one: one.iou)
    yield mean("nsd", lambda one: one.nsd)
    # Distances in pixels and in mm are no one figure: where the spacing of some is unknown, only theirs are told.
    yield mean(f"hd95_{unit}", lambda one: one.hd95 if one.unit == unit else None, "lower")
    yield mean(f"hd_{unit}", lambda one: one.hd if one.unit == unit else None, "lower")
    yield mean(f"assd_{unit}", lambda one: one.assd if one.unit == unit else None, "lower")
    yield mean(f"rmsd_{unit}", lambda one: one.rmsd if one.unit == unit else None, "lower")
    yield mean("voe", lambda one: one.voe, "lower")
    yield mean("rvd", lambda one: one.rvd, "zero")
    if unit == "mm":
        yield mean("volume_error_ml", _volume_error, "zero")
        yield mean("absolute_volume_error_ml", lambda one: _absolute(_volume_error(one)), "lower")
        yield mean("volume_error_percent", lambda one: None if one.rvd is None else _PERCENT * one.rvd, "zero")
    yield from _lesion_measures(label, [None if one is None else one.lesions for one in records])


_PRIMARY = ("dice", "nsd")


def _lesion_measures(label: str, records: Sequence[LesionRecord | None]) -> Iterator[Measure]:
    there = [record for record in records if record is not None]
    if not there:
        return

    def sums(value: Callable[[LesionRecord], float]) -> Values:
        return np.array([0.0 if record is None else value(record) for record in records])

    lesions, said = sums(lambda one: one.reference), sums(lambda one: one.predicted)
    rules = {
        "overlap": (sums(lambda one: one.found_by_overlap), sums(lambda one: one.right_by_overlap)),
        "iou": (sums(lambda one: one.found_by_iou), sums(lambda one: one.right_by_iou)),
    }
    for rule, (found, right) in rules.items():
        yield Measure(label, f"lesion_recall_{rule}", Ratio(found, lesions), len(there))
        yield Measure(label, f"lesion_precision_{rule}", Ratio(right, said), len(there))
        yield Measure(label, f"lesion_f1_{rule}", f1_of(found, lesions, right, said), len(there))
    if all(one.found_scores is not None and one.invented_scores is not None for one in there):
        found_scores = [() if one is None else one.found_scores or () for one in records]
        invented = [() if one is None else one.invented_scores or () for one in records]
        images = np.array([float(one is not None) for one in records])
        statistic = average_sensitivity(found_scores, invented, lesions, images)
        yield Measure(label, "froc_average_sensitivity", statistic, len(there))


def _volume_error(record: MaskRecord) -> float | None:
    if record.predicted_ml is None or record.reference_ml is None:
        return None
    return record.predicted_ml - record.reference_ml


def _absolute(value: float | None) -> float | None:
    return None if value is None else abs(value)


def _values(records: Sequence[Record | None], value: Callable[[Record], float | None]) -> Values:
    """(N,) of each case, NaN where there is none."""
    found = [None if record is None else value(record) for record in records]
    return np.array([np.nan if one is None else one for one in found], dtype=np.float64)


def _in_order(labels: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))
