"""Which examples are learnt from, and which are held back."""

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from datasets.errors import ConfigError
from datasets.example import Dataset, Split
from datasets.splits import folds, split_by_patient

PARTS = "parts.json"


@dataclass(frozen=True)
class Parts:
    """Names of examples.

    Attributes:
        train: Learnt from.
        validation: Held back, and looked at while training.
        test: Not touched at all.
    """

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str] = frozenset()

    @property
    def digest(self) -> str:
        """Sha256 of the parts."""
        return sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """For a file; the same parts give the same text."""
        told = {name: sorted(getattr(self, name)) for name in ("train", "validation", "test")}
        return json.dumps(told, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Parts":
        """Read back.

        Raises:
            ValueError: It is no such text.
        """
        told = json.loads(text)
        if not isinstance(told, dict):
            raise ValueError(f"expected an object; got {type(told).__name__}")
        return cls(*(frozenset(map(str, told.get(name, ()))) for name in ("train", "validation", "test")))


def with_parts(dataset: Dataset, parts: Parts) -> Dataset:
    """A dataset as a training divided it; examples that had no part in it keep their split.

    Args:
        dataset: Perhaps another one than was trained on: names decide.
        parts: Of the training.
    """
    split: dict[str, Split] = {}
    parted: tuple[tuple[Split, frozenset[str]], ...]
    parted = (("test", parts.test), ("validation", parts.validation), ("train", parts.train))
    for part, names in parted:
        split.update(dict.fromkeys(names, part))
    examples = tuple(replace(one, split=split.get(one.name, one.split)) for one in dataset.examples)
    return replace(dataset, examples=examples)


def parts_beside(weights: Path) -> Parts | None:
    """What the training that made a weights file learnt from and held back; None where nothing tells.

    Raises:
        ConfigError: The file that tells is damaged.
    """
    path = weights.parent / PARTS
    if not path.is_file():
        return None
    try:
        return Parts.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{PARTS} as a training wrote it", f"{path}: {error}", "restore it, or remove it") from error


def parts_of(dataset: Dataset, share: float, seed: int, fold: int | None, count: int) -> Parts:
    """The set's own parts where it has them; else patients by share, or by fold.

    With a fold, what the set itself gives to validation is learnt from as well; its test part is never touched.

    Raises:
        ConfigError: Nothing is left to learn from, or there is no such fold.
    """
    test = frozenset(one.name for one in dataset.examples if one.split == "test")
    own = frozenset(one.name for one in dataset.examples if one.split == "validation")
    learnable = [one for one in dataset.examples if one.split != "test"]
    if fold is not None:
        if not 0 <= fold < count:
            raise ConfigError(f"a fold from 0 to {count - 1}", str(fold), "correct --fold")
        held = frozenset(one.name for one in folds(learnable, count, seed)[fold])
    elif own:
        held = own
    elif share > 0.0:
        shares: dict[Split, float] = {"train": 1.0 - share, "validation": share}
        held = frozenset(one.name for one in split_by_patient(learnable, shares, seed)["validation"])
    else:
        held = frozenset()
    learnt = frozenset(one.name for one in learnable) - held
    if not learnt:
        got = f"{len(dataset.examples)} in {dataset.name}, of which {len(held)} are held back and {len(test)} for tests"
        raise ConfigError("examples to learn from", got, "lower training.validation.share, or add data")
    return Parts(learnt, held, test)
