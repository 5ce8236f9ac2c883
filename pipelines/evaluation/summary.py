"""Cases to figures: of all, by group, beside another model, and as curves."""

import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np

from datasets.errors import ConfigError
from pipelines.evaluation.cases import Case
from pipelines.evaluation.class_measures import Binary, binary_measures, class_labels, class_measures, finding_labels
from pipelines.evaluation.comparison import compare
from pipelines.evaluation.document import ComparedRecord, CurveRecord, FigureRecord, GroupRecord
from pipelines.evaluation.intervals import FEW_PATIENTS, Patients, Resampling
from pipelines.evaluation.measures import Measure, instance_measures, mask_measures, score_measures
from pipelines.evaluation.statistics import Values
from pipelines.metrics.confusion import confusion_matrix
from pipelines.metrics.froc import froc
from pipelines.metrics.reliability import reliability
from pipelines.metrics.roc_curve import operating_curve

# A column with more values is no grouping: a date, an age in days.
MOST_GROUPS = 20
_MOST_POINTS = 400


def measures_of(cases: Sequence[Case], classes: Sequence[str]) -> list[Measure]:
    """Everything that can be told of cases."""
    return [
        *mask_measures(cases),
        *instance_measures(cases),
        *binary_measures(finding_labels(cases)),
        *class_measures(cases, classes),
        *binary_measures(class_labels(cases, classes)),
        *score_measures(cases),
    ]


def figures_of(measures: Sequence[Measure], patients: Patients) -> tuple[FigureRecord, ...]:
    """Figures with intervals."""
    return tuple(_figure(measure, patients) for measure in measures)


def patients_of(cases: Sequence[Case], resampling: Resampling) -> Patients:
    """The patients of cases."""
    return Patients([case.patient for case in cases], resampling)


def groups_of(cases: Sequence[Case], classes: Sequence[str], resampling: Resampling) -> Iterator[GroupRecord]:
    """The main figures by every column that groups cases, values in order."""
    columns = sorted({column for case in cases for column in case.groups})
    for column in columns:
        values = sorted({case.groups.get(column, "") for case in cases})
        if not 1 < len(values) <= MOST_GROUPS:
            continue
        for value in values:
            members = [case for case in cases if case.groups.get(column, "") == value]
            patients = patients_of(members, resampling)
            primary = [measure for measure in measures_of(members, classes) if measure.primary]
            yield GroupRecord(
                column=column,
                value=value or "(not told)",
                patients=patients.count,
                cases=len(members),
                few=patients.count < FEW_PATIENTS,
                figures=figures_of(primary, patients),
            )


def compared(
    first: Sequence[Case], second: Sequence[Case], classes: Sequence[str], resampling: Resampling
) -> tuple[int, int, tuple[ComparedRecord, ...]]:
    """Cases and patients that both models have, and how the figures on them differ.

    Raises:
        ConfigError: They have none in common.
    """
    others = {case.name: case for case in second}
    mine = [case for case in first if case.name in others]
    if not mine:
        raise ConfigError("predictions of the same studies with --compare", "none in common", "check --compare")
    patients = patients_of(mine, resampling)
    theirs = [others[case.name] for case in mine]
    found = compare(measures_of(mine, classes), measures_of(theirs, classes), patients)
    records = tuple(
        ComparedRecord(
            label=one.label,
            metric=one.metric,
            first=one.first,
            second=one.second,
            difference=one.difference.value,
            low=one.difference.low,
            high=one.difference.high,
            cases=one.cases,
            test=one.test,
            p_value=one.p_value,
            p_permutation=one.p_permutation,
            p_holm=one.p_holm,
        )
        for one in found
    )
    return len(mine), patients.count, records


def curves_of(cases: Sequence[Case], classes: Sequence[str]) -> Iterator[CurveRecord]:
    """Curves of every label, thinned to what a plot can show."""
    for one in (*finding_labels(cases), *class_labels(cases, classes)):
        yield from _label_curves(one)
    for label in dict.fromkeys(record.label for case in cases for record in case.masks):
        records = [r.lesions for case in cases for r in case.masks if r.label == label and r.lesions is not None]
        if not records or any(one.found_scores is None for one in records):
            continue
        found = np.array([score for one in records for score in one.found_scores or ()])
        invented = np.array([score for one in records for score in one.invented_scores or ()])
        curve = froc(found, invented, sum(one.reference for one in records), len(records))
        if curve is not None:
            yield _curve(label, "froc", curve.false_per_image, curve.sensitivity)


def confusion_of(cases: Sequence[Case], classes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Row: the class that holds, column: the one called; empty where there are no classes."""
    records = [case.classes for case in cases if case.classes is not None]
    if not records:
        return ()
    called, true = np.array([one.called for one in records]), np.array([one.truth for one in records])
    return tuple(tuple(int(count) for count in row) for row in confusion_matrix(called, true, len(classes)))


def digest_of(cases: Sequence[Case]) -> str:
    """Sha256 over names, patients and truths."""
    rows = [[case.name, case.patient, case.truth_sha256] for case in cases]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _figure(measure: Measure, patients: Patients) -> FigureRecord:
    interval = patients.interval(measure.statistic, measure.bounds)
    return FigureRecord(
        label=measure.label,
        metric=measure.metric,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        cases=measure.cases,
        undefined=measure.undefined,
        better=measure.better,
    )


def _label_curves(one: Binary) -> Iterator[CurveRecord]:
    curve = operating_curve(one.scores, one.truths)
    if curve is not None:
        yield _curve(one.label, "roc", curve.false_alarms, curve.sensitivity)
        yield _curve(one.label, "precision_recall", curve.sensitivity[1:], curve.precision[1:])
    for kind, probabilities in (("reliability", one.probabilities), ("reliability_raw", one.raw)):
        if probabilities is not None:
            bins = reliability(probabilities, one.truths)
            drawn = _curve(one.label, kind, bins.said, bins.happened)
            yield drawn.model_copy(update={"cases": tuple(int(count) for count in bins.cases)})


def _curve(label: str, kind: str, x: Values, y: Values) -> CurveRecord:
    kept = np.unique(np.linspace(0, max(x.size - 1, 0), min(x.size, _MOST_POINTS)).round().astype(np.intp))
    return CurveRecord.model_validate(
        {"label": label, "kind": kind, "x": [float(x[at]) for at in kept], "y": [float(y[at]) for at in kept]}
    )
