"""Arrays in a NumPy archive: their shapes at no cost, their numbers within bounds, never a pickle."""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Array, Image, Intensity
from datasets.study import Loaded

_LARGEST_BYTES = 2**31
_LONGEST_HEADER = 10_000
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, struct.error, NotImplementedError),
    *(RuntimeError, KeyError),
)


def array_shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    """The shape that each array of an archive claims, by its name without ".npy".

    Raises:
        InputRefused: `unreadable_file`.
    """
    shapes = {}
    with _told(path), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                with archive.open(info) as member:
                    version = npy.read_magic(member)
                    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                    shape, _, _ = read(member, max_header_size=_LONGEST_HEADER)
                shapes[info.filename.removesuffix(".npy")] = tuple(int(n) for n in shape)
    return shapes


def read_array(path: Path, name: str) -> Array:
    """The numbers of one array.

    Raises:
        InputRefused: `unreadable_file` (no such array, damage, Python objects), `unsafe_archive` (too large).
    """
    with _told(path), zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
        if info.file_size > _LARGEST_BYTES:
            raise InputRefused(
                RefusalCode.UNSAFE_ARCHIVE,
                f"arrays of at most {_LARGEST_BYTES} bytes",
                f"{info.file_size} in {name} of {path.name}",
                "cut it into several",
            )
        with archive.open(info) as member:
            array: Array = npy.read_array(member, allow_pickle=False, max_header_size=_LONGEST_HEADER)
            return array


@dataclass(frozen=True, slots=True)
class SmallVolume:
    """Reads one volume of an array of them; picklable.

    Attributes:
        path: Of the archive.
        name: Of the array, (volumes, slices, rows, columns) uint8.
        index: In the array.
    """

    path: Path
    name: str
    index: int

    def __call__(self) -> Loaded:
        """Read it.

        Raises:
            InputRefused: As `read_array`, or `unsupported_dimensions`.
        """
        stat = self.path.stat()
        volumes = _volumes(self.path, self.name, stat.st_mtime_ns, stat.st_size)
        return Loaded(Image.from_slices(volumes[self.index], Intensity.GREY))


# One array at a time, as of pictures: splits follow each other.
@lru_cache(maxsize=1)
def _volumes(path: Path, name: str, changed_ns: int, size: int) -> NDArray[np.uint8]:
    volumes = read_array(path, name)
    if volumes.ndim != 4 or volumes.dtype != np.uint8:
        raise InputRefused(
            RefusalCode.UNSUPPORTED_DIMENSIONS,
            "uint8 (volumes, slices, rows, columns)",
            f"{volumes.dtype} {volumes.shape} in {name} of {path.name}",
            "write the volumes in this layout",
        )
    return volumes


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            "a NumPy archive of numbers",
            f"{path.name} ({type(error).__name__}: {error})",
            "copy or download the file again",
        ) from error
