"""Prepared cases come back as they were, and a preparation that was killed goes on where it was."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.example import ClassTruth, Example
from datasets.study import Study
from pipelines.training.prepared import Case, CaseStore, data_stamp


def examples(count: int) -> list[Example]:
    return [Example(Study(f"s{n:03d}", "", ()), ClassTruth(0, ("a", "b")), f"p{n}") for n in range(count)]


def made(name: str) -> list[Case]:
    """Two views of differing sizes, known by the name."""
    rng = np.random.default_rng(list(name.encode()))
    cases = []
    for view in range(2):
        size = tuple(int(n) for n in rng.integers(1, 7, 3))
        inputs = rng.normal(size=(2, *size)).astype(np.float32)
        places = {"any": np.sort(rng.choice(1000, 5)), "liver": np.empty(0, np.int64)}
        cases.append(Case(f"{name}/{view}", inputs, rng.integers(0, 9, (1, *size)), places, name, (3.0, 1.0, 0.5)))
    return cases


@dataclass
class Prepared:
    """Counts what it is asked for."""

    asked: list[str]
    dies_at: str = ""
    refuses: tuple[str, ...] = ()

    def __call__(self, example: Example) -> list[Case]:
        self.asked.append(example.name)
        if example.name == self.dies_at:
            raise KeyboardInterrupt
        if example.name in self.refuses:
            raise InputRefused(RefusalCode.NOT_FINITE, "numbers", "NaN", "mend it")
        return made(example.name)


@pytest.mark.parametrize("count", [1, 40, 97])
def test_what_was_prepared_comes_back(tmp_path: Path, count: int) -> None:
    store = CaseStore(tmp_path / "store")
    assert list(store.fill(examples(count), Prepared([])))[-1] == count
    expected = [case for one in examples(count) for case in made(one.name)]
    found = store.cases(count)
    assert [case.name for case in found] == [case.name for case in expected]
    for told, case in zip(found, expected, strict=True):
        np.testing.assert_array_equal(told.inputs, case.inputs)
        np.testing.assert_array_equal(told.truth, case.truth)
        assert told.truth.dtype == case.truth.dtype
        assert told.places.keys() == case.places.keys()
        assert all(np.array_equal(told.places[key], case.places[key]) for key in case.places)
        assert (told.kind, told.spacing, told.size) == (case.kind, case.spacing, case.size)
        with pytest.raises(ValueError, match="read-only"):
            told.inputs[...] = 0


def test_nothing_is_prepared_twice(tmp_path: Path) -> None:
    store, some = CaseStore(tmp_path / "store"), examples(70)
    first = Prepared([], dies_at="s033")
    with pytest.raises(KeyboardInterrupt):
        list(store.fill(some, first))
    second = Prepared([])
    steps = list(store.fill(some, second))
    assert steps[-1] == 70
    # Whole chunks stay; the one that broke off is done again.
    assert second.asked[-1] == "s069"
    assert "s033" in second.asked
    assert "s000" not in second.asked
    assert len(second.asked) + 33 <= 70 + 2
    third = Prepared([])
    assert list(store.fill(some, third)) == [70]
    assert third.asked == []


def test_all_that_were_refused_are_told(tmp_path: Path) -> None:
    store, some = CaseStore(tmp_path / "store"), examples(50)
    list(store.fill(some, Prepared([], refuses=("s007", "s044"))))
    assert [(one.name, one.code) for one in store.refused(50)] == [("s007", "not_finite"), ("s044", "not_finite")]
    assert "NaN" in store.refused(50)[0].told
    assert len(store.cases(50)) == 96


def test_a_stamp_changes_with_the_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.nii").write_bytes(b"12")
    before = data_stamp(tmp_path)
    assert data_stamp(tmp_path) == before
    (tmp_path / "a" / "x.nii").write_bytes(b"123")
    longer = data_stamp(tmp_path)
    (tmp_path / "a" / "x.nii").rename(tmp_path / "a" / "y.nii")
    assert len({before, longer, data_stamp(tmp_path)}) == 3
    assert data_stamp(tmp_path / "a" / "y.nii") != data_stamp(tmp_path)
