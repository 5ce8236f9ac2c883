"""Who is learnt from and who is held back: never a patient on both sides, and what the set says holds."""

from pathlib import Path

import pytest

from datasets.errors import ConfigError
from datasets.example import ClassTruth, Dataset, Example, Split
from datasets.study import Study
from pipelines.training.parts import PARTS, Parts, parts_beside, parts_of, with_parts


def dataset(splits: dict[str, Split] | None = None, patients: int = 20) -> Dataset:
    """Two studies of each patient, classes by turns."""
    told = splits or {}
    examples = tuple(
        Example(Study(f"s{n}", "", ()), ClassTruth(n % 2, ("a", "b")), f"p{n // 2}", told.get(f"p{n // 2}", ""))
        for n in range(2 * patients)
    )
    return Dataset("set", "made", examples, ("a", "b"))


def patients(some: Dataset, names: frozenset[str]) -> set[str]:
    return {one.patient for one in some.examples if one.name in names}


def test_a_share_of_the_patients_is_held_back() -> None:
    some = dataset()
    parts = parts_of(some, 0.25, 0, None, 5)
    assert parts == parts_of(some, 0.25, 0, None, 5)
    assert parts != parts_of(some, 0.25, 1, None, 5)
    assert len(patients(some, parts.validation)) == 5
    assert patients(some, parts.validation) & patients(some, parts.train) == set()
    assert parts.train | parts.validation == {one.name for one in some.examples}


def test_what_the_set_says_holds_and_its_test_part_is_not_touched() -> None:
    some = dataset({"p1": "validation", "p2": "test", "p3": "train"})
    parts = parts_of(some, 0.25, 0, None, 5)
    assert patients(some, parts.validation) == {"p1"}
    assert patients(some, parts.test) == {"p2"}
    assert len(patients(some, parts.train)) == 18


def test_folds_hold_everybody_back_once() -> None:
    some = dataset({"p2": "test", "p1": "validation"})
    held = [patients(some, parts_of(some, 0.2, 3, fold, 4).validation) for fold in range(4)]
    assert set.union(*held) == {f"p{n}" for n in range(20)} - {"p2"}
    assert sum(map(len, held)) == 19
    with pytest.raises(ConfigError, match="from 0 to 3"):
        parts_of(some, 0.2, 3, 4, 4)


def test_nobody_may_be_held_back() -> None:
    parts = parts_of(dataset(), 0.0, 0, None, 5)
    assert (len(parts.train), parts.validation) == (40, frozenset())


def test_parts_are_found_beside_the_weights(tmp_path: Path) -> None:
    some = dataset()
    parts = parts_of(some, 0.25, 0, None, 5)
    assert parts_beside(tmp_path / "weights.safetensors") is None
    (tmp_path / PARTS).write_text(parts.to_json())
    found = parts_beside(tmp_path / "weights.safetensors")
    assert found == parts
    divided = with_parts(some, found or Parts(frozenset(), frozenset()))
    assert {one.name for one in divided.examples if one.split == "validation"} == parts.validation
    assert {one.name for one in divided.examples if one.split == "train"} == parts.train
    (tmp_path / PARTS).write_text("[")
    with pytest.raises(ConfigError, match=PARTS):
        parts_beside(tmp_path / "weights.safetensors")
