"""The log of who did what, chained by hashes: a line that is changed, taken out or put in between breaks the chain.

Who can write to the database and knows this file can make a whole new chain; the head's hash, told by `head` and kept
elsewhere, shows that too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.records import AuditEntry, canonical, sha256_of
from app.store.tables import AuditHead, AuditRow

REVIEWED = "review"
_HEAD = 1
_LINES = select(AuditRow.entry).order_by(AuditRow.number)


@dataclass(frozen=True)
class Fault:
    """What is wrong with the log.

    Attributes:
        number: Of the line; 0 where it is not one line.
        found: What was found, without what the line says.
    """

    number: int
    found: str


def append_entry(session: Session, who: str, action: str, subject: str, detail: dict[str, Any]) -> AuditEntry:
    """Add a line, in the transaction of what it tells of."""
    head = session.get_one(AuditHead, _HEAD, with_for_update=True)
    unsealed = AuditEntry(
        number=head.number + 1,
        at=datetime.now(UTC),
        who=who,
        action=action,
        subject=subject,
        detail=detail,
        previous=head.sha256,
    )
    entry = unsealed.model_copy(update={"sha256": unsealed.hashed()})
    session.add(AuditRow(number=entry.number, entry=canonical(entry.model_dump(mode="json"))))
    head.number, head.sha256 = entry.number, entry.sha256
    session.flush()
    return entry


class AuditLog:
    """Reads the log, and sees whether it is whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, who: str, action: str, subject: str, detail: dict[str, Any] | None = None) -> AuditEntry:
        """Add a line about something that changes nothing else (a login, an export)."""
        with self._database.writing() as session:
            return append_entry(session, who, action, subject, detail or {})

    def entries(self, first: int = 1, most: int = 1000) -> list[AuditEntry]:
        """Lines from a number on, in order.

        Raises:
            ValueError: A line cannot be read; `faults` tells which.
        """
        with self._database.reading() as session:
            rows = session.scalars(
                select(AuditRow).where(AuditRow.number >= first).order_by(AuditRow.number).limit(most)
            )
            return [AuditEntry.model_validate_json(row.entry) for row in rows]

    def head(self) -> tuple[int, str]:
        """Number and hash of the last line: what to keep elsewhere."""
        with self._database.reading() as session:
            head = session.get_one(AuditHead, _HEAD)
            return head.number, head.sha256

    def holds(self, sha256: str) -> bool:
        """Whether a line of that hash is in the log."""
        with self._database.reading() as session:
            return any(entry is not None and entry.sha256 == sha256 for entry in map(_read, session.scalars(_LINES)))

    def faults(self) -> list[Fault]:
        """What is wrong, in order; nothing where the log, and every review it tells of, is as it was written."""
        with self._database.reading() as session:
            return list(_faults(session))


def _faults(session: Session) -> Iterator[Fault]:
    # As text: what somebody changed need not be JSON or a time any more.
    reviews = {
        (row.case_id, row.number): review_sha256(row.case_id, row.number, row.at, row.reader, row.document)
        for row in session.execute(text("SELECT case_id, number, at, reader, document FROM reviews"))
    }
    expected, previous = 1, ""
    reviewed: set[tuple[str, int]] = set()
    for row in session.scalars(select(AuditRow).order_by(AuditRow.number)):
        if row.number != expected:
            yield Fault(expected, f"missing: the next one is {row.number}")
        expected = row.number + 1
        entry = _read(row.entry)
        if entry is None or entry.hashed() != entry.sha256:
            yield Fault(row.number, "changed")
            previous = "" if entry is None else entry.sha256
            continue
        if (entry.number, entry.previous) != (row.number, previous):
            yield Fault(row.number, "does not follow the one before it")
        previous = entry.sha256
        if entry.action == REVIEWED:
            at = (str(entry.detail["case"]), int(entry.detail["number"]))
            reviewed.add(at)
            if at not in reviews:
                yield Fault(row.number, "the review it tells of is missing")
            elif reviews[at] != entry.detail["sha256"]:
                yield Fault(row.number, "the review it tells of was changed")
    head = session.get(AuditHead, _HEAD)
    if head is None or (head.number, head.sha256) != (expected - 1, previous):
        yield Fault(0, "the log does not end where its head says")
    for case, number in sorted(reviews.keys() - reviewed):
        yield Fault(0, f"review {number} of case {case} stands in no line")


def _read(line: str) -> AuditEntry | None:
    """A line as it was written; None where it is none, or could be written otherwise."""
    try:
        entry = AuditEntry.model_validate_json(line)
    except ValidationError:
        return None
    return entry if canonical(entry.model_dump(mode="json")) == line else None


def review_sha256(case: str, number: int, at: str, reader: str, document: str) -> str:
    """Of everything a review's row says, as it stands in the database."""
    return sha256_of([case, number, at, reader, document])
