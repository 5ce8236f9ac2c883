"""What a classifier's probabilities mean, and from which on a finding is called: learnt from cases, kept in the card.

A line on the log odds of the network's own probability (Platt, 1999), or its slope alone, which for a sigmoid and for
two classes is the temperature of Guo et al. (ICML 2017). What is told of calibrated probabilities is told of every case
by a line that was fitted without its patient; the line that is kept is fitted on all.

Labels with few cases are left alone: a line through a handful of cases is noise.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.errors import ConfigError, InputRefused, WeightsError
from datasets.example import ClassTruth, Dataset, Example, FindingsTruth, Truth
from datasets.io.atomic import atomic_path
from pipelines.calibration import Platt
from pipelines.calibration_lines import LEAST, Method, Numbers, figures, fit_line, held_out
from pipelines.calling_rule import Rule
from pipelines.classification import ClassesHead, ScoreHead
from pipelines.classifier_task import ClassifierTask
from pipelines.metrics.operating_point import at_point
from pipelines.model_package import CalibratedLabel, CalibrationRecord
from pipelines.model_store import Card, find_weights, read_card, write_card
from pipelines.run import Pipeline
from pipelines.task import Task

Log = Callable[[str], None]

MIN_CASES = 20


@dataclass(frozen=True)
class Wanted:
    """How to calibrate.

    Attributes:
        method: Slope and intercept, or slope alone.
        rule: Of the operating points.
        min_cases: With, and without a label, fewer of which leave it alone.
    """

    method: Method = "platt"
    rule: Rule = field(default_factory=Rule)
    min_cases: int = MIN_CASES


@dataclass(frozen=True, eq=False)
class _Said:
    """What was said of one label: probabilities (N,), whether it is there, whose case it is."""

    scores: Numbers
    truths: NDArray[np.bool_]
    patients: tuple[str, ...]


def calibrate(task: Task, weights: str, dataset: Dataset, wanted: Wanted, log: Log = lambda _: None) -> Card:
    """Fit calibration and operating points on a dataset's validation split, or on all of it where it has none.

    Args:
        task: As its YAML says; what it sets itself of points and calibration is not looked at.
        weights: Name of shipped weights, or a file.
        dataset: With findings or classes.
        wanted: How.
        log: Told what was left out, and why.

    Returns:
        The weights' card with what was fitted in place of what stood there.

    Raises:
        ConfigError: The task labels voxels, the dataset says nothing of its labels, or there are too few cases of all.
    """
    path, classifier = find_weights(weights), _classifier(task)
    plain = classifier.model_copy(update={"weights": str(path), "operating_points": {}, "calibration": {}})
    pipeline = Pipeline.load(plain)
    split, examples = _split(dataset)
    log(f"{len(examples)} cases of {dataset.name}, {'all: it has no validation split' if split == 'all' else split}")
    said = _ask(pipeline, examples, log)
    card = read_card(path) or Card(
        name=path.stem, task=task.name, trained_on="unknown", limits="unknown", phantom=False
    )
    lines: dict[str, tuple[float, float]] = {}
    points: dict[str, float] = {}
    labels: dict[str, CalibratedLabel] = {}
    alone: dict[str, str] = {}
    for label, one in said.items():
        if reason := _reason_against(one, wanted):
            alone[label] = reason
            log(f"{label} is left alone: {reason}")
            continue
        line = fit_line(one.scores, one.truths, wanted.method) or Platt()
        lines[label] = (line.slope, line.intercept)
        if label in _with_points(_classifier(pipeline.task)):
            points[label] = min(max(wanted.rule.point(one.scores, one.truths), LEAST), 1.0 - LEAST)
        labels[label] = _record(one, wanted, points.get(label))
    if not labels:
        told = "; ".join(f"{label}: {why}" for label, why in alone.items())
        raise ConfigError("enough cases of a label to calibrate it", told, "bring more cases, or lower --min-cases")
    record = CalibrationRecord(
        data=dataset.name,
        split=split,
        method=wanted.method,
        rule=str(wanted.rule),
        labels=labels,
        left_alone=alone,
    )
    return card.model_copy(
        update={
            "calibration": card.calibration | lines,
            "operating_points": card.operating_points | points,
            "calibrated": record,
        }
    )


def write_calibrated(weights: str, card: Card, out: Path, *, force: bool = False) -> None:
    """A copy of weights with another card.

    Raises:
        WeightsError: The place is taken or cannot be written to.
    """
    path = find_weights(weights)
    if out.suffix != ".safetensors":
        raise WeightsError("--out with the ending .safetensors", str(out), "name the file so")
    if out.exists() and out.samefile(path):
        raise WeightsError("another file than the one calibrated", str(out), "choose another --out")
    for place in (out, out.with_suffix(".json")):
        if place.exists() and not force:
            raise WeightsError(
                "a new file", f"{place}, which exists", "choose another --out, or replace it with --force"
            )
    named = card.model_copy(update={"name": out.stem})
    try:
        with atomic_path(out) as temporary:
            shutil.copyfile(path, temporary)
        write_card(named, out)
    except OSError as error:
        raise WeightsError(
            "a folder that can be written to", f"{out}: {error.strerror or error}", "choose --out"
        ) from error


def _split(dataset: Dataset) -> tuple[str, tuple[Example, ...]]:
    held = tuple(example for example in dataset.examples if example.split == "validation")
    return ("validation", held) if held else ("all", dataset.examples)


def _ask(pipeline: Pipeline, examples: Sequence[Example], log: Log) -> dict[str, _Said]:
    """What the network says of every label that something is true of; cases that cannot be read are told."""
    rows: dict[str, list[tuple[float, bool, str]]] = {}
    names = _labels(_classifier(pipeline.task))
    if not any(_known(example.truth, names) for example in examples):
        got = f"{', '.join(_told(examples[0].truth)) if examples else 'no cases'} in the dataset"
        raise ConfigError(f"a dataset that says something of {', '.join(names)}", got, "correct --data or outputs")
    for example in examples:
        try:
            findings = pipeline.run(example.study).findings
        except InputRefused as refusal:
            log(f"{example.name} has no part in it: {refusal.message}")
            continue
        truths = _known(example.truth, names)
        for finding in findings:
            if finding.label in truths and finding.raw_probability is not None:
                row = (finding.raw_probability, truths[finding.label], example.patient)
                rows.setdefault(finding.label, []).append(row)
    return {label: _gathered(some) for label, some in rows.items()}


def _gathered(rows: Sequence[tuple[float, bool, str]]) -> _Said:
    scores, truths, patients = zip(*rows, strict=True)
    return _Said(np.asarray(scores, np.float64), np.asarray(truths, np.bool_), patients)


def _classifier(task: Task) -> ClassifierTask:
    """The task, if its answers are probabilities of findings.

    Raises:
        ConfigError: It labels voxels.
    """
    if not isinstance(task, ClassifierTask):
        advice = (
            "probabilities of voxels are not calibrated here, because a threshold on them is the task's own setting"
        )
        raise ConfigError("a task that classifies", f"{task.name}, which labels pixels or voxels", advice)
    return task


def _labels(task: ClassifierTask) -> tuple[str, ...]:
    return tuple(name for head in task.judge.heads if not isinstance(head, ScoreHead) for name in head.names if name)


def _with_points(task: ClassifierTask) -> tuple[str, ...]:
    """Labels that are called from a point on: of three classes and more the most probable is called instead."""
    several = {
        name
        for head in task.judge.heads
        if isinstance(head, ClassesHead) and len(head.labels) > 2
        for name in head.names
    }
    return tuple(name for name in _labels(task) if name not in several)


def _known(truth: Truth, names: Sequence[str]) -> dict[str, bool]:
    """Of a case, which of the task's labels are there and which are not; scores and unknown labels are left out."""
    if isinstance(truth, FindingsTruth):
        by_name = {_plain(name): name for name in names}
        found = {by_name[_plain(name)]: value for name, value in truth.values.items() if _plain(name) in by_name}
        return {name: value == 1.0 for name, value in found.items() if value in (0.0, 1.0)}
    if not isinstance(truth, ClassTruth):
        return {}
    digits = truth.classes == tuple(str(index) for index in range(len(truth.classes)))
    classes = tuple(names) if digits and len(names) == len(truth.classes) else truth.classes
    there = _plain(classes[truth.index])
    told = {_plain(name) for name in classes}
    return {name: _plain(name) == there for name in names if _plain(name) in told}


def _told(truth: Truth) -> tuple[str, ...]:
    if isinstance(truth, FindingsTruth):
        return tuple(truth.values)
    return truth.classes if isinstance(truth, ClassTruth) else ("masks",)


def _plain(name: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _reason_against(one: _Said, wanted: Wanted) -> str:
    present = int(np.count_nonzero(one.truths))
    absent = one.truths.size - present
    if min(present, absent) < wanted.min_cases:
        return f"{present} cases with it and {absent} without, where {wanted.min_cases} of each are needed"
    return "" if fit_line(one.scores, one.truths, wanted.method) else "cases with it have no higher probabilities"


def _record(one: _Said, wanted: Wanted, point: float | None) -> CalibratedLabel:
    called = None if point is None else at_point(one.scores, one.truths, point)
    told = {} if called is None else {"sensitivity": called.sensitivity, "specificity": called.specificity}
    return CalibratedLabel(
        positives=int(np.count_nonzero(one.truths)),
        negatives=int(np.count_nonzero(~one.truths)),
        before=figures(one.scores, one.truths),
        after=figures(held_out(one.scores, one.truths, one.patients, wanted.method), one.truths),
        at_point={name: value for name, value in told.items() if value is not None},
    )
