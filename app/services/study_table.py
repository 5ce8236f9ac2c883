"""The material of a reader study as one table: a row for each reader, case and finding."""

from collections.abc import Iterator, Mapping, Sequence

from app.services.csv_text import Cell, csv_bytes
from app.services.reading import Standing
from app.services.wording import NOTICE
from app.store.reading_records import Assignment
from app.store.records import Case, Decision, Review
from pipelines.results import Finding

COLUMNS = (
    *("plan", "case", "study_uid", "task", "role", "reader", "arm", "aided", "order", "finding", "label"),
    *("probability", "operating_point", "network_positive", "verdict", "said_to_be", "reason", "seconds"),
    *("review", "reviewed_at", "result_sha256", "conflict", "mask_sha256", "notice"),
)


def study_table(
    standing: Standing, cases: Mapping[str, Case], findings: Mapping[str, Sequence[Finding]], *, pseudonymous: bool
) -> bytes:
    """All that a plan assigned, what was read, and what adjudicators decided, as CSV in UTF-8.

    A case that was not read yet has one row, without a review. A finding that the reader did not decide has no verdict.
    Rows of adjudicators follow those of readers.

    Args:
        standing: How far the plan has come.
        cases: By id: every case of the plan.
        findings: Of each case's result, by id; a case without any has the rows of what readers added.
        pseudonymous: Whether readers are called R1, R2 … and adjudicators A1, A2 …, in the order of their names.
    """
    names = _names(standing, pseudonymous=pseudonymous)
    return csv_bytes(COLUMNS, _rows(standing, cases, findings, names))


def _names(standing: Standing, *, pseudonymous: bool) -> dict[str, str]:
    plan = standing.plan
    if not pseudonymous:
        return {name: name for name in (*plan.readers, *plan.adjudicators)}
    numbered = (("R", sorted(plan.readers)), ("A", sorted(plan.adjudicators)))
    return {name: f"{letter}{number}" for letter, names in numbered for number, name in enumerate(names, start=1)}


def _rows(
    standing: Standing,
    cases: Mapping[str, Case],
    findings: Mapping[str, Sequence[Finding]],
    names: Mapping[str, str],
) -> Iterator[dict[str, Cell]]:
    for assigned in standing.assignments:
        about = _about(standing, cases[assigned.case], findings.get(assigned.case, ()))
        review = standing.readings.get((assigned.reader, assigned.case))
        yield from about.rows(names[assigned.reader], review, assigned)
    for case, review in sorted(standing.adjudications.items()):
        yield from _about(standing, cases[case], findings.get(case, ())).rows(names[review.reader], review, None)


class _About:
    """The rows about one case."""

    def __init__(self, shared: dict[str, Cell], findings: Sequence[Finding]) -> None:
        self._shared, self._findings = shared, findings

    def rows(self, name: str, review: Review | None, assigned: Assignment | None) -> Iterator[dict[str, Cell]]:
        """One for each finding that the network told or the reader added; one where there is neither."""
        shared = self._shared | {"role": "reader" if assigned else "adjudicator", "reader": name}
        if assigned is not None:
            shared |= {"arm": assigned.arm, "order": assigned.position}
        if review is not None:
            shared |= _of_review(review)
        decided = {one.finding: one for one in review.decisions} if review else {}
        numbers = sorted({*range(len(self._findings)), *decided})
        for number in numbers:
            yield shared | self._of_finding(number) | _of_decision(decided.get(number))
        if not numbers:
            yield shared

    def _of_finding(self, number: int) -> dict[str, Cell]:
        if number >= len(self._findings):
            return {"finding": number}
        one = self._findings[number]
        return {
            "finding": number,
            "label": one.label,
            "probability": one.probability,
            "operating_point": one.threshold,
            "network_positive": one.positive,
        }


def _about(standing: Standing, case: Case, findings: Sequence[Finding]) -> _About:
    shared: dict[str, Cell] = {
        "plan": standing.plan.name,
        "case": case.id,
        "study_uid": case.study_uid,
        "task": case.task,
        "notice": NOTICE,
    }
    return _About(shared, findings)


def _of_review(review: Review) -> dict[str, Cell]:
    return {
        "aided": review.aided,
        "seconds": review.seconds,
        "review": review.number,
        "reviewed_at": review.at.isoformat(),
        "result_sha256": review.result_sha256,
        "conflict": review.conflicts_with or None,
        "mask_sha256": review.mask_sha256,
    }


def _of_decision(decision: Decision | None) -> dict[str, Cell]:
    if decision is None:
        return {}
    return {"verdict": decision.verdict, "said_to_be": decision.label, "reason": decision.reason}
