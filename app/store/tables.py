"""The tables. What they look like on disk is made by the migrations, and a test holds the two together."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, Dialect, Float, ForeignKey, Index, Integer, MetaData, String, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.store.records import canonical

# Constraints have names of their own, so that migrations can speak of them on every database.
_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"


def moment_text(moment: datetime) -> str:
    """A time as it stands in the database: "2026-11-21T22:10:11.000000Z"."""
    return moment.astimezone(UTC).strftime(_MOMENT)


class Moment(TypeDecorator[datetime]):
    """A time in UTC to the microsecond, as text: the same on every database, in order, and exact for hashes."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """To text."""
        del dialect
        return None if value is None else moment_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """And back, with its time zone."""
        del dialect
        return None if value is None else datetime.strptime(value, _MOMENT).replace(tzinfo=UTC)


class Document(TypeDecorator[Any]):
    """JSON as canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """To text."""
        del dialect
        return canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """And back."""
        del dialect
        return None if value is None else json.loads(value)


class Table(DeclarativeBase):
    """What all tables are."""

    metadata = MetaData(naming_convention=_NAMES)


class CaseRow(Table):
    """A study and what a task said of it; the latest result counts."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("uq_cases_study_uid_task", "study_uid", "task", unique=True),
        Index("ix_cases_worklist", "status", "priority"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(255))
    task: Mapped[str] = mapped_column(String(255))
    modality: Mapped[str] = mapped_column(String(16))
    folder: Mapped[str] = mapped_column(Text)
    result_sha256: Mapped[str] = mapped_column(String(64))
    findings: Mapped[list[str]] = mapped_column(Document)
    flags: Mapped[list[str]] = mapped_column(Document)
    priority: Mapped[float] = mapped_column(Float)
    error: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    received_at: Mapped[datetime] = mapped_column(Moment)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    claimed_by: Mapped[str] = mapped_column(String(255), default="")
    claimed_until: Mapped[datetime | None] = mapped_column(Moment)
    reviews: Mapped[int] = mapped_column(Integer, default=0)
    in_conflict: Mapped[bool] = mapped_column(Boolean, default=False)


class ReviewRow(Table):
    """A review. Rows are appended and never changed; the database refuses both."""

    __tablename__ = "reviews"

    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(Moment)
    reader: Mapped[str] = mapped_column(String(255), index=True)
    document: Mapped[dict[str, Any]] = mapped_column(Document)


class JobRow(Table):
    """Something a worker is to do."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_next", "status", "priority", "created_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(255), unique=True)
    payload: Mapped[dict[str, Any]] = mapped_column(Document)
    priority: Mapped[int] = mapped_column(Integer)
    most_attempts: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(Moment)
    not_before: Mapped[datetime] = mapped_column(Moment)
    leased_by: Mapped[str] = mapped_column(String(255), default="")
    leased_until: Mapped[datetime | None] = mapped_column(Moment)
    code: Mapped[str] = mapped_column(String(64), default="")
    message: Mapped[str] = mapped_column(Text, default="")


class AuditRow(Table):
    """A line of the log; as text, so that what was hashed is what stands here."""

    __tablename__ = "audit_log"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    entry: Mapped[str] = mapped_column(Text)


class AuditHead(Table):
    """Where the log ends: the one row that every writer of the log locks, and that tells when the last line is gone."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))


class PlanRow(Table):
    """A reading plan; nothing of it changes but that it is closed."""

    __tablename__ = "reading_plans"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    made_at: Mapped[datetime] = mapped_column(Moment)
    made_by: Mapped[str] = mapped_column(String(255))
    closed_at: Mapped[datetime | None] = mapped_column(Moment)
    document: Mapped[dict[str, Any]] = mapped_column(Document)


class AssignmentRow(Table):
    """A case that a reader is to read. Rows are appended and never changed; the database refuses both."""

    __tablename__ = "reading_assignments"

    plan_id: Mapped[str] = mapped_column(ForeignKey("reading_plans.id"), primary_key=True)
    reader: Mapped[str] = mapped_column(String(255), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    arm: Mapped[str] = mapped_column(String(16))
