"""Decisions as they grow, on a real store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.services import deciding
from app.services.deciding import Draft, Stand, added, begun, open_findings, others_since, saved, verdict_on
from app.services.intake import new_case, read_result
from app.services.reasons import ReasonCode
from app.store.cases import Cases
from app.store.database import Database, open_database
from app.store.records import Case
from app.store.reviews import Reviews
from pipelines.results import Result
from tests.app.planted import plant_film


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield database
    database.close()


@pytest.fixture
def case(database: Database, tmp_path: Path) -> Case:
    return Cases(database).take_in(new_case(plant_film(tmp_path)), "test")


@pytest.fixture
def result(case: Case) -> Result:
    return read_result(Path(case.folder))[0]


def again(database: Database, case: Case) -> Draft:
    return begun(case, Reviews(database).of(case.id))


def test_every_step_is_a_review_and_undoing_is_one_too(database: Database, case: Case, result: Result) -> None:
    draft = again(database, case)
    assert open_findings(result, draft.stand) == (0,)
    draft = draft.then(draft.stand.decided(verdict_on(result, 0, "accepted")))
    draft, first = saved(database, draft, "anna", 3.0)
    assert open_findings(result, draft.stand) == ()
    draft = draft.then(draft.stand.decided(verdict_on(result, 0, "rejected", ReasonCode.ARTEFACT, "a line")))
    draft, second = saved(database, draft, "anna", 5.0)
    draft, third = saved(database, draft.undone(), "anna", 6.0)
    assert [review.number for review in Reviews(database).of(case.id)] == [1, 2, 3]
    assert third.decisions == first.decisions != second.decisions
    assert [review.based_on for review in (first, second, third)] == [0, 1, 2]
    assert not Cases(database).get(case.id).in_conflict


def test_a_page_that_died_goes_on_where_it_was(database: Database, case: Case, result: Result) -> None:
    draft = again(database, case)
    for verdict, reason in (("accepted", None), ("rejected", ReasonCode.OTHER)):
        draft = draft.then(draft.stand.decided(verdict_on(result, 0, verdict, reason)))  # type: ignore[arg-type]
        draft, _ = saved(database, draft, "anna", 1.0)
    found = again(database, case)
    assert (found.stand, found.seen) == (draft.stand, 2)
    assert found.undone().stand.on(0) == verdict_on(result, 0, "accepted")
    assert found.undone().undone().stand == Stand()
    assert found.undone().undone().undone().stand == Stand()


def test_two_readers_are_in_conflict_until_one_has_seen_the_other(
    database: Database, case: Case, result: Result
) -> None:
    anna, bela = again(database, case), again(database, case)
    anna, _ = saved(database, anna.then(anna.stand.decided(verdict_on(result, 0, "accepted"))), "anna", 1.0)
    rejected = bela.stand.decided(verdict_on(result, 0, "rejected", ReasonCode.FALSE_POSITIVE))
    bela, theirs = saved(database, bela.then(rejected), "bela", 1.0)
    assert theirs.conflicts_with == 1
    assert Cases(database).get(case.id).in_conflict
    reviews = Reviews(database).of(case.id)
    assert [review.reader for review in others_since(bela, reviews, "bela")] == ["anna"]
    # Going on without having looked stays in conflict.
    bela, more = saved(database, bela.then(added(result, bela.stand, "hernia")), "bela", 1.0)
    assert more.conflicts_with == 1
    seen = begun(case, Reviews(database).of(case.id))
    settled, _ = saved(database, seen.then(rejected), "bela", 1.0)
    assert not Cases(database).get(case.id).in_conflict
    assert others_since(settled, Reviews(database).of(case.id), "bela") == ()
    assert len(Reviews(database).of(case.id)) == 4


def test_readers_findings_stand_behind_the_networks(result: Result) -> None:
    stand = added(result, added(result, Stand(), "hernia", "at the left"), "mass")
    assert [(one.finding, one.label, one.reason) for one in stand.decisions] == [
        (2, "hernia", "missed_finding"),
        (3, "mass", "missed_finding"),
    ]
    assert [one.finding for one in added(result, stand.without(2), "edema").decisions] == [3, 4]


def test_what_is_not_accepted_has_a_reason_and_is_a_finding(result: Result) -> None:
    for verdict in ("rejected", "modified"):
        with pytest.raises(ValueError, match="reason"):
            verdict_on(result, 0, verdict)  # type: ignore[arg-type]
    for finding in (-1, 2):
        with pytest.raises(ValueError, match="findings"):
            verdict_on(result, finding, "accepted")


def test_another_result_begins_anew(database: Database, case: Case, result: Result) -> None:
    draft = again(database, case)
    saved(database, draft.then(draft.stand.decided(verdict_on(result, 0, "accepted"))), "anna", 1.0)
    other = case.model_copy(update={"result_sha256": "0" * 64})
    assert deciding.begun(other, Reviews(database).of(case.id)).stand == Stand()
