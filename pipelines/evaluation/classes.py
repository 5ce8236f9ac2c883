"""One case's findings, class or scores beside the truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from datasets.defects import DefectCode
from datasets.example import ClassTruth, Example, FindingsTruth
from pipelines.evaluation.cases import Case, ClassRecord, FindingRecord, ScoreRecord
from pipelines.evaluation.said import CaseRefused, Said
from pipelines.evaluation.truth_digest import truth_digest
from pipelines.results import Finding


@dataclass(frozen=True)
class ClassRules:
    """How a dataset's labels become the task's.

    Attributes:
        renamed: By a dataset's name, the task's.
        scores: Labels whose truths are numbers, not there or not there.
        classes: The task's own classes in order, where it has any: numbers for names of a dataset are places in it.
    """

    renamed: Mapping[str, str]
    scores: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()

    def label(self, name: str) -> str:
        """The task's word for a dataset's, in lower case with underscores."""
        return _plain(self.renamed.get(name, name))

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The task's words for a dataset's classes."""
        if all(name.isdigit() for name in classes) and len(classes) == len(self.classes) and not self.renamed:
            return tuple(_plain(name) for name in self.classes)
        return tuple(self.label(name) for name in classes)


def compare_findings(example: Example, truth: FindingsTruth, said: Said, rules: ClassRules) -> Case:
    """Compare every label of which both sides say something.

    Raises:
        CaseRefused: There is none.
    """
    found = {_plain(finding.label): finding for finding in said.findings if finding.location is None}
    scores = {_plain(one.name): one.value for one in said.quantities if one.label is None}
    findings, numbers = [], []
    for name, value in sorted(truth.values.items()):
        label = rules.label(name)
        number, finding = scores.get(label), found.get(label)
        if name in rules.scores and number is not None:
            numbers.append(ScoreRecord(label=label, truth=value, said=number))
        elif finding is not None and finding.probability is not None and name not in rules.scores:
            findings.append(_finding(label, value, finding, finding.probability))
    if truth.values and not findings and not numbers:
        raise _nothing_in_common(truth.values, [*found, *scores])
    return _case(example).model_copy(update={"findings": tuple(findings), "scores": tuple(numbers)})


def compare_classes(example: Example, truth: ClassTruth, said: Said, rules: ClassRules) -> Case:
    """Compare the class that was called with the one that holds.

    A class of which nothing was said (a task's negative one) has what the others leave of 1.

    Raises:
        CaseRefused: The classes are others.
    """
    names = rules.names(truth.classes)
    found = {_plain(finding.label): finding for finding in said.findings}
    missing = [name for name in names if name not in found]
    told = [found[name] for name in names if name in found]
    if len(missing) > 1 or not told or any(finding.probability is None for finding in told):
        raise _nothing_in_common(truth.classes, list(found))
    raw = [finding.raw_probability for finding in told]
    called = [name for name in names if name in found and found[name].positive]
    if len(called) > 1:
        # Of a table with two classes both may reach one half.
        called = [max(called, key=lambda name: found[name].probability or 0.0)]
    if not called and not missing:
        called = [max(names, key=lambda name: found[name].probability or 0.0)]
    record = ClassRecord(
        truth=truth.index,
        called=names.index((called or missing)[0]),
        probabilities=_completed(names, {_plain(one.label): one.probability or 0.0 for one in told}),
        raw=None
        if any(value is None for value in raw)
        else _completed(names, {_plain(one.label): one.raw_probability or 0.0 for one in told}),
    )
    return _case(example).model_copy(update={"classes": record})


def _completed(names: Sequence[str], known: Mapping[str, float]) -> tuple[float, ...]:
    rest = max(0.0, 1.0 - sum(known.values()))
    return tuple(known.get(name, rest) for name in names)


def _finding(label: str, value: float, finding: Finding, probability: float) -> FindingRecord:
    return FindingRecord(
        label=label,
        truth=value,
        probability=probability,
        raw=finding.raw_probability,
        threshold=finding.threshold,
        positive=finding.positive,
    )


def _case(example: Example) -> Case:
    return Case(
        name=example.name,
        patient=example.patient,
        groups=dict(example.groups),
        truth_sha256=truth_digest(example),
    )


def _plain(name: str) -> str:
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


def _nothing_in_common(wanted: Iterable[str], said: Sequence[str]) -> CaseRefused:
    return CaseRefused(
        DefectCode.UNKNOWN_LABEL,
        f"predictions of {', '.join(wanted)}",
        ", ".join(said) or "none",
        "say which is which with --label NAME=LABEL",
    )
