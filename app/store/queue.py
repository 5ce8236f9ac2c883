"""The queue: jobs that workers lease, so that what one began and did not end another takes up."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import and_, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.records import Job, JobCode, JobStatus, NewJob
from app.store.tables import JobRow

# Between attempts: this long, then twice, four times … as long, and no longer than that.
_BACKOFF_S, _LONGEST_BACKOFF_S = 10.0, 3600.0


class LeaseLost(Exception):
    """The job is another's by now, or nobody's: what was done for it must not be kept."""


class Queue:
    """The jobs of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewJob) -> Job:
        """Queue a job; where one of its key is there already, in whatever state, that one is given back."""
        try:
            return self._add(new)
        except IntegrityError:
            # Somebody else queued it a moment earlier.
            return self._add(new)

    def _add(self, new: NewJob) -> Job:
        now = datetime.now(UTC)
        with self._database.writing() as session:
            row = session.scalar(select(JobRow).where(JobRow.key == new.key))
            if row is None:
                row = JobRow(
                    id=uuid4().hex, status="queued", attempts=0, created_at=now, not_before=now, **new.model_dump()
                )
                row.leased_by = row.code = row.message = ""
                session.add(row)
                session.flush()
            return job_of(row)

    def lease(self, worker: str, seconds: float, kinds: tuple[str, ...] = ()) -> Job | None:
        """The next job, the most urgent of those that may be begun; None where there is nothing to do.

        Args:
            worker: Who asks; a name of its own for each process.
            seconds: After which another may take it, unless it was renewed.
            kinds: What the worker can do; nothing is everything.
        """
        now = datetime.now(UTC)
        due = or_(
            and_(JobRow.status == "queued", JobRow.not_before <= now),
            and_(JobRow.status == "running", JobRow.leased_until <= now),
        )
        wanted = (due, JobRow.kind.in_(kinds)) if kinds else (due,)
        query = (
            select(JobRow)
            .where(*wanted)
            .order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id)
            .limit(1)
            # Workers do not wait for each other's job, they take the next.
            .with_for_update(skip_locked=True)
        )
        with self._database.writing() as session:
            while (row := session.scalar(query)) is not None:
                if row.attempts < row.most_attempts:
                    row.status, row.attempts = "running", row.attempts + 1
                    row.leased_by, row.leased_until = worker, now + timedelta(seconds=seconds)
                    return job_of(row)
                # Whoever had it last is gone without a word, as the others before: it may be the job that kills them.
                _set_aside(row, JobCode.WORKER_LOST, f"{row.attempts} workers began it and did not end it")
                session.flush()
        return None

    def renew(self, job: Job, seconds: float) -> None:
        """Say that a job is still being done.

        Raises:
            LeaseLost: It is another's.
        """
        with self._database.writing() as session:
            _own(session, job).leased_until = datetime.now(UTC) + timedelta(seconds=seconds)

    def complete(self, job: Job) -> Job:
        """The job is done.

        Raises:
            LeaseLost: It is another's.
        """
        with self._database.writing() as session:
            row = _own(session, job)
            row.status, row.leased_by, row.leased_until, row.code, row.message = "done", "", None, "", ""
            return job_of(row)

    def fail(self, job: Job, code: str, message: str, *, again: bool = True) -> Job:
        """The job failed.

        Args:
            job: As it was leased.
            code: Why.
            message: The same in words, without patient data.
            again: Whether it may go better later. A job that was begun as often as it may be is set aside.

        Raises:
            LeaseLost: It is another's.
        """
        with self._database.writing() as session:
            row = _own(session, job)
            if not again or row.attempts >= row.most_attempts:
                _set_aside(row, code, message)
                return job_of(row)
            wait_s = min(_BACKOFF_S * 2 ** (row.attempts - 1), _LONGEST_BACKOFF_S)
            row.status, row.not_before = "queued", datetime.now(UTC) + timedelta(seconds=wait_s)
            row.leased_by, row.leased_until, row.code, row.message = "", None, code, message
            return job_of(row)

    def retry(self, job: str) -> Job:
        """Queue once more what was set aside, with all its attempts; other jobs stay as they are.

        Raises:
            LookupError: There is no such job.
        """
        with self._database.writing() as session:
            row = _row(session, job)
            if row.status == "set_aside":
                row.status, row.attempts, row.not_before = "queued", 0, datetime.now(UTC)
            return job_of(row)

    def get(self, job: str) -> Job:
        """One job.

        Raises:
            LookupError: There is none.
        """
        with self._database.reading() as session:
            return job_of(_row(session, job))

    def find(self, *statuses: JobStatus, most: int = 100) -> list[Job]:
        """Jobs in these states, or in all, in the order in which they are done."""
        query = select(JobRow).order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id).limit(most)
        with self._database.reading() as session:
            return [
                job_of(row) for row in session.scalars(query.where(JobRow.status.in_(statuses)) if statuses else query)
            ]

    def latest(self, kind: str, most: int = 100) -> list[Job]:
        """Jobs of a kind in whatever state, the latest first."""
        query = select(JobRow).where(JobRow.kind == kind).order_by(JobRow.created_at.desc(), JobRow.id).limit(most)
        with self._database.reading() as session:
            return [job_of(row) for row in session.scalars(query)]

    def counts(self) -> dict[str, int]:
        """How many there are in each state."""
        with self._database.reading() as session:
            query = select(JobRow.status, func.count()).group_by(JobRow.status)
            return {row[0]: row[1] for row in session.execute(query)}


def job_of(row: JobRow) -> Job:
    """What a row says."""
    said: dict[str, Any] = {name: getattr(row, name) for name in Job.model_fields}
    return Job.model_validate(said)


def _row(session: Session, job: str) -> JobRow:
    row = session.get(JobRow, job)
    if row is None:
        raise LookupError(f"there is no job {job}")
    return row


def _own(session: Session, job: Job) -> JobRow:
    """The row of a job that is still the one that was leased."""
    row = session.get(JobRow, job.id, with_for_update=True)
    if row is None or (row.status, row.leased_by, row.attempts) != ("running", job.leased_by, job.attempts):
        raise LeaseLost(job.id)
    return row


def _set_aside(row: JobRow, code: str, message: str) -> None:
    row.status, row.leased_by, row.leased_until, row.code, row.message = "set_aside", "", None, code, message
