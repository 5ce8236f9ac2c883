"""Films in a folder for each class: `train/NORMAL/*.jpeg`, `val/…`, `test/…`, or `classA/…`, `classB/…` at once.

A class is the folder's name in snake case, and classes are sorted by it, as torchvision's ImageFolder does. The patient
is told by names that begin with "patient" or "person" and a number (`_names.patient_in`), as in Kermany's chest films;
otherwise every film is taken for a patient of its own, which the dataset cannot say better.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.defects import Defect, DefectCode
from datasets.errors import ConfigError
from datasets.example import ClassTruth, Dataset, Example, Split
from datasets.io.study_names import named_apart
from datasets.layouts import film_table
from datasets.layouts._film_files import FILM_SUFFIXES, PICTURE_SUFFIXES, film_names, film_study
from datasets.layouts._names import patient_in, plain, split_of

_NAME = "class_folders"
# Folders of these names hold one half of a dataset and no class.
_NO_CLASS = frozenset({"images", "labels", "masks", "imagestr", "labelstr", "imagests", "labelsts", "annotations"})


@dataclass(frozen=True)
class _ClassFolder:
    path: Path
    name: str
    split: Split


def recognises(path: Path) -> bool:
    """Whether a folder has pictures in two class folders or more, and no table, masks or description beside them."""
    if not path.is_dir() or (path / "dataset.json").exists() or film_table.recognises(path):
        return False
    found = [folder for folder in _folders(path) if _has(folder.path, PICTURE_SUFFIXES)]
    names = {folder.name for folder in found}
    return len(names) > 1 and not names & _NO_CLASS


def read(path: Path) -> Dataset:
    """All films of all classes; DICOM (.dcm) counts as well when the layout is asked for by name.

    Args:
        path: The folder.

    Returns:
        A class folder without a film is told.

    Raises:
        ConfigError: There are fewer than two classes.
    """
    folders = list(_folders(path))
    films = {folder: _films(folder.path) for folder in folders}
    classes = tuple(sorted({folder.name for folder in folders if films[folder]}))
    if len(classes) < 2:
        found = ", ".join(classes) or "none"
        raise ConfigError("a folder of films for each of two classes or more", f"{found} in {path}", "check --data")
    found_in = [(film, folder) for folder in folders for film in films[folder]]
    names = film_names([film.relative_to(path).as_posix() for film, _ in found_in])
    studies = named_apart(film_study(name, film) for name, (film, _) in zip(names, found_in, strict=True))
    truths = {name: ClassTruth(index, classes) for index, name in enumerate(classes)}
    examples = [
        Example(study, truths[folder.name], patient_in(film.name) or study.uid, folder.split)
        for study, (film, folder) in zip(studies, found_in, strict=True)
    ]
    ordered = tuple(sorted(examples, key=lambda example: example.name))
    return Dataset(
        path.name, _NAME, ordered, classes, tuple(_empty(folder, path) for folder in folders if not films[folder])
    )


def _folders(root: Path) -> Iterator[_ClassFolder]:
    """Class folders by path; where folders are called train, val or test, those within them."""
    parts = [(folder, split_of(folder.name)) for folder in _subfolders(root)]
    whole: Split = ""
    if not any(split for _, split in parts):
        parts = [(root, whole)]
    for part, split in parts:
        if split or part == root:
            yield from (_ClassFolder(folder, plain(folder.name), split) for folder in _subfolders(part))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__")))


def _films(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.name.lower().endswith(FILM_SUFFIXES) and not f.name.startswith("."))


def _has(folder: Path, suffixes: tuple[str, ...]) -> bool:
    return any(file.name.lower().endswith(suffixes) and not file.name.startswith(".") for file in folder.iterdir())


def _empty(folder: _ClassFolder, root: Path) -> Defect:
    where = folder.path.relative_to(root).as_posix()
    return Defect(DefectCode.IMAGE_MISSING, "warning", where, "a class folder without a film", "fill or remove it")
