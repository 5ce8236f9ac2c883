"""Fixes, applied to a copy of a dataset in its own layout; the original is never written to."""

import json
import os
import shutil
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from datasets.audit.duplicates import LEAVE_OUT
from datasets.audit.mending import Files, files_in_copy, mend
from datasets.defects import Defect
from datasets.errors import ConfigError, DenseLensError
from datasets.example import Dataset
from datasets.io.atomic import write_text

ALL = "all"
REPORT = "audit.json"
_DESCRIPTION = "dataset.json"
_SCHEMA = 1
# Layouts in which a case is its files, and nothing else names it but `dataset.json`.
_BY_FILES = ("decathlon", "nnunet", "image_mask_pairs", "instance_pictures", "class_folders")


@dataclass(frozen=True)
class Change:
    """What became of one defect in the copy.

    Attributes:
        defect: As it was found in the original.
        done: What was done; "" where nothing was.
        why_not: Why nothing was done; "" where something was.
    """

    defect: Defect
    done: str
    why_not: str = ""


def without(dataset: Dataset, defects: Sequence[Defect]) -> Dataset:
    """The dataset without the examples that a defect says to leave out: copies of others, under other names."""
    out = {defect.where for defect in defects if defect.fix == LEAVE_OUT}
    return replace(dataset, examples=tuple(example for example in dataset.examples if example.name not in out))


def fix_copy(
    dataset: Dataset, root: Path, defects: Sequence[Defect], fixes: Collection[str], out: Path
) -> tuple[Change, ...]:
    """Copy a dataset and put right in the copy what can be.

    Files that are not touched are hard links where the file system allows, which cost no room; a file that is touched
    is written anew under its name, so that the original stays as it is. `audit.json` in the copy tells every change.

    Args:
        dataset: As read from `root`.
        root: Its folder.
        defects: What the audit found.
        fixes: Names of fixes; "all" for every one that a defect names.
        out: The copy's folder, which must not be there yet, outside of `root`.

    Returns:
        One for every defect with a wanted fix, in the order of the defects.

    Raises:
        ConfigError: No defect has the fix, the dataset is no folder, or `out` is there already or lies in `root`.
        OSError: The copy cannot be written.
    """
    wanted = [one for one in defects if one.fix and (ALL in fixes or one.fix in fixes)]
    _check(root, wanted, defects, fixes, out)
    shutil.copytree(root, out, copy_function=_link_or_copy)
    by_name = {example.name: example for example in dataset.examples}
    changes = []
    # What is left out goes last: another fix of the same case would not find its files.
    for defect in sorted(wanted, key=lambda one: one.fix == LEAVE_OUT):
        example = by_name.get(defect.where)
        if example is None:
            changes.append(Change(defect, "", "it is no example of the dataset"))
            continue
        files = files_in_copy(example, root, out)
        try:
            done = _leave_out(dataset, files, out) if defect.fix == LEAVE_OUT else mend(defect.fix, files)
            changes.append(Change(defect, done))
        except DenseLensError as error:
            changes.append(Change(defect, "", error.message))
    ordered = tuple(sorted(changes, key=lambda change: defects.index(change.defect)))
    write_text(out / REPORT, json.dumps(_report(root, ordered), indent=2) + "\n")
    return ordered


def _check(root: Path, wanted: list[Defect], defects: Sequence[Defect], fixes: Collection[str], out: Path) -> None:
    known = sorted({one.fix for one in defects if one.fix})
    missing = [name for name in fixes if name != ALL and name not in known]
    if missing or not wanted:
        got = ", ".join(missing) or "nothing that a fix is known for"
        raise ConfigError(f"a fix that the audit names ({', '.join(known) or 'none'})", got, "see the audit")
    if not root.is_dir():
        raise ConfigError("a dataset in a folder", f"the file {root}", "put it right with the program that wrote it")
    if out.exists() or out.resolve().is_relative_to(root.resolve()):
        raise ConfigError("a new folder outside of the dataset", f"{out}", "choose another --out")


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(Path(source).resolve(), target)
    except OSError:  # Another file system, or one without links.
        shutil.copy2(source, target)
    return target


def _leave_out(dataset: Dataset, files: Files, out: Path) -> str:
    if dataset.layout not in _BY_FILES or files.image is None:
        raise ConfigError(f"a layout of files ({', '.join(_BY_FILES)})", dataset.layout, "leave it out by hand")
    gone = [path for path in (files.image, *files.others, files.labels) if path is not None]
    for path in gone:
        path.unlink(missing_ok=True)
    _forget(out, {path.relative_to(out).as_posix() for path in gone})
    return f"{' and '.join(path.relative_to(out).as_posix() for path in gone)} left out"


def _forget(out: Path, gone: set[str]) -> None:
    """Take cases out of the description, where there is one."""
    path = out / _DESCRIPTION
    if not path.is_file():
        return
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8-sig"))
    listed = told.get("training")
    if isinstance(listed, list):
        told["training"] = [one for one in listed if not _names(one) & gone]
        told["numTraining"] = len(told["training"])
    elif isinstance(told.get("numTraining"), int):
        told["numTraining"] -= 1
    write_text(path, json.dumps(told, indent=2) + "\n")


def _names(entry: object) -> set[str]:
    paths = entry.values() if isinstance(entry, dict) else [entry]
    return {path.removeprefix("./") for path in paths if isinstance(path, str)}


def _report(root: Path, changes: tuple[Change, ...]) -> dict[str, Any]:
    return {"schema": _SCHEMA, "copy_of": root.name, "changes": [asdict(change) for change in changes]}
