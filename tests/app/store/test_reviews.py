import pytest

from app.store.cases import Cases, NoSuchCase
from app.store.database import Database
from app.store.records import Decision, NewCase, NewReview, Review
from app.store.reviews import Reviews

TUMOR = Decision(finding=0, label="liver_tumor", verdict="rejected", reason="artefact", text="breathing; <script>")


@pytest.fixture
def case(database: Database) -> str:
    new = NewCase(study_uid="1.2.3", task="liver_ct", folder="out", result_sha256="sha")
    return Cases(database).take_in(new, "worker").id


@pytest.fixture
def reviews(database: Database) -> Reviews:
    return Reviews(database)


def by(reader: str, case: str, based_on: int, **other: object) -> NewReview:
    return NewReview.model_validate(
        {"case": case, "reader": reader, "based_on": based_on, "result_sha256": "sha", **other}
    )


def test_what_was_decided_is_given_back_as_it_was(reviews: Reviews, case: str) -> None:
    new = by(
        "anna", case, 0, decisions=(TUMOR,), comment="Größe 3½ mm", mask="mask-1.nii.gz", seconds=41.5, aided=False
    )
    kept = reviews.append(new)
    assert reviews.of(case) == [kept]
    assert NewReview(**kept.model_dump(include=set(NewReview.model_fields))) == new
    assert (kept.number, kept.conflicts_with) == (1, 0)


def test_deciding_ends_the_claim(reviews: Reviews, database: Database, case: str) -> None:
    Cases(database).claim(case, "anna")
    reviews.append(by("anna", case, 0))
    assert Cases(database).get(case).claimed_by == "anna"
    reviews.append(by("anna", case, 1, complete=True))
    decided = Cases(database).get(case)
    assert (decided.status, decided.claimed_by, decided.reviews) == ("decided", "", 2)


def test_two_readers_of_one_case_are_in_conflict_until_one_has_seen_both(
    reviews: Reviews, database: Database, case: str
) -> None:
    reviews.append(by("anna", case, 0, decisions=(TUMOR,)))
    second = reviews.append(by("ben", case, 0))
    assert second.conflicts_with == 1
    assert Cases(database).get(case).in_conflict
    # Who does not know of the other's adds to it, also where the latest is their own.
    third = reviews.append(by("ben", case, 0))
    assert third.conflicts_with == 1
    assert Cases(database).get(case).in_conflict
    settled = reviews.append(by("carla", case, 3, complete=True))
    assert settled.conflicts_with == 0
    assert not Cases(database).get(case).in_conflict
    assert [one.reader for one in reviews.of(case)] == ["anna", "ben", "ben", "carla"]
    assert reviews.of(case)[0].decisions == (TUMOR,)


def test_a_reader_who_goes_back_is_in_conflict_with_nobody(reviews: Reviews, database: Database, case: str) -> None:
    reviews.append(by("anna", case, 0, decisions=(TUMOR,)))
    undone = reviews.append(by("anna", case, 0))
    assert undone.conflicts_with == 0
    assert not Cases(database).get(case).in_conflict


def test_all_come_in_the_order_of_time(reviews: Reviews, database: Database, case: str) -> None:
    other = NewCase(study_uid="4.5.6", task="liver_ct", folder="out", result_sha256="sha")
    second = Cases(database).take_in(other, "worker").id
    kept: list[Review] = [reviews.append(by("anna", one, 0)) for one in (second, case)]
    assert reviews.all() == kept


def test_what_is_not_there_is_told(reviews: Reviews, case: str) -> None:
    with pytest.raises(NoSuchCase):
        reviews.append(by("anna", "none", 0))
    with pytest.raises(NoSuchCase):
        reviews.of("none")
    with pytest.raises(ValueError, match="based on"):
        reviews.append(by("anna", case, 1))
    assert reviews.of(case) == []
