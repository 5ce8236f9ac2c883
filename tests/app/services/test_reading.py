from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.reading import (
    NotToAdjudicate,
    adjudicate,
    assign,
    assignment_of,
    is_blinded,
    make_plan,
    next_reading,
    standing_of,
    visible_reviews,
)
from app.store.audit_log import AuditLog
from app.store.cases import Cases
from app.store.database import Database, open_database
from app.store.reading_records import NewPlan, Plan
from app.store.readings import Readings
from app.store.records import NewCase, NewReview, Review
from app.store.reviews import Reviews

NAMES = st.lists(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=9, unique=True)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture
def cases(database: Database) -> list[str]:
    new = [NewCase(study_uid=f"1.{n}", task="liver_ct", folder="out", result_sha256="sha") for n in range(3)]
    return [Cases(database).take_in(one, "worker").id for one in new]


def plan_for(database: Database, cases: list[str], **changes: object) -> Plan:
    told = {"name": "pilot", "cases": tuple(cases), "readers": ("anna", "ben"), "adjudicators": ("carla",)}
    return make_plan(database, NewPlan.model_validate({**told, **changes}), "rita")


def read(database: Database, case: str, reader: str, **changes: object) -> Review:
    told = {"case": case, "reader": reader, "result_sha256": "sha", "complete": True, "seconds": 10.0}
    return Reviews(database).append(NewReview.model_validate({**told, **changes}))


def seen_by(database: Database, case: str, person: str) -> list[str]:
    return [one.reader for one in visible_reviews(database, case, person)]


@settings(deadline=None, max_examples=60)
@given(cases=NAMES, readers=NAMES, seed=st.integers(0, 5))
def test_arms_are_balanced_over_cases_and_over_readers(cases: list[str], readers: list[str], seed: int) -> None:
    plan = NewPlan(name="p", cases=tuple(cases), readers=tuple(readers), arms=("aided", "unaided"), seed=seed)
    drawn = assign("p", plan)
    assert Counter((one.reader, one.case) for one in drawn) == Counter((r, c) for r in readers for c in cases)
    for named in (lambda one: one.reader, lambda one: one.case):
        for name in {named(one) for one in drawn}:
            arms = Counter(one.arm for one in drawn if named(one) == name)
            assert abs(arms["aided"] - arms["unaided"]) <= 1
    for reader in readers:
        own = [one.position for one in drawn if one.reader == reader]
        assert own == list(range(1, len(cases) + 1))


def test_what_is_drawn_depends_on_the_seed_and_not_on_how_it_was_named() -> None:
    cases = tuple(f"case {n}" for n in range(20))
    plan = NewPlan(name="p", cases=cases, readers=("anna", "ben"), arms=("aided", "unaided"), seed=4)
    turned = plan.model_copy(update={"cases": cases[::-1], "readers": ("ben", "anna"), "arms": ("unaided", "aided")})
    drawn = assign("p", plan)
    assert assign("p", turned) == drawn
    orders = [[one.case for one in drawn if one.reader == reader] for reader in plan.readers]
    orders += [[one.case for one in assign("p", plan.model_copy(update={"seed": 5})) if one.reader == "anna"]]
    assert all(one != other for one, other in pairwise(orders))
    assert {one.arm for one in assign("p", plan.model_copy(update={"arms": ("unaided",)}))} == {"unaided"}


def test_a_reader_goes_through_the_cases_in_their_order(database: Database, cases: list[str]) -> None:
    plan = plan_for(database, cases)
    order = [one.case for one in Readings(database).assigned(plan.id) if one.reader == "anna"]
    for case in order:
        wanted = next_reading(database, plan.id, "anna")
        assert wanted is not None
        assert wanted.case == case
        read(database, case, "anna", complete=False)
        assert next_reading(database, plan.id, "anna") == wanted
        read(database, case, "anna")
    assert next_reading(database, plan.id, "anna") is None
    assert next_reading(database, plan.id, "dora") is None
    assert len(standing_of(database, plan.id).unread_by("ben")) == 3


