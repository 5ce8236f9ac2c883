"""Micrographs in which every object has a number, or a picture of its own.

Two forms are known: `images/` and `labels/` with pictures of the same names, the labels being PNG of 16 bits in which 0
is background and every other value an object; and, as the Data Science Bowl 2018 publishes its first stage, a folder
for each sample with its picture in `images/` and in `masks/` a black and white picture for each nucleus. Either may lie
in folders called train, val and test.

PNGs of 8 bits, a `labels.json` that names classes, or `masks/` at the top hold classes and not objects: they are
another layout's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.codes import RefusalCode
from datasets.defects import Defect, DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, Example, InstanceTruth, Split
from datasets.image import Image, Intensity
from datasets.io.picture import read_picture, read_picture_header
from datasets.io.study_names import named_apart
from datasets.layouts._film_files import PICTURE_SUFFIXES, film_names, film_study
from datasets.layouts._names import split_of, told_briefly

_NAME = "instance_pictures"
_SORT = "nucleus"
_OTHERS = ("labels.json", "dataset.json")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH_AT = 24
_LOOKED_AT = 3


@dataclass(frozen=True)
class NumberedObjects:
    """Reads a picture whose values are numbers of objects; picklable.

    Attributes:
        path: Where it lies.
    """

    path: Path

    def __call__(self) -> Image:
        """The numbers, (1, I, J, 1).

        Raises:
            InputRefused: It cannot be read, or is in colour.
        """
        image = read_picture(self.path).image
        if image.channels != 1:
            raise _dimensions(f"{image.channels} channels in {self.path}")
        return image.like(image.array, Intensity.LABEL)


@dataclass(frozen=True)
class MaskPerObject:
    """Numbers the objects of several black and white pictures; picklable.

    Attributes:
        paths: In the order of their numbers, from 1 on. A pixel of two objects is the first one's.
    """

    paths: tuple[Path, ...]

    def __call__(self) -> Image:
        """The numbers, (1, I, J, 1) uint16.

        Raises:
            InputRefused: One cannot be read, or has another size than the first.
        """
        first = read_picture(self.paths[0]).image
        numbers = np.zeros((1, *first.shape), np.uint16)
        for number, path in enumerate(self.paths, start=1):
            mask = read_picture(path).image
            if mask.shape != first.shape:
                raise _dimensions(f"{mask.shape[:2]} beside {first.shape[:2]} in {path}")
            # Some releases store the black and white pictures in colour.
            numbers[((mask.array > 0).any(axis=0, keepdims=True)) & (numbers == 0)] = number
        return Image(numbers, Intensity.LABEL)


@dataclass(frozen=True)
class _Sample:
    picture: Path
    truth: InstanceTruth
    split: Split
    labels: Path


def recognises(path: Path) -> bool:
    """Whether a folder has one of the two forms; the first labels are looked at for their depth."""
    if not path.is_dir() or any((path / name).exists() for name in _OTHERS):
        return False
    return any(_is_numbered(root) or _samples_with_masks(root) for root, _ in _roots(path))


def read(path: Path) -> Dataset:
    """All pictures with their objects.

    Returns:
        A picture without labels, labels without a picture, what cannot be read and what differs in size are defects.

    Raises:
        ConfigError: There are no pictures.
    """
    defects: list[Defect] = []
    samples: list[_Sample] = []
    for root, split in _roots(path):
        if (root / "labels").is_dir():
            samples += _numbered(root, split, defects)
        else:
            samples += _separate(root, split, defects)
    if not samples and not defects:
        raise ConfigError("images/ with labels/, or samples with masks/", f"none in {path}", "check --data")
    names = film_names([sample.picture.relative_to(path).as_posix() for sample in samples])
    studies = named_apart(film_study(name, sample.picture) for name, sample in zip(names, samples, strict=True))
    examples = []
    for study, sample in zip(studies, samples, strict=True):
        wrong = _wrong(study.uid, sample)
        if wrong is None:
            examples.append(Example(study, sample.truth, study.uid, sample.split))
        else:
            defects.append(wrong)
    by_code = {code: [defect for defect in defects if defect.code is code] for code in DefectCode}
    told = tuple(defect for found in by_code.values() for defect in told_briefly(found, "pictures"))
    return Dataset(path.name, _NAME, tuple(sorted(examples, key=lambda e: e.name)), (_SORT,), told)


def _roots(path: Path) -> list[tuple[Path, Split]]:
    """The folder, or those in it that are parts of the set."""
    parts = [(folder, split_of(folder.name)) for folder in sorted(path.iterdir()) if folder.is_dir()]
    whole: Split = ""
    return [(folder, split) for folder, split in parts if split] or [(path, whole)]


def _is_numbered(root: Path) -> bool:
    if (root / "masks").is_dir() or not (root / "images").is_dir() or not (root / "labels").is_dir():
        return False
    labels = _pictures(root / "labels")[:_LOOKED_AT]
    return bool(labels) and all(_is_deep_png(file) for file in labels)


def _is_deep_png(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            start = opened.read(_PNG_DEPTH_AT + 1)
    except OSError:
        return False
    return start.startswith(_PNG_START) and start[_PNG_DEPTH_AT : _PNG_DEPTH_AT + 1] == b"\x10"


def _samples_with_masks(root: Path) -> bool:
    folders = (folder for folder in root.iterdir() if folder.is_dir() and folder.name not in ("images", "masks"))
    first = next((folder for folder in folders if (folder / "images").is_dir()), None)
    return first is not None and (first / "masks").is_dir() and bool(_pictures(first / "masks"))


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if not file.name.startswith("."))
    return sorted(file for file in files if file.suffix.lower() in PICTURE_SUFFIXES)


def _numbered(root: Path, split: Split, defects: list[Defect]) -> Iterator[_Sample]:
    labels = {file.stem: file for file in _pictures(root / "labels")}
    for picture in _pictures(root / "images"):
        own = labels.pop(picture.stem, None)
        if own is None:
            defects.append(_missing(DefectCode.LABELS_MISSING, picture.stem, "a picture without labels"))
        else:
            yield _Sample(picture, InstanceTruth(NumberedObjects(own), _SORT), split, own)
    defects += [_missing(DefectCode.IMAGE_MISSING, name, "labels without a picture") for name in labels]


def _separate(root: Path, split: Split, defects: list[Defect]) -> Iterator[_Sample]:
    for folder in sorted(entry for entry in root.iterdir() if (entry / "images").is_dir()):
        pictures, masks = _pictures(folder / "images"), tuple(_pictures(folder / "masks"))
        if len(pictures) != 1:
            told = f"{len(pictures)} pictures in the images of a sample"
            defects.append(_missing(DefectCode.IMAGE_MISSING, folder.name, told))
        elif not masks:
            defects.append(_missing(DefectCode.LABELS_MISSING, folder.name, "a sample without masks"))
        else:
            yield _Sample(pictures[0], InstanceTruth(MaskPerObject(masks), _SORT), split, masks[0])


def _missing(code: DefectCode, where: str, found: str) -> Defect:
    return Defect(code, "error", where, found, "add what is missing, or take the rest away")


def _wrong(name: str, sample: _Sample) -> Defect | None:
    """What headers tell of a picture and its labels."""
    sizes = []
    for file, code in ((sample.picture, DefectCode.UNREADABLE_IMAGE), (sample.labels, DefectCode.UNREADABLE_LABELS)):
        try:
            header = read_picture_header(file)
        except InputRefused as refusal:
            return Defect(code, "error", name, refusal.message, refusal.advice)
        sizes.append((header.columns, header.rows))
    if sizes[0] == sizes[1]:
        return None
    told = "labels of {2} x {3} pixels for a picture of {0} x {1}".format(*sizes[0], *sizes[1])
    return Defect(DefectCode.GEOMETRY_MISMATCH, "error", name, told, "label the picture itself")


def _dimensions(got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSUPPORTED_DIMENSIONS,
        "labels of one channel and one size",
        got,
        "write a number for each object into a grey PNG of 16 bits",
    )
