"""Examples and predictions to an evaluation, one case in memory at a time."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from datasets.errors import ConfigError, DenseLensError, InputRefused, WeightsError
from datasets.example import ClassTruth, Dataset, Example, FindingsTruth, InstanceTruth, MaskTruth
from pipelines.classification import ClassesHead
from pipelines.classifier_task import ClassifierTask
from pipelines.evaluation.case_journal import CaseJournal
from pipelines.evaluation.cases import Case, Failure
from pipelines.evaluation.classes import ClassRules, compare_classes, compare_findings
from pipelines.evaluation.document import ComparisonRecord, DataRecord, EvaluationDocument
from pipelines.evaluation.intervals import FEW_PATIENTS, Resampling
from pipelines.evaluation.masks import MaskRules, compare_instances, compare_masks
from pipelines.evaluation.regions import Naming, regions_of
from pipelines.evaluation.said import CaseRefused, Predictor, Said
from pipelines.evaluation.settings import EvaluationSettings, Kind
from pipelines.evaluation.summary import (
    compared,
    confusion_of,
    curves_of,
    digest_of,
    figures_of,
    groups_of,
    measures_of,
    patients_of,
)
from pipelines.evaluation.truth_digest import truth_digest
from pipelines.results import FailureCode
from pipelines.task import Task

Wanted = Literal["test", "validation", "train", "all"]
Onlooker = Callable[[Example, Case | Failure, bool], None]
Ended = tuple[list[Case], list[Failure]]

JOURNAL, OTHER_JOURNAL = "cases.jsonl", "cases-compare.jsonl"
_INTERVAL = (
    "bootstrap over patients, {replicates} samples, seed {seed}, {confidence:.0%}: studentised for means and ratios of "
    "sums, BCa for everything else"
)


@dataclass(frozen=True)
class Evaluation:
    """What is compared, and by which rules.

    Attributes:
        dataset: With its truths.
        task: Whose labels are meant.
        settings: What figures depend on.
        examples: Those of the dataset that are compared.
        split: Which those are.
    """

    dataset: Dataset
    task: Task
    settings: EvaluationSettings
    examples: tuple[Example, ...]
    split: str

    @classmethod
    def of(
        cls, dataset: Dataset, task: Task, settings: EvaluationSettings, wanted: Wanted | None = None
    ) -> "Evaluation":
        """Choose the examples: of the split asked for, else those of the test split, else all.

        Raises:
            ConfigError: There are none.
        """
        has_test = any(example.split == "test" for example in dataset.examples)
        split = wanted or ("test" if has_test else "all")
        examples = tuple(one for one in dataset.examples if split in ("all", one.split))
        if not examples:
            there = ", ".join(sorted({one.split or "none" for one in dataset.examples})) or "no examples"
            raise ConfigError(f"examples of the split {split}", f"the splits {there}", "choose another --split")
        return cls(dataset, task, settings, examples, split)

    @property
    def kind(self) -> Kind:
        """What is true of the examples."""
        truth = self.examples[0].truth
        if isinstance(truth, MaskTruth):
            return "segmentation"
        if isinstance(truth, InstanceTruth):
            return "instances"
        return "classes" if isinstance(truth, ClassTruth) else "findings"

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that exclude each other, in the task's words; none where truths are of another kind."""
        truth = self.examples[0].truth
        return self._class_rules.names(truth.classes) if isinstance(truth, ClassTruth) else ()

    def compare(self, example: Example, said: Said) -> Case:
        """Compare one prediction.

        Raises:
            CaseRefused: It cannot be compared honestly.
            InputRefused: The reference cannot be read.
        """
        if isinstance(example.truth, MaskTruth):
            return compare_masks(example, example.truth, said, MaskRules(self._naming, self.settings.tolerance))
        if isinstance(example.truth, InstanceTruth):
            return compare_instances(example, example.truth, said)
        if isinstance(example.truth, ClassTruth):
            return compare_classes(example, example.truth, said, self._class_rules)
        return compare_findings(example, example.truth, said, self._class_rules)

    def warnings(self) -> tuple[str, ...]:
        """What a reader of the figures should know of the data."""
        told = []
        if any(one.split == "train" for one in self.examples):
            told.append("examples of the training split are among those compared")
        strangers = {
            name
            for one in self.examples
            if isinstance(one.truth, MaskTruth)
            for name in self._naming.strangers(one.truth.names)
        }
        if strangers:
            told.append(
                f"labels of the dataset that are none of the task's count as background: {', '.join(sorted(strangers))}"
            )
        errors = sum(defect.gravity == "error" for defect in self.dataset.defects)
        if errors:
            told.append(f"{errors} parts of the dataset could not become examples: see denselens audit")
        return tuple(told)

    @property
    def _naming(self) -> Naming:
        return Naming(self.task.label_set, self.settings.renamed)

    @property
    def _class_rules(self) -> ClassRules:
        values: dict[str, set[float]] = {}
        for example in self.examples:
            if isinstance(example.truth, FindingsTruth):
                for label, value in example.truth.values.items():
                    values.setdefault(label, set()).add(value)
        heads = (self.task.outputs or ()) if isinstance(self.task, ClassifierTask) else ()
        classes = next((head.labels for head in heads if isinstance(head, ClassesHead)), ())
        scores = frozenset(label for label, found in values.items() if not found <= {0.0, 1.0})
        return ClassRules(self.settings.renamed, scores, classes)


