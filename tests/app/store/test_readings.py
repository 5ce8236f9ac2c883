from datetime import UTC, datetime

import pytest
from alembic import command
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.store.audit_log import AuditLog
from app.store.cases import Cases, NoSuchCase
from app.store.database import Database, migrations_config, open_database
from app.store.reading_records import Assignment, NewPlan, Plan
from app.store.readings import NoSuchPlan, Readings
from app.store.records import NewCase, NewReview
from app.store.reviews import Reviews


def case_in(database: Database, uid: str = "1.2.3") -> str:
    new = NewCase(study_uid=uid, task="liver_ct", folder="out", result_sha256="sha")
    return Cases(database).take_in(new, "worker").id


def plan_of(*cases: str, **changes: object) -> Plan:
    told = {"id": "p1", "name": "pilot", "cases": cases, "readers": ("anna", "ben"), "made_by": "rita"}
    return Plan.model_validate({**told, "made_at": datetime.now(UTC), **changes})


def assigned(plan: Plan) -> list[Assignment]:
    return [
        Assignment(plan=plan.id, reader=reader, position=position, case=case, arm="aided")
        for reader in plan.readers
        for position, case in enumerate(plan.cases, start=1)
    ]


def test_a_plan_is_given_back_as_it_was_made(database: Database) -> None:
    plan = plan_of(case_in(database), case_in(database, "4.5.6"), adjudicators=("carla",), seed=3)
    readings = Readings(database)
    readings.make(plan, assigned(plan))
    assert readings.get("p1") == plan
    assert readings.all() == [plan]
    assert readings.assigned("p1") == assigned(plan)
    assert readings.assigned("p2") == []
    assert readings.cases_of(plan) == {case: Cases(database).get(case) for case in plan.cases}
    assert [plan.id for plan in readings.open_plans_of(plan.cases[1])] == ["p1"]


def test_making_and_closing_stand_in_the_log(database: Database) -> None:
    plan = plan_of(case_in(database))
    readings = Readings(database)
    readings.make(plan, assigned(plan))
    closed = readings.close("p1", "rita")
    assert readings.close("p1", "somebody") == closed
    assert closed.closed_at is not None
    assert readings.open_plans_of(plan.cases[0]) == []
    told = [(entry.who, entry.action, entry.subject) for entry in AuditLog(database).entries(first=2)]
    assert told == [("rita", "plan_reading", "plan:p1"), ("rita", "close_plan", "plan:p1")]
    assert AuditLog(database).faults() == []


def test_a_plan_about_a_case_that_is_not_there_leaves_nothing(database: Database) -> None:
    plan = plan_of(case_in(database), "nothing")
    with pytest.raises(NoSuchCase):
        Readings(database).make(plan, assigned(plan))
    assert Readings(database).all() == []
    with pytest.raises(NoSuchPlan):
        Readings(database).get("p1")
    with pytest.raises(NoSuchPlan):
        Readings(database).close("p1", "rita")


@pytest.mark.parametrize("statement", ["UPDATE reading_assignments SET arm = 'x'", "DELETE FROM reading_assignments"])
def test_the_database_itself_keeps_what_was_assigned(database: Database, statement: str) -> None:
    plan = plan_of(case_in(database))
    Readings(database).make(plan, assigned(plan))
    with pytest.raises(DBAPIError, match="appended and never changed"), database.writing() as session:
        session.execute(text(statement))
    assert Readings(database).assigned("p1") == assigned(plan)


def test_reviews_for_a_plan_are_those_of_its_people_while_it_was_open(database: Database) -> None:
    case, other = case_in(database), case_in(database, "4.5.6")
    reviews = Reviews(database)

    def said(reader: str, about: str) -> int:
        return reviews.append(NewReview(case=about, reader=reader, result_sha256="sha")).number

    said("anna", case)
    plan = plan_of(case, adjudicators=("carla",))
    Readings(database).make(plan, assigned(plan))
    wanted = [("anna", said("anna", case)), ("carla", said("carla", case))]
    said("dora", case)
    said("anna", other)
    closed = Readings(database).close("p1", "rita")
    said("ben", case)
    assert [(one.reader, one.number) for one in Readings(database).reviews_for(closed)] == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"readers": ("anna", "anna")},
        {"readers": ()},
        {"cases": ()},
        {"arms": ()},
        {"arms": ("aided", "aided")},
        {"arms": ("other",)},
        {"adjudicators": ("anna",)},
        {"readers": ("anna", " ")},
        {"name": ""},
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewPlan.model_validate({"name": "pilot", "cases": ("a",), "readers": ("anna",), **wrong})


def test_a_database_from_before_is_brought_along(url: str) -> None:
    opened = open_database(url)
    with opened.engine.begin() as connection:
        # As the first version left it.
        for table in ("reading_assignments", "reading_plans"):
            connection.execute(text(f"DROP TABLE {table}"))
        command.stamp(migrations_config(connection), "0001")
    case = case_in(opened)
    opened.close()
    again = open_database(url)
    plan = plan_of(case)
    Readings(again).make(plan, assigned(plan))
    assert Readings(again).get("p1") == plan
    again.close()
