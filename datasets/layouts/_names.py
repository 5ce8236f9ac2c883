"""What names of files, folders and columns say, read in one way by all layouts."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePosixPath

from datasets.defects import Defect
from datasets.example import Split

# Of many defects of one kind as many are told one by one.
MOST_TOLD = 20

_SPLITS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}
# CheXpert and MURA name folders "patient00001"; Kermany's chest films are "person1_bacteria_1.jpeg", and count the
# persons with bacteria and those with a virus apart.
_PATIENT = re.compile(r"^(?:patient|person)[-_]?\d+(?:_(?:bacteria|virus)(?=_\d))?(?![a-z\d])", re.IGNORECASE)


# Tables of a hundred thousand films say the same few things over and over.
@lru_cache(maxsize=65536)
def plain(name: str) -> str:
    """A name in snake case: "Pleural Effusion" is `pleural_effusion`; "" where it has no letter or digit."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


def split_of(name: str) -> Split:
    """The part of a dataset that a folder, an array or a cell names; "" where it is none."""
    return _SPLITS.get(name.strip().lower(), "")


def split_among(name: str) -> Split:
    """The part of a dataset that a word of a longer name is, as in "train_labeled_studies"; "" for none or several."""
    found = {split for word in plain(name).split("_") if (split := split_of(word))}
    return found.pop() if len(found) == 1 else ""


def patient_in(path: str) -> str:
    """The patient whose number a path tells.

    Args:
        path: With "/" between folders. A folder or the file counts when it begins with "patient" or "person" and a
            number; the innermost one does.

    Returns:
        That beginning, "patient00001" or "person1_bacteria"; "" where there is none.
    """
    for part in reversed(PurePosixPath(path).parts):
        found = _PATIENT.match(part)
        if found is not None:
            return found[0]
    return ""


def told_briefly(defects: Sequence[Defect], noun: str) -> tuple[Defect, ...]:
    """The first defects one by one, and one that counts the others.

    Args:
        defects: All of one code; none gives none.
        noun: What the others are called, "films".
    """
    if len(defects) <= MOST_TOLD:
        return tuple(defects)
    others = len(defects) - MOST_TOLD
    last = replace(defects[MOST_TOLD], where="", found=f"{others} further {noun} of which the same is true", fix="")
    return (*defects[:MOST_TOLD], last)
