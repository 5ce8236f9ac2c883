import numpy as np

from app.services.ratings import labels_there, ratings_of
from app.services.reading import Standing
from tests.app.reader_study import assigned, decision, finding, plan_of, said

FILM = (finding("mass", 0.9), finding("nodule", 0.1))
CT = (finding("liver_tumor", 0.8),)


def test_what_is_there_by_what_a_reader_decided() -> None:
    there = {
        "called and accepted": (decision(0, "mass", "accepted"), {"mass"}),
        "called and changed": (decision(0, "nodule", "modified"), {"nodule"}),
        "called and rejected": (decision(0, "mass", "rejected"), set()),
        "not called, and so left": (decision(1, "nodule", "accepted"), set()),
        "not called, but there": (decision(1, "nodule", "modified", "missed_finding"), {"nodule"}),
        "added": (decision(2, "effusion", "accepted"), {"effusion"}),
        "added and taken back": (decision(2, "effusion", "rejected"), set()),
    }
    found = {name: labels_there(said("a", "anna", one), FILM) for name, (one, _) in there.items()}
    assert found == {name: expected for name, (_, expected) in there.items()}


def test_every_label_that_anybody_names_is_an_item_of_its_kind_of_case() -> None:
    plan = plan_of(("film 1", "film 2", "ct", "unread", "no result"), ("ben", "anna"))
    readings = {
        ("anna", "film 1"): said("film 1", "anna", decision(0, "mass", "accepted"), decision(2, "edema", "accepted")),
        ("ben", "film 1"): said("film 1", "ben", decision(0, "mass", "rejected")),
        ("anna", "film 2"): said("film 2", "anna"),
        ("ben", "film 2"): said("film 2", "ben", decision(1, "nodule", "modified")),
        ("anna", "ct"): said("ct", "anna", decision(0, "liver_tumor", "accepted")),
        ("ben", "ct"): said("ct", "ben", decision(0, "liver_tumor", "accepted")),
        ("anna", "unread"): said("unread", "anna"),
        **{(reader, "no result"): said("no result", reader) for reader in plan.readers},
    }
    standing = Standing(plan, assigned(plan), readings, {})
    found = ratings_of(standing, {"film 1": FILM, "film 2": FILM, "ct": CT, "unread": FILM, "no result": ()})
    assert found.readers == ("anna", "ben")
    assert list(zip(found.cases, found.labels, found.said.tolist(), strict=True)) == [
        ("film 1", "edema", [1, 0]),
        ("film 1", "mass", [1, 0]),
        ("film 1", "nodule", [0, 0]),
        ("film 2", "edema", [0, 0]),
        ("film 2", "mass", [0, 0]),
        ("film 2", "nodule", [0, 1]),
        ("ct", "liver_tumor", [1, 1]),
    ]
    assert found.of_label("nodule").said.tolist() == [[0, 0], [0, 1]]
    assert found.of_readers(("ben", "anna")).said[:, 0].tolist() == found.said[:, 1].tolist()


def test_nothing_read_is_no_rating() -> None:
    plan = plan_of(("a",), ("anna", "ben"))
    found = ratings_of(Standing(plan, assigned(plan), {}, {}), {"a": FILM})
    assert found.cases == ()
    np.testing.assert_array_equal(found.said, np.zeros((0, 2)))