def test_readers_see_their_own_reviews_until_everything_is_read(database: Database, cases: list[str]) -> None:
    case = cases[0]
    read(database, case, "dora")
    plan = plan_for(database, cases)
    read(database, case, "anna")
    assert seen_by(database, case, "ben") == []
    assert seen_by(database, case, "anna") == ["anna"]
    # Who is not in the plan is not blinded by it; an adjudicator is, until the case is read by all.
    assert seen_by(database, case, "rita") == ["dora", "anna"]
    assert seen_by(database, case, "carla") == []
    read(database, case, "ben")
    assert seen_by(database, case, "carla") == ["dora", "anna", "ben"]
    assert seen_by(database, case, "anna") == ["anna"]
    for other in cases[1:]:
        for reader in ("anna", "ben"):
            assert is_blinded(database, case, "anna")
            read(database, other, reader)
    assert standing_of(database, plan.id).complete
    assert seen_by(database, case, "anna") == ["dora", "anna", "ben"]


def test_closing_a_plan_lifts_the_blinding(database: Database, cases: list[str]) -> None:
    plan = plan_for(database, cases)
    read(database, cases[0], "anna")
    assert is_blinded(database, cases[0], "ben")
    Readings(database).close(plan.id, "rita")
    assert not is_blinded(database, cases[0], "ben")
    assert next_reading(database, plan.id, "ben") is None
    assert assignment_of(database, cases[0], "ben") is None


def test_what_may_be_shown_stands_in_the_assignment(database: Database, cases: list[str]) -> None:
    plan_for(database, cases, arms=("unaided",), readers=("anna",))
    assert assignment_of(database, cases[0], "ben") is None
    for case in cases:
        assigned = assignment_of(database, case, "anna")
        assert assigned is not None
        assert (assigned.arm, assigned.case) == ("unaided", case)
    for case in cases:
        read(database, case, "anna", aided=False)
    assert assignment_of(database, cases[0], "anna") is None


def test_a_reading_is_the_first_complete_review_with_all_its_seconds(database: Database, cases: list[str]) -> None:
    plan = plan_for(database, cases)
    # Steps of one look, each kept with the seconds since the case was opened; then it is opened again.
    for number, seconds in enumerate((10.0, 30.0, 5.0)):
        read(database, cases[0], "anna", based_on=number, complete=False, seconds=seconds)
    first = read(database, cases[0], "anna", based_on=3, seconds=12.5)
    read(database, cases[0], "anna", based_on=4, seconds=99.0)
    reading = standing_of(database, plan.id).readings["anna", cases[0]]
    assert (reading.number, reading.seconds) == (first.number, 30.0 + 12.5)


def test_adjudication_is_by_who_saw_the_latest_of_all_readings(database: Database, cases: list[str]) -> None:
    plan = plan_for(database, cases)
    read(database, cases[0], "anna")
    decided = NewReview(case=cases[0], reader="carla", result_sha256="sha", complete=True)
    with pytest.raises(NotToAdjudicate, match="all readers"):
        adjudicate(database, plan.id, decided)
    read(database, cases[0], "ben")
    assert Cases(database).get(cases[0]).in_conflict
    with pytest.raises(NotToAdjudicate, match="adjudicator"):
        adjudicate(database, plan.id, decided.model_copy(update={"reader": "anna"}))
    assert standing_of(database, plan.id).to_adjudicate == (cases[0],)
    kept = adjudicate(database, plan.id, decided)
    assert (kept.based_on, kept.conflicts_with) == (2, 0)
    assert not Cases(database).get(cases[0]).in_conflict
    standing = standing_of(database, plan.id)
    assert standing.to_adjudicate == ()
    assert standing.adjudications == {cases[0]: kept}
    last = AuditLog(database).entries()[-1]
    assert (last.who, last.action, last.subject) == ("carla", "adjudicate", f"plan:{plan.id}")
    assert AuditLog(database).faults() == []


def test_a_plan_without_adjudicators_has_nothing_to_adjudicate(database: Database, cases: list[str]) -> None:
    plan = plan_for(database, cases, adjudicators=(), readers=("anna",))
    read(database, cases[0], "anna")
    assert standing_of(database, plan.id).read_by_all == {cases[0]}
    assert standing_of(database, plan.id).to_adjudicate == ()
