"""Cases: what is on the worklist, who has it, and what was decided about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import ColumnElement, Text, func, or_, select, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.store.audit_log import append_entry
from app.store.database import Database
from app.store.records import Case, CaseStatus, NewCase
from app.store.tables import CaseRow

ORDERS = {
    "priority": (CaseRow.priority.desc(), CaseRow.received_at, CaseRow.id),
    "received": (CaseRow.received_at.desc(), CaseRow.id),
    "changed": (CaseRow.changed_at.desc(), CaseRow.id),
}


class NoSuchCase(LookupError):
    """There is no case of that id."""


class ClaimedByAnother(Exception):
    """Somebody else has the case in review.

    Attributes:
        reader: Who.
    """

    def __init__(self, reader: str) -> None:
        super().__init__(reader)
        self.reader = reader


@dataclass(frozen=True)
class Wanted:
    """Which cases, and in what order.

    Attributes:
        statuses: Of these; none are all.
        tasks: The same.
        text: Part of the study's uid, or of a finding's name.
        in_conflict: Only those that are.
        order: Of `ORDERS`.
        most: How many.
        skip: How many of the first are left out.
    """

    statuses: Sequence[CaseStatus] = ()
    tasks: Sequence[str] = ()
    text: str = ""
    in_conflict: bool = False
    order: Literal["priority", "received", "changed"] = "priority"
    most: int = 100
    skip: int = 0


class Cases:
    """The cases of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_in(self, new: NewCase, who: str) -> Case:
        """Put a result on the worklist.

        A study that was there already with another result keeps its reviews and is new again, so that somebody looks
        at what was said this time; with the same result nothing changes.

        Args:
            new: What was found.
            who: Worker or person.
        """
        try:
            return self._take_in(new, who)
        except IntegrityError:
            # Somebody else put the same study there a moment earlier.
            return self._take_in(new, who)

    def _take_in(self, new: NewCase, who: str) -> Case:
        now = datetime.now(UTC)
        with self._database.writing() as session:
            row = session.scalar(
                select(CaseRow).where(CaseRow.study_uid == new.study_uid, CaseRow.task == new.task).with_for_update()
            )
            if row is None:
                row = CaseRow(id=uuid4().hex, received_at=now, claimed_by="", reviews=0, in_conflict=False)
                session.add(row)
            elif row.result_sha256 == new.result_sha256 and row.folder == new.folder:
                return case_of(row)
            for name, value in new.model_dump(mode="json").items():
                setattr(row, name, value)
            row.status, row.changed_at = "failed" if new.error else "new", now
            row.claimed_by, row.claimed_until = "", None
            detail = {"task": new.task, "result": new.result_sha256}
            append_entry(session, who, "take_in", f"case:{row.id}", detail)
            return case_of(row)

    def get(self, case: str) -> Case:
        """One case.

        Raises:
            NoSuchCase: There is none.
        """
        with self._database.reading() as session:
            return case_of(row_of(session, case))

    def find(self, wanted: Wanted) -> list[Case]:
        """Cases of the worklist."""
        with self._database.reading() as session:
            query = select(CaseRow).where(*_conditions(wanted)).order_by(*ORDERS[wanted.order])
            return [case_of(row) for row in session.scalars(query.limit(wanted.most).offset(wanted.skip))]

    def counts(self, wanted: Wanted) -> dict[str, int]:
        """How many there are of each status, whatever status is wanted."""
        with self._database.reading() as session:
            query = select(CaseRow.status, func.count()).where(*_conditions(wanted, statuses=False))
            found = session.execute(query.group_by(CaseRow.status))
            return {row[0]: row[1] for row in found}

    def state(self) -> str:
        """What is another text as soon as anything about any case is another."""
        with self._database.reading() as session:
            count, latest = session.execute(select(func.count(), func.max(CaseRow.changed_at))).one()
            return f"{count} {'' if latest is None else latest.isoformat()}"

    def tasks(self) -> list[str]:
        """Tasks that there are cases of, by name."""
        with self._database.reading() as session:
            return list(session.scalars(select(CaseRow.task).distinct().order_by(CaseRow.task)))

    def claim(self, case: str, reader: str, minutes: float = 30.0) -> Case:
        """Take a case into review, or go on with it; a claim lapses by itself.

        Raises:
            NoSuchCase: There is none.
            ClaimedByAnother: Somebody else has it.
        """
        now = datetime.now(UTC)
        with self._database.writing() as session:
            row = row_of(session, case, to_change=True)
            taken = row.claimed_by not in ("", reader) and row.claimed_until is not None and row.claimed_until > now
            if taken:
                raise ClaimedByAnother(row.claimed_by)
            if row.claimed_by != reader:
                append_entry(session, reader, "claim", f"case:{row.id}", {})
            row.claimed_by, row.claimed_until = reader, now + timedelta(minutes=minutes)
            if row.status == "new":
                row.status = "in_review"
            row.changed_at = now
            return case_of(row)

    def release(self, case: str, reader: str) -> Case:
        """Give a case back; nothing happens where it was not the reader's.

        Raises:
            NoSuchCase: There is none.
        """
        with self._database.writing() as session:
            row = row_of(session, case, to_change=True)
            if row.claimed_by == reader:
                row.claimed_by, row.claimed_until, row.changed_at = "", None, datetime.now(UTC)
                if row.status == "in_review":
                    row.status = "new"
                append_entry(session, reader, "release", f"case:{row.id}", {})
            return case_of(row)


def row_of(session: Session, case: str, *, to_change: bool = False) -> CaseRow:
    """A case's row, locked where it is to be changed.

    Raises:
        NoSuchCase: There is none.
    """
    row = session.get(CaseRow, case, with_for_update=to_change or None)
    if row is None:
        raise NoSuchCase(case)
    return row


def case_of(row: CaseRow) -> Case:
    """What a row says, without the claim that lapsed."""
    said: dict[str, Any] = {name: getattr(row, name) for name in Case.model_fields}
    if row.claimed_until is not None and row.claimed_until <= datetime.now(UTC):
        said |= {"claimed_by": "", "claimed_until": None}
        if row.status == "in_review":
            said["status"] = "new"
    return Case.model_validate(said)


def _conditions(wanted: Wanted, *, statuses: bool = True) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if statuses and wanted.statuses:
        conditions.append(CaseRow.status.in_(wanted.statuses))
    if wanted.tasks:
        conditions.append(CaseRow.task.in_(wanted.tasks))
    if wanted.in_conflict:
        conditions.append(CaseRow.in_conflict.is_(True))
    if wanted.text:
        # autoescape: a percent sign that somebody types is one.
        columns = (CaseRow.study_uid, type_coerce(CaseRow.findings, Text))
        found = (column.icontains(wanted.text, autoescape=True) for column in columns)
        conditions.append(or_(*found))
    return conditions
