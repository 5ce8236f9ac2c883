"""Who is where: names that stand twice, patients in two parts of a set."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from datasets.audit.facts import CaseFacts, Survey
from datasets.defects import Defect, DefectCode

_TOLD = 4


def check(survey: Survey) -> Iterator[Defect]:
    """Examples of one name, and patients who are learnt from in one part and tested on in another."""
    often = Counter(case.name for case in survey.cases)
    for name, count in often.items():
        if count > 1:
            told = f"{count} examples have this name"
            yield Defect(DefectCode.NAME_TWICE, "error", name, told, "rename one: results would overwrite each other")
    patients: dict[str, dict[str, list[CaseFacts]]] = defaultdict(lambda: defaultdict(list))
    for case in survey.cases:
        if case.example.split:
            patients[case.example.patient][case.example.split].append(case)
    for parts in patients.values():
        if len(parts) > 1:
            # The part that is tested on stays as it is; what leaks into it is named.
            leaking = "train" if "train" in parts else "validation"
            where = parts[leaking][0].name
            told = "; ".join(f"{part}: {_names(cases)}" for part, cases in sorted(parts.items()))
            advice = "give each patient to one part; figures on the others are too good otherwise"
            found = f"one patient in {len(parts)} parts of the set ({told})"
            yield Defect(DefectCode.PATIENT_IN_TWO_SPLITS, "error", where, found, advice)


def _names(cases: list[CaseFacts]) -> str:
    more = f" and {len(cases) - _TOLD} more" if len(cases) > _TOLD else ""
    return ", ".join(case.name for case in cases[:_TOLD]) + more
