"""A small reader study in a store: cases that were planted as rows, with findings that are known."""

from datetime import UTC, datetime
from pathlib import Path

from app.store.cases import Cases
from app.store.database import Database
from app.store.reading_records import Assignment, Plan
from app.store.records import Case, Decision, NewCase, NewReview, Review, Verdict
from app.store.reviews import Reviews
from pipelines.results import Finding


def finding(label: str, probability: float, threshold: float = 0.5) -> Finding:
    return Finding(
        label=label, probability=probability, threshold=threshold, positive=probability >= threshold, calibrated=True
    )


def put_case(database: Database, uid: str, task: str = "chest_xray", folder: Path = Path("out")) -> Case:
    new = NewCase(study_uid=uid, task=task, modality="DX", folder=str(folder), result_sha256="sha")
    return Cases(database).take_in(new, "worker")


def decision(number: int, label: str, verdict: Verdict, reason: str = "") -> Decision:
    return Decision(finding=number, label=label, verdict=verdict, reason=reason)


def say(database: Database, case: str, reader: str, *decisions: Decision, **changes: object) -> Review:
    told = {"case": case, "reader": reader, "result_sha256": "sha", "complete": True, "decisions": decisions}
    return Reviews(database).append(NewReview.model_validate({**told, **changes}))


def said(case: str, reader: str, *decisions: Decision, **changes: object) -> Review:
    """A review without a store."""
    told = {"case": case, "reader": reader, "result_sha256": "sha", "complete": True, "decisions": decisions}
    return Review.model_validate({**told, "number": 1, "at": datetime(2024, 3, 4, 9, tzinfo=UTC), **changes})


def plan_of(cases: tuple[str, ...], readers: tuple[str, ...], **changes: object) -> Plan:
    told = {"id": "p1", "name": "pilot", "cases": cases, "readers": readers, "made_by": "rita"}
    return Plan.model_validate({**told, "made_at": datetime(2024, 3, 1, tzinfo=UTC), **changes})


def assigned(plan: Plan) -> tuple[Assignment, ...]:
    """Every case to every reader, in the order of the plan, the first reader with help."""
    return tuple(
        Assignment(plan=plan.id, reader=reader, position=position, case=case, arm="unaided" if place % 2 else "aided")
        for place, reader in enumerate(plan.readers)
        for position, case in enumerate(plan.cases, start=1)
    )
