"""PatchCamelyon: `camelyonpatch_level_2_split_{train,valid,test}_{x,y}.h5` and `…_meta.csv` in one folder.

`x` holds patches of 96 x 96 pixels at 0.972 µm, `y` whether there is tumour in the inner 32 x 32 (Veeling et al.,
MICCAI 2018; basveeling/pcam). What a patch was cut from, the column `wsi` of the table, is its patient where
there is a table: the slides of CAMELYON16 are each of another one as far as anybody knows, and patches of one slide
are much alike.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.defects import Defect, DefectCode, Gravity
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, Example, FindingsTruth, Split
from datasets.image import Image, Intensity
from datasets.io.patch_stack import PatchStack
from datasets.layouts._names import split_of
from datasets.layouts._table import read_table
from datasets.study import Loaded, Series, Study

_NAME = "pcam"
_LABEL = "tumor"
_WSI = "wsi"
_FILE = re.compile(r"^(?P<stem>.*split_)?(?P<split>train|valid|val|test)_x\.(?:h5|hdf5)$", re.IGNORECASE)
_BROKEN = (OSError, ValueError, RuntimeError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Patch:
    """Reads one patch; picklable. A file is opened once per process, and stays open.

    Attributes:
        path: Where the patches lie.
        index: In the file.
    """

    path: Path
    index: int

    def __call__(self) -> Loaded:
        """Read it.

        Raises:
            InputRefused: As `PatchStack`, or `unreadable_tile`.
        """
        stat = self.path.stat()
        # A handle that a fork inherits would share the place it reads at.
        stack = _opened(self.path, stat.st_mtime_ns, stat.st_size, os.getpid())
        picture = stack.picture(self.index)
        array = picture.transpose(2, 0, 1)[:, np.newaxis].transpose(0, 3, 2, 1)
        return Loaded(Image(array, Intensity.GREY if array.shape[0] == 1 else Intensity.COLOUR))


@dataclass(frozen=True)
class _Part:
    """The files of one part of the set."""

    x: Path
    split: Split
    word: str

    def beside(self, ending: str) -> Path:
        return self.x.with_name(re.sub(r"_x\.[^.]+$", ending, self.x.name, flags=re.IGNORECASE))


def recognises(path: Path) -> bool:
    """Whether a folder has a file of patches with its labels beside it."""
    return path.is_dir() and any(_labels(part).is_file() for part in _parts(path))


def read(path: Path) -> Dataset:
    """All patches of all parts.

    Args:
        path: The folder.

    Returns:
        A part whose labels are missing, cannot be read or are not as many as its patches is a defect as a whole.

    Raises:
        ConfigError: There is no part.
    """
    parts = _parts(path)
    if not parts:
        raise ConfigError("files such as camelyonpatch_level_2_split_train_x.h5", f"none in {path}", "unpack .gz files")
    examples: list[Example] = []
    defects: list[Defect] = []
    for part in parts:
        try:
            examples += _examples(part, defects)
        except InputRefused as refusal:
            defects.append(_broken(part.x, DefectCode.UNREADABLE_IMAGE, refusal.message))
    return Dataset(path.name, _NAME, tuple(examples), (_LABEL,), tuple(defects))


def _parts(folder: Path) -> list[_Part]:
    found = []
    for file in sorted(folder.iterdir()):
        match = _FILE.match(file.name)
        if match is not None:
            found.append(_Part(file, split_of(match["split"]), match["split"].lower()))
    return sorted(found, key=lambda part: (part.word, part.x.name))


def _labels(part: _Part) -> Path:
    return part.beside(f"_y{part.x.suffix}")


def _examples(part: _Part, defects: list[Defect]) -> Iterator[Example]:
    with PatchStack(part.x, part.x.name) as stack:
        number, (rows, columns, _) = len(stack), stack.shape
    told = f"HDF5, {columns} x {rows} pixels"
    values = _values(part, number, defects)
    if values is None:
        return
    patients = _patients(part, number, defects)
    truths = tuple(FindingsTruth({_LABEL: value}) for value in (0.0, 1.0))
    digits, source = len(str(number - 1)), str(part.x)
    for index, value in enumerate(values.tolist()):
        uid = f"{part.word}-{index:0{digits}d}"
        series = Series(uid, "", told, 1, None, (), None, Patch(part.x, index))
        patient = patients[index] if patients else uid
        yield Example(Study(uid, source, (series,)), truths[value], patient, part.split)


def _values(part: _Part, number: int, defects: list[Defect]) -> NDArray[np.int64] | None:
    """0 or 1 for each patch, or None with the reason told."""
    file = _labels(part)
    if not file.is_file():
        defects.append(_broken(part.x, DefectCode.LABELS_MISSING, f"no {file.name} beside it"))
        return None
    try:
        with h5py.File(file, "r") as opened:
            values = np.asarray(opened["y"]).ravel()
    except _BROKEN as error:
        defects.append(_broken(file, DefectCode.UNREADABLE_LABELS, f"{type(error).__name__}: {error}"))
        return None
    if values.dtype.kind not in "bui" or len(values) != number or not set(np.unique(values)) <= {0, 1}:
        told = f"{len(values)} labels {np.unique(values)[:4].tolist()} for {number} patches"
        defects.append(_broken(file, DefectCode.UNREADABLE_LABELS, told))
        return None
    return values.astype(np.int64)


def _patients(part: _Part, number: int, defects: list[Defect]) -> list[str]:
    """The slide of each patch; none where no table says it."""
    file = part.beside("_meta.csv")
    if not file.is_file():
        return []
    try:
        table = read_table(file)
        if _WSI in table.columns and len(table.rows) == number:
            known: dict[str, str] = {}
            return [known.setdefault(name, name) for name in table.values(_WSI)]
        told = f"{len(table.rows)} rows for {number} patches, columns {', '.join(table.columns)}"
    except ConfigError as error:
        told = error.message
    defects.append(_broken(file, DefectCode.UNREADABLE_LABELS, told, "warning"))
    return []


def _broken(file: Path, code: DefectCode, found: str, gravity: Gravity = "error") -> Defect:
    return Defect(code, gravity, file.name, found, "copy or download it again")


@lru_cache(maxsize=8)
def _opened(path: Path, changed_ns: int, size: int, process: int) -> PatchStack:
    return PatchStack(path, path.name)