@dataclass(frozen=True)
class Output:
    """Where an evaluation keeps what it has done.

    Attributes:
        folder: Of the output.
        fresh: Forget what stands there.
    """

    folder: Path
    fresh: bool = False


def evaluate(
    evaluation: Evaluation,
    predictor: Predictor,
    other: Predictor | None,
    output: Output,
    onlooker: Onlooker,
    enough: Callable[[], bool] = lambda: False,
) -> EvaluationDocument:
    """Compare all examples, one after the other, and sum up.

    Args:
        evaluation: What is compared.
        predictor: Who is judged.
        other: Who is compared with; None for nobody.
        output: Where cases are kept that are done.
        onlooker: Told of each case as it ends, and whether it was done before.
        enough: Asked after each case of the predictor; once it says so the examples that follow are left out.

    Raises:
        ConfigError: No example can be compared, or the folder belongs to another evaluation.
    """
    cases, failed = _all_cases(evaluation, predictor, output, JOURNAL, onlooker, enough)
    evaluation = replace(evaluation, examples=evaluation.examples[: len(cases) + len(failed)])
    if not cases:
        first = failed[0]
        raise ConfigError("at least one study that can be compared", f"{first.name}: {first.message}", first.advice)
    settings, classes = evaluation.settings, evaluation.classes
    resampling = Resampling(settings.replicates, settings.confidence, settings.seed)
    comparison = None
    if other is not None:
        theirs = _all_cases(evaluation, other, output, OTHER_JOURNAL, onlooker)
        comparison = _comparison(other, cases, theirs, classes, resampling)
    everyone = patients_of(cases, resampling)
    return EvaluationDocument(
        kind=evaluation.kind,
        task=evaluation.task.name,
        version=version("denselens"),
        data=DataRecord(
            name=evaluation.dataset.name,
            layout=evaluation.dataset.layout,
            split=evaluation.split,
            examples=len(evaluation.examples),
            patients=everyone.count,
            sha256=digest_of(cases),
            warnings=(*evaluation.warnings(), *_too_few(everyone.count)),
        ),
        predictor=predictor.describe(),
        settings=settings,
        interval=_INTERVAL.format(**settings.model_dump()),
        regions=_regions(evaluation),
        classes=classes,
        figures=figures_of(measures_of(cases, classes), everyone),
        subgroups=tuple(groups_of(cases, classes, resampling)),
        curves=tuple(curves_of(cases, classes)),
        confusion=confusion_of(cases, classes),
        comparison=comparison,
        cases=tuple(cases),
        failed=tuple(failed),
    )


def _comparison(
    other: Predictor, cases: list[Case], theirs: Ended, classes: tuple[str, ...], resampling: Resampling
) -> ComparisonRecord:
    count, patients, figures = compared(cases, theirs[0], classes, resampling)
    return ComparisonRecord(
        other=other.describe(), cases=count, patients=patients, failed=tuple(theirs[1]), figures=figures
    )


def _too_few(patients: int) -> tuple[str, ...]:
    told = f"{patients} patients: with fewer than {FEW_PATIENTS} an interval says little"
    return (told,) if patients < FEW_PATIENTS else ()


def _all_cases(
    evaluation: Evaluation,
    predictor: Predictor,
    output: Output,
    journal_name: str,
    onlooker: Onlooker,
    enough: Callable[[], bool] = lambda: False,
) -> Ended:
    journal = CaseJournal(output.folder / journal_name, _key(evaluation, predictor), fresh=output.fresh)
    cases: list[Case] = []
    failed: list[Failure] = []
    for example in evaluation.examples:
        before = _as_before(journal.get(example.name), example)
        ended = before or _case(evaluation, predictor, example)
        if isinstance(ended, Failure):
            failed.append(ended)
        else:
            cases.append(ended)
            if before is None:
                journal.append(ended)
        onlooker(example, ended, before is not None)
        if enough():
            break
    return cases, failed


def _as_before(case: Case | None, example: Example) -> Case | None:
    """A case that was compared before, if what is true of it still is."""
    try:
        return case if case is not None and truth_digest(example) == case.truth_sha256 else None
    except InputRefused:
        return None


def _case(evaluation: Evaluation, predictor: Predictor, example: Example) -> Case | Failure:
    try:
        return evaluation.compare(example, predictor.say(example))
    except DenseLensError as error:
        return Failure(name=example.name, code=_code(error), message=error.message, advice=error.advice)


def _code(error: DenseLensError) -> str:
    if isinstance(error, CaseRefused | InputRefused):
        return error.code.value
    return (FailureCode.WEIGHTS_ERROR if isinstance(error, WeightsError) else FailureCode.CONFIG_ERROR).value


def _key(evaluation: Evaluation, predictor: Predictor) -> str:
    """What must be the same for compared cases to be taken over."""
    names = [[one.name, one.patient, one.study.source, dict(one.groups)] for one in evaluation.dataset.examples]
    rules = evaluation.settings.model_dump(include={"tolerance", "renamed"})
    parts = [version("denselens"), evaluation.task.name, predictor.identity(), rules, names]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _regions(evaluation: Evaluation) -> dict[str, tuple[str, ...]]:
    """What makes up each label as it is compared."""
    if evaluation.kind != "segmentation":
        return {}
    names = evaluation.task.label_set.names
    return {one.label: tuple(names[at - 1] for at in one.indices) for one in regions_of(evaluation.task.label_set)}
