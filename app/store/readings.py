"""Reading plans and assignments: made once, together, and kept as they were made."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.audit_log import append_entry
from app.store.cases import case_of, row_of
from app.store.database import Database
from app.store.reading_records import Assignment, NewPlan, Plan
from app.store.records import Case, Review, sha256_of
from app.store.reviews import review_of
from app.store.tables import AssignmentRow, CaseRow, PlanRow, ReviewRow

_IN_ORDER = (AssignmentRow.plan_id, AssignmentRow.reader, AssignmentRow.position)


class NoSuchPlan(LookupError):
    """There is no reading plan of that id."""


class Readings:
    """The reading plans of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, plan: Plan, assignments: Sequence[Assignment]) -> None:
        """Keep a plan and all that is assigned by it, or nothing.

        Raises:
            NoSuchCase: A case of it is not there.
        """
        document = plan.model_dump(mode="json", include=set(NewPlan.model_fields))
        with self._database.writing() as session:
            for case in plan.cases:
                row_of(session, case)
            session.add(PlanRow(id=plan.id, made_at=plan.made_at, made_by=plan.made_by, document=document))
            session.flush()
            session.add_all(_row(one) for one in assignments)
            # What was drawn can be told from what is there later.
            drawn = sha256_of([one.model_dump(mode="json") for one in assignments])
            append_entry(session, plan.made_by, "plan_reading", f"plan:{plan.id}", {"assignments": drawn})

    def get(self, plan: str) -> Plan:
        """One plan.

        Raises:
            NoSuchPlan: There is none.
        """
        with self._database.reading() as session:
            return _plan_of(_row_of(session, plan))

    def all(self) -> list[Plan]:
        """Every plan, the latest first."""
        with self._database.reading() as session:
            rows = session.scalars(select(PlanRow).order_by(PlanRow.made_at.desc(), PlanRow.id))
            return [_plan_of(row) for row in rows]

    def close(self, plan: str, who: str) -> Plan:
        """End a plan: nobody reads for it any more, and nobody is blinded by it; a closed one stays as it is.

        Raises:
            NoSuchPlan: There is none.
        """
        with self._database.writing() as session:
            row = _row_of(session, plan, to_change=True)
            if row.closed_at is None:
                row.closed_at = datetime.now(UTC)
                append_entry(session, who, "close_plan", f"plan:{plan}", {})
            return _plan_of(row)

    def assigned(self, plan: str) -> list[Assignment]:
        """What a plan assigns, by reader and in their order; nothing where there is no such plan."""
        with self._database.reading() as session:
            rows = session.scalars(select(AssignmentRow).where(AssignmentRow.plan_id == plan).order_by(*_IN_ORDER))
            return [_assignment_of(row) for row in rows]

    def open_plans_of(self, case: str) -> list[Plan]:
        """Plans that are open and have a case, the first one first."""
        with self._database.reading() as session:
            having = select(AssignmentRow.plan_id).where(AssignmentRow.case_id == case)
            rows = session.scalars(
                select(PlanRow).where(PlanRow.id.in_(having), PlanRow.closed_at.is_(None)).order_by(PlanRow.made_at)
            )
            return [_plan_of(row) for row in rows]

    def cases_of(self, plan: Plan) -> dict[str, Case]:
        """The cases of a plan by id, in its order."""
        with self._database.reading() as session:
            rows = session.scalars(select(CaseRow).where(CaseRow.id.in_(plan.cases)))
            found = {row.id: case_of(row) for row in rows}
        return {case: found[case] for case in plan.cases}

    def reviews_for(self, plan: Plan) -> list[Review]:
        """What readers and adjudicators of a plan said of its cases while it was open, in the order of time."""
        conditions = [
            ReviewRow.case_id.in_(plan.cases),
            ReviewRow.reader.in_((*plan.readers, *plan.adjudicators)),
            ReviewRow.at >= plan.made_at,
        ]
        if plan.closed_at is not None:
            conditions.append(ReviewRow.at <= plan.closed_at)
        with self._database.reading() as session:
            rows = session.scalars(
                select(ReviewRow).where(*conditions).order_by(ReviewRow.at, ReviewRow.case_id, ReviewRow.number)
            )
            return [review_of(row) for row in rows]


def _row_of(session: Session, plan: str, *, to_change: bool = False) -> PlanRow:
    row = session.get(PlanRow, plan, with_for_update=to_change or None)
    if row is None:
        raise NoSuchPlan(plan)
    return row


def _plan_of(row: PlanRow) -> Plan:
    return Plan(id=row.id, made_at=row.made_at, made_by=row.made_by, closed_at=row.closed_at, **row.document)


def _assignment_of(row: AssignmentRow) -> Assignment:
    told = {"plan": row.plan_id, "reader": row.reader, "position": row.position, "case": row.case_id, "arm": row.arm}
    return Assignment.model_validate(told)


def _row(one: Assignment) -> AssignmentRow:
    return AssignmentRow(plan_id=one.plan, reader=one.reader, position=one.position, case_id=one.case, arm=one.arm)
