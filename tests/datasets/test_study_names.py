"""Names of studies: each once, the same in any order, and fit for a folder."""

import pytest

from datasets.codes import RepairCode
from datasets.io.study_names import named_apart
from datasets.study import Study


def _named(*studies: tuple[str, str]) -> list[str]:
    return [study.uid for study in named_apart(Study(uid, source, ()) for uid, source in studies)]


def test_different_names_stay() -> None:
    assert named_apart([]) == ()
    study = Study("1.2.3", "folder", ())
    assert named_apart([study]) == (study,)


def test_one_name_gets_its_folder() -> None:
    assert _named(("ct", "p1/ct.nii"), ("mr", "p1/mr.nii"), ("ct", "p2/ct.nii")) == ["ct-p1", "mr", "ct-p2"]


def test_names_do_not_depend_on_the_order_and_ignore_case() -> None:
    studies = [
        ("ct", "p1/ct.nii.gz"),
        ("CT", "P1/CT.nii"),
        ("ct", "q/p1/ct.nii"),
        ("ct-p1", "ct-p1.nii"),
        ("x", "x.png"),
    ]
    forward, backward = _named(*studies), _named(*studies[::-1])[::-1]
    assert forward == backward
    assert len({name.casefold() for name in forward}) == len(studies)
    assert forward[4] == "x"


def test_one_source_with_one_uid_twice_is_counted() -> None:
    names = _named(("1.2", "in.zip"), ("1.2", "in.zip"))
    assert names[1] == f"{names[0]}-2"


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("../../1.2", "_.._1.2"),
        ("..", "study"),
        ("", "study"),
        ("a\\b:c\n", "a_b_c_"),
        ("x" * 300, "x" * 120),
        ("é 1", "é 1"),
    ],
)
def test_a_name_is_a_folders(uid: str, name: str) -> None:
    assert _named((uid, "somewhere")) == [name]


def test_a_change_is_told() -> None:
    first, second = named_apart([Study("ct", "p1/ct.nii", ()), Study("ct", "p2/ct.nii", ())])
    assert [repair.code for repair in first.repairs + second.repairs] == [RepairCode.IDENTIFIERS_DERIVED] * 2
    assert "ct-p1" in first.repairs[0].message
