"""Many small pictures in a NumPy archive, as MedMNIST keeps them: each is a study of its own."""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study

SUFFIXES = (".npz",)

# "train_images", "images", and "x_test" as others call it; labels lie beside under other names.
_SETS = re.compile(r"^(?:(?P<before>\w+)_images|images|x|x_(?P<behind>\w+))\.npy$")
_MOST_PICTURES = 500_000
_LARGEST_BYTES = 2**31
_LARGEST_RATIO = 1000
_RATIO_FROM_BYTES = 2**26
_LONGEST_HEADER = 10_000
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    ValueError,
    EOFError,
    struct.error,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class PictureSet:
    """One array of pictures in an archive.

    Attributes:
        path: The archive.
        name: What the caller calls it.
        member: The array's name within.
        split: "train", "test" …, or "" where the array does not say.
        shape: (pictures, rows, columns) or (pictures, rows, columns, 1 or 3).
    """

    path: Path
    name: str
    member: str
    split: str
    shape: tuple[int, ...]

    def pictures(self) -> NDArray[np.uint8]:
        """All pictures, (pictures, rows, columns, 1 or 3), read-only; kept until another array is asked for.

        Raises:
            InputRefused: `unreadable_file`, `truncated_file`.
        """
        stat = self.path.stat()
        return _loaded(self, stat.st_mtime_ns, stat.st_size)


@dataclass(frozen=True)
class _Picture:
    """Reads one picture; picklable."""

    among: PictureSet
    index: int

    def __call__(self) -> Loaded:
        picture = self.among.pictures()[self.index]
        array = np.ascontiguousarray(picture.transpose(2, 0, 1))[:, np.newaxis].transpose(0, 3, 2, 1)
        return Loaded(Image(array, Intensity.GREY if array.shape[0] == 1 else Intensity.COLOUR))


def picture_studies(path: Path, source: str) -> tuple[Study, ...]:
    """One study per picture of an archive, named `<file>-<split>-<index>`; only headers are read.

    Args:
        path: A .npz with arrays such as `test_images`, uint8 (pictures, rows, columns) or with 1 or 3 channels last.
            Labels in it are not looked at.
        source: What the caller calls it.

    Returns:
        In the order of the archive, at least one.

    Raises:
        InputRefused: `unreadable_file` (no archive, no pictures in it, arrays that would have to be unpickled),
            `truncated_file`, `unsafe_archive` (more pictures or bytes than any set has), `unsupported_dimensions`,
            `empty_image`.
    """
    sets = _sets(path, source)
    if sum(found.shape[0] for found in sets) > _MOST_PICTURES:
        raise _unsafe(source, f"at most {_MOST_PICTURES} pictures", f"{sum(found.shape[0] for found in sets)}")
    return tuple(_study(found, index) for found in sets for index in range(found.shape[0]))


def _study(among: PictureSet, index: int) -> Study:
    digits = len(str(among.shape[0] - 1))
    parts = [among.path.stem, among.split, f"{index:0{digits}d}"]
    uid = "-".join(part for part in parts if part)
    colour = "colour" if among.shape[3:] == (3,) else "grey"
    series = Series(
        uid=uid,
        modality="",
        description=f"NPZ, {among.shape[2]} x {among.shape[1]} pixels, {colour}",
        images=1,
        grid=None,
        repairs=(),
        refusal=None,
        read=_Picture(among, index),
    )
    return Study(uid, among.name, (series,))


def _sets(path: Path, source: str) -> list[PictureSet]:
    found = []
    with _told(source), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            match = _SETS.match(info.filename)
            if match is not None:
                split = match["before"] or match["behind"] or ""
                found.append(PictureSet(path, source, info.filename, split, _shape(archive, info, source)))
        names = ", ".join(archive.namelist()[:8])
    if not found:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            "an archive with pictures in an array such as test_images",
            f"{names or 'nothing'} in {source}",
            "name the array of pictures images, or <split>_images",
        )
    return found


def _shape(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: str) -> tuple[int, ...]:
    """The shape an array claims, once its claims are found to be possible."""
    with archive.open(info) as member:
        version = npy.read_magic(member)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(member, max_header_size=_LONGEST_HEADER)
        there = info.file_size - member.tell()
    if dtype.hasobject:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            "arrays of numbers",
            f"Python objects in {info.filename} of {source}, which could run any program when they are read",
            "write the pictures as uint8",
        )
    if dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)):
        raise InputRefused(
            RefusalCode.UNSUPPORTED_DIMENSIONS,
            "uint8 (pictures, rows, columns) or (pictures, rows, columns, 1 or 3)",
            f"{dtype} {shape} in {info.filename} of {source}",
            "write the pictures in this layout, volumes as NIfTI",
        )
    if 0 in shape:
        raise InputRefused(RefusalCode.EMPTY_IMAGE, "pictures", f"{shape} in {info.filename} of {source}", "check it")
    wanted = int(np.prod(shape, dtype=object))
    if wanted > _LARGEST_BYTES or (there > _RATIO_FROM_BYTES and there > _LARGEST_RATIO * max(info.compress_size, 1)):
        raise _unsafe(source, f"at most {_LARGEST_BYTES} bytes per array", f"{wanted} in {info.filename}")
    if there != wanted:
        raise _truncated(source, f"{there} of {wanted} bytes in {info.filename}")
    return tuple(int(n) for n in shape)


# One array at a time: splits follow each other, and sets of large pictures fill a gigabyte.
@lru_cache(maxsize=1)
def _loaded(found: PictureSet, changed_ns: int, size: int) -> NDArray[np.uint8]:
    with _told(found.name), zipfile.ZipFile(found.path) as archive:
        info = archive.getinfo(found.member)
        # The file may have been exchanged since its headers were read.
        if _shape(archive, info, found.name) != found.shape:
            raise _truncated(found.name, f"another array {found.member} than before")
        with archive.open(info) as member:
            pictures = npy.read_array(member, allow_pickle=False, max_header_size=_LONGEST_HEADER)
    pictures = np.asarray(pictures, dtype=np.uint8).reshape(*found.shape[:3], -1)
    pictures.setflags(write=False)
    return pictures


@contextmanager
def _told(source: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            "a NumPy archive",
            f"{source} ({type(error).__name__}: {error})",
            "copy or download the file again",
        ) from error


def _truncated(source: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.TRUNCATED_FILE, "whole arrays", f"{got} of {source}", "copy or download the file again"
    )


def _unsafe(source: str, expected: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSAFE_ARCHIVE, f"an archive of {expected}", f"{got} of {source}", "cut it into several"
    )
