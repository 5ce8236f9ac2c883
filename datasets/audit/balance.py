"""How often each label is there, told where it is so rare that training will hardly see it."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from datasets.audit.facts import Survey
from datasets.defects import Defect, DefectCode
from datasets.example import ClassTruth, FindingsTruth, MaskTruth

# Of one label's voxels to another's, in the whole set: a lesion of 1 ml in a liver of 1.5 l in every case has 1500.
_VOXELS = 1000.0
# Of cases of the most frequent class to those of another, and of those without a finding to those with it, or back.
_CASES = 20.0
_FINDINGS = 100.0
_FEWEST_CASES = 20
_BALANCE = "weight the loss or the sampling, or add cases"


def check(survey: Survey) -> Iterator[Defect]:
    """Labels of which there is too little beside others: voxels of masks, cases of classes and findings."""
    yield from _voxels(survey)
    yield from _classes(survey)
    yield from _findings(survey)


def _voxels(survey: Survey) -> Iterator[Defect]:
    voxels: Counter[str] = Counter()
    for case, labels in survey.labelled:
        truth = case.example.truth
        if isinstance(truth, MaskTruth):
            for value, count in labels.counts.items():
                if value in truth.names:
                    voxels[truth.names[value]] += count
    if len(voxels) < 2:
        return
    most, largest = voxels.most_common(1)[0]
    for name, count in voxels.items():
        if largest > _VOXELS * count:
            told = f"label {name} has {count} voxels in all, 1 to {largest / count:.0f} of {most}"
            yield Defect(DefectCode.CLASS_IMBALANCE, "warning", "", told, _BALANCE)


def _classes(survey: Survey) -> Iterator[Defect]:
    truths = [case.example.truth for case in survey.cases]
    classes = [truth for truth in truths if isinstance(truth, ClassTruth)]
    for case in survey.cases:
        truth = case.example.truth
        if isinstance(truth, ClassTruth) and not 0 <= truth.index < len(truth.classes):
            told = f"class {truth.index} of {len(truth.classes)}"
            yield Defect(DefectCode.UNKNOWN_LABEL, "error", case.name, told, "correct the class")
    counts = Counter(t.classes[t.index] for t in classes if 0 <= t.index < len(t.classes))
    if not counts:
        return
    most, largest = counts.most_common(1)[0]
    names = dict.fromkeys(name for truth in classes for name in truth.classes)
    if len(counts) == 1:
        told = f"all {largest} cases are of class {most}"
        yield Defect(DefectCode.LABEL_ABSENT, "error", "", told, "there is nothing to learn: add the other classes")
        return
    for name in names:
        if counts[name] == 0:
            told = f"class {name} is in none of {len(classes)} cases"
            advice = "add cases, or take the class away"
            yield Defect(DefectCode.LABEL_ABSENT, "warning", "", told, advice)
        elif len(classes) >= _FEWEST_CASES and largest > _CASES * counts[name]:
            told = f"class {name} has {counts[name]} cases, 1 to {largest / counts[name]:.0f} of {most}"
            yield Defect(DefectCode.CLASS_IMBALANCE, "warning", "", told, _BALANCE)


def _findings(survey: Survey) -> Iterator[Defect]:
    values: dict[str, list[float]] = defaultdict(list)
    cases = [(case, case.example.truth) for case in survey.cases]
    for case, truth in cases:
        if not isinstance(truth, FindingsTruth):
            continue
        for name, value in truth.values.items():
            values[name].append(value)
            if value != value or name not in survey.dataset.labels:
                told = f"{name} is {value:g}" if value != value else f"{name} is no label of the set"
                yield Defect(DefectCode.UNKNOWN_LABEL, "error", case.name, told, "correct the table")
    for name in survey.dataset.labels:
        if isinstance(survey.cases[0].example.truth, FindingsTruth) if survey.cases else False:
            yield from _finding(name, values[name])


def _finding(name: str, values: list[float]) -> Iterator[Defect]:
    if not values or len(set(values)) == 1:
        told = f"{name} is {values[0]:g} in all {len(values)} cases" if values else f"{name} is known of no case"
        advice = "a network cannot learn what never changes: add cases, or take the label away"
        yield Defect(DefectCode.LABEL_ABSENT, "warning", "", told, advice)
    elif set(values) == {0.0, 1.0} and len(values) >= _FEWEST_CASES:
        there = values.count(1.0)
        ratio = max(there, len(values) - there) / min(there, len(values) - there)
        if ratio > _FINDINGS:
            told = f"{name} is in {there} of {len(values)} cases, 1 to {ratio:.0f}"
            yield Defect(DefectCode.CLASS_IMBALANCE, "warning", "", told, _BALANCE)
