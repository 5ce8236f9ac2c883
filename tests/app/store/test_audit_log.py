"""The log tells of every change to it and to the reviews it speaks of; triggers go first, as an attacker would do."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.store.audit_log import AuditLog, Fault
from app.store.cases import Cases
from app.store.database import Database
from app.store.records import AuditEntry, Decision, NewCase, NewReview, canonical
from app.store.reviews import Reviews


@pytest.fixture
def log(database: Database) -> AuditLog:
    """Eight lines: a case, three reviews of it, an export, and another case with a review."""
    cases, reviews, log = Cases(database), Reviews(database), AuditLog(database)
    for uid in ("1.2.3", "4.5.6"):
        case = cases.take_in(NewCase(study_uid=uid, task="liver_ct", folder="out", result_sha256="sha"), "worker")
        for number in range(3 if uid == "1.2.3" else 1):
            decision = Decision(finding=0, label="liver_tumor", verdict="accepted", text=f"note {number}")
            reviews.append(
                NewReview(case=case.id, reader="anna", based_on=number, result_sha256="sha", decisions=(decision,))
            )
        log.note("anna", "export", f"case:{case.id}", {"what": "pdf"})
    assert log.head()[0] == 8
    assert log.faults() == []
    return log


def tampered(database: Database, change: Callable[[Session], None]) -> None:
    """Change something as somebody would who owns the database."""
    with database.writing() as session:
        for table in ("reviews", "audit_log"):
            if database.engine.dialect.name == "sqlite":
                for action in ("update", "delete"):
                    session.execute(text(f"DROP TRIGGER IF EXISTS {table}_no_{action}"))
            else:
                session.execute(text(f"DROP TRIGGER IF EXISTS {table}_appended ON {table}"))
        change(session)


def entry(database: Database, number: int) -> str:
    with database.reading() as session:
        found = session.execute(text("SELECT entry FROM audit_log WHERE number = :n"), {"n": number}).scalar_one()
    return str(found)


def write(session: Session, number: int, line: str) -> None:
    session.execute(text("UPDATE audit_log SET entry = :line WHERE number = :n"), {"line": line, "n": number})


def test_lines_tell_who_did_what(log: AuditLog) -> None:
    told = [(one.number, one.who, one.action) for one in log.entries()]
    assert told[:3] == [(1, "worker", "take_in"), (2, "anna", "review"), (3, "anna", "review")]
    assert [one.number for one in log.entries(first=7)] == [7, 8]
    assert log.head() == (8, log.entries()[-1].sha256)


@pytest.mark.parametrize("number", [1, 4, 8])
def test_every_changed_character_is_found(log: AuditLog, database: Database, number: int) -> None:
    line = entry(database, number)
    # Another letter or digit at places all over the line.
    for place in range(0, len(line), 23):
        other = "0" if line[place] != "0" else "1"
        broken = line[:place] + other + line[place + 1 :]
        tampered(database, lambda session, broken=broken: write(session, number, broken))
        assert number in {fault.number for fault in log.faults()}, broken
    tampered(database, lambda session: write(session, number, line))
    assert log.faults() == []


@pytest.mark.parametrize("number", range(1, 9))
def test_a_removed_line_is_found(log: AuditLog, database: Database, number: int) -> None:
    tampered(database, lambda session: session.execute(text(f"DELETE FROM audit_log WHERE number = {number}")))
    assert log.faults()


def test_a_shortened_log_is_found_and_an_emptied_one(log: AuditLog, database: Database) -> None:
    tampered(database, lambda session: session.execute(text("DELETE FROM audit_log WHERE number > 5")))
    assert Fault(0, "the log does not end where its head says") in log.faults()
    tampered(database, lambda session: session.execute(text("DELETE FROM audit_log")))
    assert Fault(0, "the log does not end where its head says") in log.faults()


def test_lines_that_change_places_are_found(log: AuditLog, database: Database) -> None:
    first, second = entry(database, 2), entry(database, 3)

    def exchange(session: Session) -> None:
        write(session, 2, second)
        write(session, 3, first)

    tampered(database, exchange)
    assert {2, 3} <= {fault.number for fault in log.faults()}


def test_a_line_with_a_hash_of_its_own_does_not_fit_the_next(log: AuditLog, database: Database) -> None:
    forged = AuditEntry.model_validate({**json.loads(entry(database, 5)), "who": "ben"})
    sealed = forged.model_copy(update={"sha256": forged.hashed()})
    tampered(database, lambda session: write(session, 5, canonical(sealed.model_dump(mode="json"))))
    assert log.faults() == [Fault(6, "does not follow the one before it")]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE reviews SET reader = 'ben' WHERE number = 2",
        "UPDATE reviews SET document = replace(document, 'note 1', 'note 7')",
        "UPDATE reviews SET document = 'no JSON' WHERE number = 2",
        "UPDATE reviews SET at = '2020-01-01T00:00:00.000000Z' WHERE number = 2",
    ],
)
def test_a_changed_review_is_found(log: AuditLog, database: Database, change: str) -> None:
    tampered(database, lambda session: session.execute(text(change)))
    assert log.faults() == [Fault(3, "the review it tells of was changed")]


def test_a_removed_review_is_found_and_one_that_was_put_there(log: AuditLog, database: Database) -> None:
    tampered(database, lambda session: session.execute(text("DELETE FROM reviews WHERE number = 3")))
    assert log.faults() == [Fault(4, "the review it tells of is missing")]
    copied = "INSERT INTO reviews SELECT case_id, 9, at, reader, document FROM reviews WHERE number = 2"
    tampered(database, lambda session: session.execute(text(copied)))
    told = [fault.found for fault in log.faults()]
    assert any("review 9" in found for found in told)
