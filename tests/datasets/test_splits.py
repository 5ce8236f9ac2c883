"""Parts by patient: nobody in two of them, labels spread evenly, the dataset's own parts kept, order of no matter."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from datasets.errors import ConfigError
from datasets.example import ClassTruth, Example, FindingsTruth, InstanceTruth, Split, Truth
from datasets.image import Image
from datasets.splits import folds, split_by_patient
from datasets.study import Study

SHARES: dict[Split, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
CLASSES = ("a", "b", "c")


def _example(name: str, truth: Truth, patient: str = "", split: Split = "") -> Example:
    return Example(Study(name, name, ()), truth, patient or name, split)


def _nothing() -> Image:
    raise AssertionError("pixels are not read")


@st.composite
def _examples(draw: st.DrawFn) -> list[Example]:
    sort = draw(st.sampled_from(("findings", "classes", "scores", "objects")))
    examples = []
    for index in range(draw(st.integers(3, 60))):
        truth: Truth
        if sort == "findings":
            names = draw(st.sets(st.sampled_from(CLASSES)))
            truth = FindingsTruth({name: float(name in names) for name in CLASSES if draw(st.integers(0, 9))})
        elif sort == "classes":
            truth = ClassTruth(draw(st.integers(0, 2)), CLASSES)
        elif sort == "scores":
            truth = FindingsTruth({"age": draw(st.floats(0, 100))})
        else:
            truth = InstanceTruth(_nothing, "nucleus")
        examples.append(_example(f"e{index}", truth, f"p{draw(st.integers(0, 20))}"))
    return examples


def _names(examples: Sequence[Example]) -> list[str]:
    return [example.name for example in examples]


@given(_examples(), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_every_example_is_in_one_part_and_every_patient_too(
    examples: list[Example], seed: int, chance: random.Random
) -> None:
    patients = {example.patient for example in examples}
    if len(patients) < len(SHARES):
        with pytest.raises(ConfigError, match="at least 3 patients"):
            split_by_patient(examples, SHARES, seed)
        return
    parts = split_by_patient(examples, SHARES, seed)
    assert list(parts) == list(SHARES)
    assert all(parts.values())
    assert sorted(name for part in parts.values() for name in _names(part)) == sorted(_names(examples))
    of = [{example.patient for example in part} for part in parts.values()]
    assert sum(map(len, of)) == len(patients)
    shuffled = chance.sample(examples, len(examples))
    assert split_by_patient(shuffled, SHARES, seed) == parts


@given(_examples(), st.integers(2, 4), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_folds_hold_every_patient_out_once(
    examples: list[Example], number: int, seed: int, chance: random.Random
) -> None:
    patients = {example.patient for example in examples}
    if len(patients) < number:
        with pytest.raises(ConfigError, match=f"at least {number} patients"):
            folds(examples, number, seed)
        return
    held_out = folds(examples, number, seed)
    assert len(held_out) == number
    assert all(held_out)
    assert sorted(name for fold in held_out for name in _names(fold)) == sorted(_names(examples))
    assert sum(len({example.patient for example in fold}) for fold in held_out) == len(patients)
    assert folds(chance.sample(examples, len(examples)), number, seed) == held_out


@given(_examples(), st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_patients_of_one_example_each_are_split_to_the_share(examples: list[Example], seed: int) -> None:
    """Without labels parts differ from their shares by less than one example and the one that fills an empty part."""
    alone = [_example(example.name, InstanceTruth(_nothing, "nucleus")) for example in examples]
    parts = split_by_patient(alone, SHARES, seed)
    for part, share in SHARES.items():
        assert abs(len(parts[part]) - share * len(alone)) < 2


def test_rare_labels_are_in_every_part() -> None:
    truths = [FindingsTruth({"rare": float(i < 10), "common": float(i % 2)}) for i in range(1000)]
    parts = split_by_patient([_example(f"{i}", truth) for i, truth in enumerate(truths)], SHARES, 0)
    there = {
        part: Counter(name for e in members for name, value in _values(e).items() if value)
        for part, members in parts.items()
    }
    assert [there[part]["rare"] for part in SHARES] == [7, 1, 2]
    assert [there[part]["common"] for part in SHARES] == [350, 50, 100]
    assert [len(parts[part]) for part in SHARES] == [700, 100, 200]


def _values(example: Example) -> dict[str, float]:
    assert isinstance(example.truth, FindingsTruth)
    return dict(example.truth.values)


def test_scores_are_spread_by_quarters() -> None:
    examples = [_example(f"{i}", FindingsTruth({"age": float(i)})) for i in range(400)]
    for fold in folds(examples, 4, 1):
        quarters = Counter(int(_values(example)["age"]) // 100 for example in fold)
        assert all(abs(quarters[quarter] - 25) <= 1 for quarter in range(4))


@pytest.mark.parametrize("seed", range(5))
def test_folds_are_as_even_as_those_of_scikit_learn(seed: int) -> None:
    chance = np.random.default_rng(seed)
    sizes = chance.integers(1, 30, 80)
    patients = np.repeat(np.arange(80), sizes)
    classes = np.array([chance.choice(3, p=p) for p in chance.dirichlet((0.5, 0.3, 0.1), 80)[patients]])
    examples = [
        _example(f"{i}", ClassTruth(int(c), CLASSES), f"{p}")
        for i, (c, p) in enumerate(zip(classes, patients, strict=True))
    ]
    theirs = StratifiedGroupKFold(5).split(classes, classes, patients)

    def unevenness(parts: list[list[int]]) -> float:
        shares = np.array([[np.mean(np.array(part) == c) for c in range(3)] for part in parts])
        return float(shares.std(axis=0).mean())

    ours = [[e.truth.index for e in fold if isinstance(e.truth, ClassTruth)] for fold in folds(examples, 5, seed)]
    assert unevenness(ours) <= 1.5 * unevenness([classes[held].tolist() for _, held in theirs]) + 0.01
    assert max(map(len, ours)) - min(map(len, ours)) <= 0.2 * len(examples) / 5 + 30


def test_seeds_differ_and_one_seed_does_not() -> None:
    examples = [_example(f"{i}", ClassTruth(i % 3, CLASSES)) for i in range(60)]
    assert split_by_patient(examples, SHARES, 1) == split_by_patient(examples, SHARES, 1)
    assert split_by_patient(examples, SHARES, 1) != split_by_patient(examples, SHARES, 2)
    assert folds(examples, 3, 1) != folds(examples, 3, 2)


def _given(*splits: Split) -> list[Example]:
    return [_example(f"{i:03d}", ClassTruth(i % 2, CLASSES), split=split) for i, split in enumerate(splits)]


def test_own_parts_are_kept() -> None:
    examples = _given(*["train"] * 10, *["validation"] * 3, *["test"] * 2)  # type: ignore[list-item]
    parts = split_by_patient(examples, SHARES, 0)
    assert {part: {e.split for e in members} for part, members in parts.items()} == {part: {part} for part in SHARES}
    assert {part: len(members) for part, members in parts.items()} == {"train": 10, "validation": 3, "test": 2}


def test_a_part_the_dataset_does_not_give_is_drawn_from_training() -> None:
    examples = _given(*["train"] * 80, *["test"] * 20)  # type: ignore[list-item]
    parts = split_by_patient(examples, SHARES, 0)
    assert {part: len(members) for part, members in parts.items()} == {"train": 70, "validation": 10, "test": 20}
    assert {e.split for e in parts["test"]} == {"test"}
    assert {e.split for e in (*parts["train"], *parts["validation"])} == {"train"}


def test_a_part_that_was_not_asked_for_is_not_used() -> None:
    examples = _given(*["train"] * 8, *["test"] * 2, "", "")  # type: ignore[list-item]
    parts = split_by_patient(examples, {"train": 1, "validation": 1}, 0)
    assert {part: len(members) for part, members in parts.items()} == {"train": 5, "validation": 5}
    assert all(e.split != "test" for members in parts.values() for e in members)


def test_own_parts_can_be_set_aside() -> None:
    examples = _given(*["test"] * 100)  # type: ignore[list-item]
    parts = split_by_patient(examples, SHARES, 0, as_given=False)
    assert {part: len(members) for part, members in parts.items()} == {"train": 70, "validation": 10, "test": 20}
    assert sum(map(len, folds(examples, 2, 0, as_given=False))) == 100
    with pytest.raises(ConfigError, match=r"got 1 patients|at least"):
        folds([*_given("train"), _example("x", ClassTruth(0, CLASSES), "000", "test")], 2, 0)


def test_folds_leave_the_own_test_part_out() -> None:
    examples = _given(*["train"] * 6, *["validation"] * 2, *["test"] * 3)  # type: ignore[list-item]
    held_out = folds(examples, 4, 0)
    assert [len(fold) for fold in held_out] == [2, 2, 2, 2]
    assert {e.split for fold in held_out for e in fold} == {"train", "validation"}


@pytest.mark.parametrize("other", ["test", "validation"])
def test_a_patient_in_two_own_parts_is_refused(other: Split) -> None:
    truth = ClassTruth(0, CLASSES)
    examples = [_example(f"{i}", truth, split="train") for i in range(5)]
    examples += [_example("y", truth, split="validation"), _example("x", truth, "0", other)]
    with pytest.raises(ConfigError, match="got 1 patients"):
        split_by_patient([*examples, _example("z", truth, split="test")], SHARES, 0)


def test_patients_may_be_known_better() -> None:
    examples = [_example(f"{i}", ClassTruth(i % 2, CLASSES)) for i in range(40)]
    fields = {f"{i}": f"field {i // 4}" for i in range(40)}
    for fold in folds(examples, 5, 0, fields):
        assert Counter(Counter(fields[name] for name in _names(fold)).values()) == {4: 2}
    parts = split_by_patient(examples, {"train": 0.5, "test": 0.5}, 0, fields)
    assert not {fields[n] for n in _names(parts["train"])} & {fields[n] for n in _names(parts["test"])}


def test_nothing_gives_nothing_and_nonsense_is_refused() -> None:
    assert split_by_patient([], SHARES, 0) == dict.fromkeys(SHARES, ())
    assert folds([], 3, 0) == ((), (), ())
    with pytest.raises(ValueError, match="above 0"):
        split_by_patient([], {"train": 1.0, "test": 0.0}, 0)
    with pytest.raises(ValueError, match="at least 2"):
        folds([], 1, 0)
