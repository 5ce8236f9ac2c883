"""Values of label maps: unknown ones, such that are not whole, labels that are nowhere, maps that are empty."""

from collections import Counter
from collections.abc import Iterator, Mapping

from datasets.audit.facts import CaseFacts, LabelFacts, Survey
from datasets.defects import Defect, DefectCode
from datasets.example import MaskTruth, label_values
from datasets.labels import LabelSet

ROUND, RENUMBER = "round_labels", "renumber_labels"

_FEWEST_CASES = 10
_RARE = 0.1
_TOLD = 8
# A value nobody names is odd where it stands in one case, and each named one in most of at least so many.
_ODD_AMONG = 8


def check(survey: Survey, wanted: LabelSet | None = None) -> Iterator[Defect]:
    """What is wrong with the values of label maps.

    Args:
        survey: All cases.
        wanted: Labels of the task that is to learn from them; None where there is none.
    """
    for case, labels in survey.labelled:
        if isinstance(case.example.truth, MaskTruth):
            yield from _of_case(case, labels, case.example.truth.names)
        elif labels.broken:
            yield _not_whole(case, labels, 0)
    yield from _empty(survey)
    yield from _absent(survey)
    if wanted is not None:
        yield from _unwanted(survey, wanted)


def _of_case(case: CaseFacts, labels: LabelFacts, names: Mapping[int, str]) -> Iterator[Defect]:
    if labels.is_image:
        told = f"the label map is a copy of the image: {len(labels.counts)} values"
        yield Defect(DefectCode.UNKNOWN_LABEL, "error", case.name, told, "put the case's label map in its place")
        return
    if labels.broken:
        yield _not_whole(case, labels, len(names))
        return
    unknown = {value: count for value, count in labels.counts.items() if value != 0 and value not in names}
    if not unknown:
        return
    told = ", ".join(f"{value} ({count} voxels)" for value, count in list(unknown.items())[:_TOLD])
    known = ", ".join(f"{value} {name}" for value, name in list(names.items())[:_TOLD])
    fix = RENUMBER if len(names) == 1 and len(unknown) == 1 and not set(names) & set(labels.counts) else ""
    more = f" and {len(unknown) - _TOLD} more values" if len(unknown) > _TOLD else ""
    found = f"{told}{more}; known are 0 background, {known}"
    advice = "give the value its label's number" if fix else "name the value in the dataset's description, or relabel"
    yield Defect(DefectCode.UNKNOWN_LABEL, "error", case.name, found, advice, fix)


def _not_whole(case: CaseFacts, labels: LabelFacts, names: int) -> Defect:
    low, high = labels.broken_range
    total = sum(labels.counts.values())
    found = f"{labels.broken} of {total} voxels are no whole numbers; values from {low:.4g} to {high:.4g}"
    if low >= 0 and high <= 1:
        found += ", as of probabilities or of a mask that was interpolated"
    # Between two labels an interpolated value looks like a third one: only a single label can be had back.
    fix = ROUND if names == 1 and low >= 0 and high <= 1 else ""
    advice = "round at 0.5 and look at it" if fix else "make the label map again with nearest neighbours"
    return Defect(DefectCode.UNKNOWN_LABEL, "error", case.name, found, advice, fix)


def _empty(survey: Survey) -> Iterator[Defect]:
    cases = survey.labelled
    empty = [case for case, labels in cases if labels.labelled == 0]
    if cases and len(empty) == len(cases):
        told = f"all {len(cases)} label maps are empty"
        yield Defect(DefectCode.LABELS_EMPTY, "error", "", told, "check that these are the label maps")
        return
    for case in empty:
        told = f"nothing is labelled, as in {len(empty)} of {len(cases)} cases"
        advice = "right where nothing is there to label; otherwise label it, or leave the case out"
        yield Defect(DefectCode.LABELS_EMPTY, "warning", case.name, told, advice)


def _absent(survey: Survey) -> Iterator[Defect]:
    cases = [
        (case, labels, case.example.truth.names)
        for case, labels in survey.labelled
        if isinstance(case.example.truth, MaskTruth)
    ]
    seen: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for _, labels, names in cases:
        known.update(set(names.values()))
        seen.update({names[value] for value in labels.counts if value in names})
    for name, possible in known.items():
        if seen[name] == 0:
            told = f"label {name} is in none of {possible} cases"
            advice = "check the values in the dataset's description; a network cannot learn what is never shown"
            yield Defect(DefectCode.LABEL_ABSENT, "warning", "", told, advice)
        elif possible >= _FEWEST_CASES and seen[name] < _RARE * possible:
            told = f"label {name} is in {seen[name]} of {possible} cases"
            yield Defect(DefectCode.LABEL_ABSENT, "warning", "", told, "expect little of this label, or add cases")
    yield from _odd(cases, seen)


def _odd(cases: list[tuple[CaseFacts, LabelFacts, Mapping[int, str]]], seen: Counter[str]) -> Iterator[Defect]:
    """Values that nobody named, in one case alone: layouts without a description take every value for a label."""
    for case, labels, names in cases:
        for value in labels.counts:
            name = names.get(value)
            others = [count for other, count in seen.items() if other != name]
            if name != str(value) or seen[name] > 1 or len(cases) < _ODD_AMONG or not others:
                continue
            if min(others) > len(cases) / 2:
                told = f"value {value} ({labels.counts[value]} voxels), which no other of {len(cases)} cases has"
                advice = "relabel it, or name it in the dataset's description"
                yield Defect(DefectCode.UNKNOWN_LABEL, "warning", case.name, told, advice)


def _unwanted(survey: Survey, wanted: LabelSet) -> Iterator[Defect]:
    known = set(label_values(dict(enumerate(survey.dataset.labels, start=1)), wanted).values())
    for label in wanted.labels:
        if label.index not in known:
            told = f"the task's label {label.name} is none of {', '.join(survey.dataset.labels) or 'no labels'}"
            advice = "choose the task that fits the dataset, or name the dataset's labels as the task does"
            yield Defect(DefectCode.LABEL_ABSENT, "error", "", told, advice)
