from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.store.audit_log import AuditLog
from app.store.cases import Cases, ClaimedByAnother, NoSuchCase, Wanted
from app.store.database import Database
from app.store.records import Case, NewCase, NewReview
from app.store.reviews import Reviews
from app.store.tables import moment_text


def new(uid: str, **other: object) -> NewCase:
    return NewCase.model_validate(
        {"study_uid": uid, "task": "liver_ct", "folder": f"out/{uid}", "result_sha256": f"sha {uid}", **other}
    )


@pytest.fixture
def cases(database: Database) -> Cases:
    return Cases(database)


def uids(found: list[Case]) -> list[str]:
    return [case.study_uid for case in found]


def lapse(database: Database, case: Case) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    with database.writing() as session:
        session.execute(
            text("UPDATE cases SET claimed_until = :at WHERE id = :id"), {"at": moment_text(past), "id": case.id}
        )


def test_the_most_urgent_comes_first_and_failed_ones_are_told(cases: Cases) -> None:
    cases.take_in(new("low", priority=0.1), "worker")
    cases.take_in(new("high", priority=0.9, findings=("liver_tumor",)), "worker")
    cases.take_in(new("broken", error="missing_slice"), "worker")
    assert uids(cases.find(Wanted())) == ["high", "low", "broken"]
    assert uids(cases.find(Wanted(statuses=("failed",)))) == ["broken"]
    assert uids(cases.find(Wanted(text="TUMOR"))) == ["high"]
    assert uids(cases.find(Wanted(text="lo"))) == ["low"]
    assert cases.find(Wanted(text="%")) == []
    assert uids(cases.find(Wanted(most=1, skip=1))) == ["low"]
    assert cases.find(Wanted(tasks=("chest_xray",))) == []
    assert cases.counts(Wanted(statuses=("new",))) == {"new": 2, "failed": 1}


def test_the_same_result_comes_in_once(cases: Cases, database: Database) -> None:
    first = cases.take_in(new("a"), "worker")
    assert cases.take_in(new("a"), "another worker") == first
    assert len(AuditLog(database).entries()) == 1
    other = cases.take_in(new("a", task="chest_xray"), "worker")
    assert other.id != first.id


def test_another_result_of_a_decided_study_is_looked_at_again(cases: Cases, database: Database) -> None:
    case = cases.take_in(new("a"), "worker")
    Reviews(database).append(NewReview(case=case.id, reader="anna", result_sha256="sha a", complete=True))
    assert cases.get(case.id).status == "decided"
    again = cases.take_in(new("a", result_sha256="sha b"), "worker")
    assert (again.id, again.status, again.reviews) == (case.id, "new", 1)


def test_a_case_is_one_readers_at_a_time(cases: Cases, database: Database) -> None:
    case = cases.take_in(new("a"), "worker")
    claimed = cases.claim(case.id, "anna")
    assert (claimed.status, claimed.claimed_by) == ("in_review", "anna")
    assert claimed.claimed_until is not None
    with pytest.raises(ClaimedByAnother) as refused:
        cases.claim(case.id, "ben")
    assert refused.value.reader == "anna"
    assert cases.release(case.id, "ben").claimed_by == "anna"
    released = cases.release(case.id, "anna")
    assert (released.status, released.claimed_by) == ("new", "")
    assert cases.claim(case.id, "ben").claimed_by == "ben"
    actions = [entry.action for entry in AuditLog(database).entries()]
    assert actions == ["take_in", "claim", "release", "claim"]


def test_a_claim_lapses_by_itself(cases: Cases, database: Database) -> None:
    case = cases.take_in(new("a"), "worker")
    cases.claim(case.id, "anna")
    lapse(database, case)
    seen = cases.get(case.id)
    assert (seen.status, seen.claimed_by, seen.claimed_until) == ("new", "", None)
    assert cases.claim(case.id, "ben").claimed_by == "ben"


def test_going_on_with_a_claim_is_no_new_one(cases: Cases, database: Database) -> None:
    case = cases.take_in(new("a"), "worker")
    first = cases.claim(case.id, "anna", minutes=1)
    second = cases.claim(case.id, "anna", minutes=5)
    assert first.claimed_until is not None
    assert second.claimed_until is not None
    assert second.claimed_until > first.claimed_until
    assert len(AuditLog(database).entries()) == 2


def test_what_is_not_there_is_told(cases: Cases) -> None:
    for ask in (cases.get, lambda case: cases.claim(case, "anna"), lambda case: cases.release(case, "anna")):
        with pytest.raises(NoSuchCase):
            ask("none")
