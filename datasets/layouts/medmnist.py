"""MedMNIST: pictures or small volumes and their labels in one .npz (`train_images`, `train_labels`, `val_…`, `test_…`).

Labels (pictures, 1) are classes, (pictures, k) findings, fractions scores. What they are called is said by, in this
order: a `labels.json` beside the file, a list of names or an object from value to name; the file's name where it is a
published one, with or without the length of a side ("pneumoniamnist_64"); the beginning of its name where that is a
set's own word ("pneumonia…") and all its parts have exactly as many pictures as that set's, so that a repacked file
keeps its names and another set of pneumonias does not get them; otherwise they are called by digits.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.defects import Defect, DefectCode
from datasets.downloads.medmnist import MEDMNIST
from datasets.errors import ConfigError, InputRefused
from datasets.example import ClassTruth, Dataset, Example, FindingsTruth, Truth
from datasets.image import Array
from datasets.io.picture_set import picture_studies
from datasets.layouts._arrays import SmallVolume, array_shapes, read_array
from datasets.layouts._names import plain, split_of, told_briefly
from datasets.study import Series, Study

_NAME = "medmnist"
_SUFFIX = ".npz"
_IMAGES = re.compile(r"^(?:(?P<split>\w+)_)?images$")
_NAMES_FILE = "labels.json"
_LONGEST_NAMES_BYTES = 2**20
_SCORE = "score"
_SIZES = re.compile(r"_(?:28|64|128|224)$")


@dataclass(frozen=True)
class _Part:
    """Pictures with their labels."""

    images: str
    word: str
    shape: tuple[int, ...]
    labels: Array


def recognises(path: Path) -> bool:
    """Whether a file, or the only .npz of a folder, has images and labels beside them."""
    file = _file(path)
    try:
        shapes = array_shapes(file) if file is not None else {}
    except InputRefused:
        return False
    return any(_IMAGES.match(name) and _labels_of(name) in shapes for name in shapes)


def read(path: Path) -> Dataset:
    """All pictures that have labels.

    Args:
        path: An .npz, or a folder that holds one and no other.

    Returns:
        Images without labels, labels of another number, and labels that are none of the classes are defects.

    Raises:
        ConfigError: There is no such file, it cannot be read, or `labels.json` is no list of names.
    """
    file = _file(path)
    if file is None:
        raise ConfigError("an .npz, or a folder with one", f"{path}", "name the file")
    defects: list[Defect] = []
    try:
        shapes = array_shapes(file)
        parts = [part for name in shapes if (part := _part(file, name, shapes, defects)) is not None]
        studies = _studies(file, shapes)
    except InputRefused as refusal:
        raise ConfigError(refusal.expected, refusal.got, refusal.advice) from refusal
    names = _names(file, parts)
    unknown: list[Defect] = []
    examples: list[Example] = []
    for part in parts:
        truths = _truths(part.labels, names)
        for index, truth in enumerate(truths):
            study = studies[_uid(file, part.word, index, part.shape[0])]
            if truth is None:
                told = f"label {part.labels[index].tolist()}, which is none of {len(names)} classes"
                unknown.append(Defect(DefectCode.UNKNOWN_LABEL, "error", study.uid, told, f"correct {_NAMES_FILE}"))
            else:
                examples.append(Example(study, truth, study.uid, split_of(part.word)))
    ordered = tuple(sorted(examples, key=lambda example: example.name))
    return Dataset(file.stem, _NAME, ordered, names, (*defects, *told_briefly(unknown, "pictures")))


def _file(path: Path) -> Path | None:
    if path.is_dir():
        files = [file for file in path.iterdir() if file.suffix.lower() == _SUFFIX and not file.name.startswith(".")]
        return files[0] if len(files) == 1 else None
    return path if path.suffix.lower() == _SUFFIX and path.is_file() else None


def _labels_of(images: str) -> str:
    return f"{images.removesuffix('images')}labels"


def _part(file: Path, name: str, shapes: Mapping[str, tuple[int, ...]], defects: list[Defect]) -> _Part | None:
    match = _IMAGES.match(name)
    if match is None:
        return None
    if _labels_of(name) not in shapes:
        told = f"{shapes[name][0]} pictures without {_labels_of(name)}"
        defects.append(Defect(DefectCode.LABELS_MISSING, "warning", name, told, "add them, or do without"))
        return None
    labels = read_array(file, _labels_of(name))
    number = shapes[name][0]
    if labels.ndim not in (1, 2) or len(labels) != number or labels.dtype.kind not in "buif":
        told = f"{labels.dtype} {labels.shape} as labels of {number} pictures"
        defects.append(Defect(DefectCode.UNREADABLE_LABELS, "error", name, told, "write a row for each picture"))
        return None
    return _Part(name, match["split"] or "", shapes[name], labels.reshape(number, -1))


def _studies(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Study]:
    """By uid, with nothing read but headers."""
    images = {name: shape for name, shape in shapes.items() if _IMAGES.match(name)}
    if all(_is_volumes(shape) for shape in images.values()):
        return {
            study.uid: study
            for name, shape in images.items()
            for study in _volume_studies(file, name, (shape[0], shape[1], shape[2], shape[3]))
        }
    return {study.uid: study for study in picture_studies(file, str(file))}


def _is_volumes(shape: tuple[int, ...]) -> bool:
    # A fourth axis of 1 or 3 is colour.
    return len(shape) == 4 and shape[3] not in (1, 3)


def _volume_studies(file: Path, name: str, shape: tuple[int, int, int, int]) -> list[Study]:
    number, slices, rows, columns = shape
    told = f"NPZ, {columns} x {rows} x {slices} voxels"
    word = name.removesuffix("images").rstrip("_")
    studies = []
    for index in range(number):
        uid = _uid(file, word, index, number)
        series = Series(uid, "", told, slices, None, (), None, SmallVolume(file, name, index))
        studies.append(Study(uid, str(file), (series,)))
    return studies


def _uid(file: Path, word: str, index: int, number: int) -> str:
    """As `picture_studies` calls them."""
    return "-".join(part for part in (file.stem, word, f"{index:0{len(str(number - 1))}d}") if part)


def _names(file: Path, parts: list[_Part]) -> tuple[str, ...]:
    """What the labels are called, in the order of their values."""
    columns = max((part.labels.shape[1] for part in parts), default=1)
    if columns == 1 and any(_has_fractions(part.labels) for part in parts):
        return (_SCORE,)
    told = _told_names(file.with_name(_NAMES_FILE)) or _published(file.stem, parts)
    if told:
        return told
    largest = max((int(part.labels.max()) for part in parts if part.labels.size), default=0)
    return tuple(str(value) for value in range(columns if columns > 1 else largest + 1))


def _told_names(file: Path) -> tuple[str, ...]:
    if not file.is_file():
        return ()
    try:
        if file.stat().st_size > _LONGEST_NAMES_BYTES:
            raise ValueError("too long for names")
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            found = [found[str(value)] for value in range(len(found))]
        if not isinstance(found, list):
            raise TypeError("neither a list nor an object")
        names = tuple(plain(name) for name in found if isinstance(name, str))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _bad_names(file, f"{type(error).__name__}: {error}") from error
    if not all(names) or len(names) != len(found) or len(set(names)) != len(names):
        raise _bad_names(file, f"{found}")
    return names


def _published(stem: str, parts: list[_Part]) -> tuple[str, ...]:
    name = _SIZES.sub("", stem.lower())
    if name in MEDMNIST:
        return tuple(plain(one) for one in MEDMNIST[name].classes)
    for known, facts in MEDMNIST.items():
        word = known.partition("mnist")[0]
        samples = dict(zip(("train", "validation", "test"), facts.samples, strict=True))
        same = all(samples.get(split_of(part.word)) == part.shape[0] for part in parts)
        if name.startswith(word) and same and parts:
            return tuple(plain(one) for one in facts.classes)
    return ()


def _truths(labels: Array, names: tuple[str, ...]) -> list[Truth | None]:
    """What rows of labels say; None for one that is no class, or neither 0 nor 1."""
    if names == (_SCORE,):
        return [FindingsTruth({_SCORE: float(row[0])}) if np.isfinite(row[0]) else None for row in labels]
    if labels.shape[1] == 1:
        classes: list[Truth] = [ClassTruth(index, names) for index in range(len(names))]
        values = [float(row[0]) for row in labels]
        return [classes[int(value)] if value in range(len(names)) else None for value in values]
    if labels.shape[1] != len(names):
        return [None] * len(labels)
    return [
        FindingsTruth(dict(zip(names, map(float, row), strict=True))) if set(row) <= {0, 1} else None
        for row in labels.tolist()
    ]


def _has_fractions(labels: Array) -> bool:
    return labels.dtype.kind == "f" and bool((labels != np.rint(labels)).any())


def _bad_names(file: Path, got: str) -> ConfigError:
    return ConfigError(
        'names of labels, ["normal", "pneumonia"] or {"0": "normal", "1": "pneumonia"}',
        f"{got} in {file.name}",
        "correct it",
    )
