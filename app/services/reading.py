"""Several readers of the same cases: who reads what, who may see what of the others, and who decides in the end.

A reading is a reader's first complete review of an assigned case; what they change later stands in the store and does
not count. Until every case of a plan was read by all, its readers see no review but their own. An adjudicator sees the
readings of a case once all are there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from random import Random
from uuid import uuid4

from app.store.audit_log import AuditLog
from app.store.database import Database
from app.store.reading_records import Assignment, NewPlan, Plan
from app.store.readings import Readings
from app.store.records import NewReview, Review
from app.store.reviews import Reviews


class NotToAdjudicate(Exception):
    """Somebody who is no adjudicator decides, or readers have not all read the case."""


@dataclass(frozen=True)
class Standing:
    """How far a plan has come.

    Attributes:
        plan: Which.
        assignments: By reader, in their order.
        readings: By reader and case: the first complete review, with the seconds of all the times that the reader
            had the case open until then.
        adjudications: By case: the latest complete review of an adjudicator since all had read it.
    """

    plan: Plan
    assignments: tuple[Assignment, ...]
    readings: Mapping[tuple[str, str], Review]
    adjudications: Mapping[str, Review]

    @cached_property
    def read_by_all(self) -> frozenset[str]:
        """Cases that everybody to whom they were assigned has read."""
        missing = {one.case for one in self.assignments if (one.reader, one.case) not in self.readings}
        return frozenset(self.plan.cases) - missing

    @property
    def complete(self) -> bool:
        """Whether everything was read by all."""
        return len(self.read_by_all) == len(self.plan.cases)

    @property
    def to_adjudicate(self) -> tuple[str, ...]:
        """Cases that all have read and no adjudicator has decided, in the order of the plan; none without one."""
        if not self.plan.adjudicators:
            return ()
        return tuple(case for case in self.plan.cases if case in self.read_by_all and case not in self.adjudications)

    def of(self, reader: str) -> tuple[Assignment, ...]:
        """What is assigned to a reader, in order; nothing to who does not read."""
        return tuple(one for one in self.assignments if one.reader == reader)

    def unread_by(self, reader: str) -> tuple[Assignment, ...]:
        """What a reader still has to read, in order."""
        return tuple(one for one in self.of(reader) if (reader, one.case) not in self.readings)


def assign(plan: str, wanted: NewPlan) -> tuple[Assignment, ...]:
    """Draw who reads which case in which arm, and in which order.

    The arms go round over cases and readers, both in an order that is drawn: of a reader's cases, and of a case's
    readers, as many are in either arm as can be (they differ by one at most). The order of reading is drawn for each
    reader. The same plan gives the same assignments, in whatever order its cases and readers were named.

    Args:
        plan: Id of the plan.
        wanted: Cases, readers, arms and seed.
    """
    cases, readers, arms = sorted(wanted.cases), sorted(wanted.readers), sorted(wanted.arms)
    draw = Random(f"{wanted.seed} arms")
    draw.shuffle(cases)
    draw.shuffle(readers)
    assigned = []
    for place, reader in enumerate(readers):
        arm_of = {case: arms[(place + at) % len(arms)] for at, case in enumerate(cases)}
        order = sorted(cases)
        Random(f"{wanted.seed} order {reader}").shuffle(order)
        assigned += [
            Assignment(plan=plan, reader=reader, position=position, case=case, arm=arm_of[case])
            for position, case in enumerate(order, start=1)
        ]
    return tuple(sorted(assigned, key=lambda one: (one.reader, one.position)))


def make_plan(database: Database, wanted: NewPlan, who: str) -> Plan:
    """Make a plan and draw its assignments.

    Raises:
        NoSuchCase: A case of it is not there.
    """
    plan = Plan(**wanted.model_dump(), id=uuid4().hex, made_at=datetime.now(UTC), made_by=who)
    Readings(database).make(plan, assign(plan.id, wanted))
    return plan


def standing_of(database: Database, plan: str) -> Standing:
    """How far a plan has come.

    Raises:
        NoSuchPlan: There is none.
    """
    readings = Readings(database)
    known = readings.get(plan)
    return _standing(known, readings.assigned(plan), readings.reviews_for(known))


def next_reading(database: Database, plan: str, reader: str) -> Assignment | None:
    """What a reader is to read next; None where nothing is left, or the plan is closed.

    Raises:
        NoSuchPlan: There is none.
    """
    standing = standing_of(database, plan)
    left = standing.unread_by(reader)
    return left[0] if left and standing.plan.closed_at is None else None


def assignment_of(database: Database, case: str, reader: str) -> Assignment | None:
    """By which assignment a reader looks at a case while its plan is going on: its arm says what they may be shown.

    Also where they have read it: what the network said of one case teaches what it says of the next. None where the
    reader is in no plan with the case, or all was read.
    """
    going_on = (one for one in _open(database, case) if not one.complete)
    return next((one for standing in going_on for one in standing.of(reader) if one.case == case), None)


def is_blinded(database: Database, case: str, person: str) -> bool:
    """Whether somebody may see no review of a case but their own, because of a plan that is open."""
    for standing in _open(database, case):
        if person in standing.plan.readers and not standing.complete:
            return True
        if person in standing.plan.adjudicators and case not in standing.read_by_all:
            return True
    return False


def visible_reviews(database: Database, case: str, person: str) -> tuple[Review, ...]:
    """The reviews of a case that somebody may see, the first one first: all, or their own where they are blinded.

    Raises:
        NoSuchCase: There is none.
    """
    # Asked first: a reading that comes meanwhile may be missed, and none is shown that may not be.
    blinded = is_blinded(database, case, person)
    reviews = Reviews(database).of(case)
    return tuple(one for one in reviews if not blinded or one.reader == person)


def adjudicate(database: Database, plan: str, decided: NewReview) -> Review:
    """Keep what an adjudicator decides of a case that all have read, having seen the latest review of it.

    Args:
        database: Open.
        plan: Its id.
        decided: By the adjudicator; on which review it is based is filled in here.

    Raises:
        NoSuchPlan: There is none.
        NotToAdjudicate: The reader of the review is no adjudicator of the plan, or the case is not read by all.
    """
    standing = standing_of(database, plan)
    if decided.reader not in standing.plan.adjudicators:
        raise NotToAdjudicate(f"expected an adjudicator of the plan, got {decided.reader}")
    if decided.case not in standing.read_by_all:
        raise NotToAdjudicate("expected a case that all readers of the plan have read")
    latest = len(Reviews(database).of(decided.case))
    kept = Reviews(database).append(decided.model_copy(update={"based_on": latest}))
    detail = {"case": kept.case, "number": kept.number}
    AuditLog(database).note(decided.reader, "adjudicate", f"plan:{plan}", detail)
    return kept


def _open(database: Database, case: str) -> list[Standing]:
    return [standing_of(database, plan.id) for plan in Readings(database).open_plans_of(case)]


def _standing(plan: Plan, assignments: Sequence[Assignment], reviews: Sequence[Review]) -> Standing:
    assigned = {(one.reader, one.case) for one in assignments}
    seconds: dict[tuple[str, str], tuple[float, float]] = {}
    readings: dict[tuple[str, str], Review] = {}
    for review in reviews:
        of = (review.reader, review.case)
        if of in assigned and of not in readings:
            before, last_s = seconds.get(of, (0.0, 0.0))
            # They grow while the case is open; where they are fewer than before it was opened again.
            before += last_s if review.seconds < last_s else 0.0
            seconds[of] = before, review.seconds
            if review.complete:
                readings[of] = review.model_copy(update={"seconds": before + review.seconds})
    standing = Standing(plan, tuple(assignments), readings, {})
    last = {case: max(one.number for (_, of), one in readings.items() if of == case) for case in standing.read_by_all}
    adjudications = {
        review.case: review
        for review in reviews
        if review.reader in plan.adjudicators
        and review.complete
        and review.case in last
        and review.number > last[review.case]
    }
    return Standing(plan, tuple(assignments), readings, adjudications)
