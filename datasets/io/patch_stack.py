"""Many small pictures in one HDF5 file, as PatchCamelyon keeps them: read in batches, never as a whole."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.study import Loaded, Series

SUFFIXES = (".h5", ".hdf5")

_PICTURES, _LABELS = "x", "y"
_LONGEST_SIDE_PX = 4096
_LARGEST_CHUNK_BYTES = 2**28
# What h5py raises on damaged files.
_BROKEN = (OSError, ValueError, RuntimeError, KeyError, TypeError, OverflowError)


class PatchStack:
    """Pictures of one size, open for reading; to be used in a `with` block.

    Args:
        path: An HDF5 file with a dataset `x`, uint8 (pictures, rows, columns) or (pictures, rows, columns, 1 or 3).
        name: What the caller calls it.

    Raises:
        InputRefused: `unreadable_file`, `no_pixel_data`, `unsupported_dimensions`, `empty_image`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        try:
            self._file = h5py.File(path, "r")
        except _BROKEN as error:
            raise _unreadable(name, f"{error}") from error
        try:
            self._pictures = _pictures(self._file, name)
        except _BROKEN as error:
            self._file.close()
            raise _unreadable(name, f"{type(error).__name__}: {error}") from error
        except InputRefused:
            self._file.close()
            raise

    def __len__(self) -> int:
        return int(self._pictures.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of each picture, (rows, columns, channels)."""
        rows, columns, *channels = self._pictures.shape[1:]
        return int(rows), int(columns), int(channels[0]) if channels else 1

    def batches(self, size: int) -> Iterator[NDArray[np.uint8]]:
        """All pictures in their order.

        Args:
            size: Pictures per batch; the last one may have fewer.

        Yields:
            uint8 (pictures, rows, columns, channels).

        Raises:
            InputRefused: `unreadable_tile`: a batch cannot be decoded.
            ValueError: The size is below 1.
        """
        if size < 1:
            raise ValueError(f"expected at least one picture per batch; got {size}")
        for start in range(0, len(self), size):
            try:
                batch = np.asarray(self._pictures[start : start + size])
            except _BROKEN as error:
                raise InputRefused(
                    RefusalCode.UNREADABLE_TILE,
                    "pictures that can be decoded",
                    f"{type(error).__name__} in pictures {start} to {start + size - 1} of {self.name}",
                    "copy or download the file again",
                ) from error
            yield batch.reshape(-1, *self.shape)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One picture, (rows, columns, channels).

        Raises:
            InputRefused: `unreadable_tile`: it cannot be decoded.
        """
        try:
            return np.asarray(self._pictures[index]).reshape(self.shape)
        except _BROKEN as error:
            raise InputRefused(
                RefusalCode.UNREADABLE_TILE,
                "a picture that can be decoded",
                f"{type(error).__name__} in picture {index} of {self.name}",
                "copy or download the file again",
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class StackFile:
    """Opens a file of pictures; picklable.

    Attributes:
        path: Where it lies.
        name: What the caller calls it.
    """

    path: Path
    name: str

    def __call__(self) -> PatchStack:
        """Open it.

        Raises:
            InputRefused: As `PatchStack`.
        """
        return PatchStack(self.path, self.name)

    def read(self) -> Loaded:
        """Refuse to be one image.

        Raises:
            InputRefused: `wrong_modality`.
        """
        raise InputRefused(
            RefusalCode.WRONG_MODALITY,
            "one image",
            f"a file of many, {self.name}",
            "score it with --task histopathology",
        )


def holds_labels_alone(path: Path) -> bool:
    """Whether an HDF5 file holds labels of pictures that lie in another one, as PatchCamelyon has them."""
    try:
        with h5py.File(path, "r") as file:
            return _LABELS in file and _PICTURES not in file
    except _BROKEN:
        return False


def stack_series(file: Path, source: str, uid: str) -> Series:
    """The series of one file of pictures, which are scored together.

    Args:
        file: Where the file lies.
        source: What the caller calls it.
        uid: The series' name.

    Raises:
        InputRefused: As `PatchStack`.
    """
    opener = StackFile(file, source)
    with closing(opener()) as stack:
        rows, columns, channels = stack.shape
        colour = "colour" if channels == 3 else "grey"
        return Series(
            uid=uid,
            modality="",
            description=f"HDF5, {len(stack)} pictures of {columns} x {rows} pixels in {colour}, um per pixel unknown",
            images=len(stack),
            grid=None,
            repairs=(),
            refusal=None,
            read=opener.read,
            stack=opener,
        )


def _pictures(file: h5py.File, name: str) -> h5py.Dataset:
    # A link may lead to any file of this machine, a virtual or external dataset too.
    if not isinstance(file.get(_PICTURES, getlink=True), h5py.HardLink):
        raise _unreadable(name, f"no dataset {_PICTURES!r} of its own among {sorted(file)[:8]}")
    found = file[_PICTURES]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise _unreadable(name, f"{_PICTURES!r}, which is no dataset of its own")
    shape = found.shape or ()
    if found.dtype != np.uint8 or len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)):
        raise _dimensions(name, f"{found.dtype} {shape}")
    if 0 in shape:
        raise InputRefused(RefusalCode.EMPTY_IMAGE, "pictures", f"{shape} in {name}", "check the file")
    if max(shape[1:3]) > _LONGEST_SIDE_PX or np.prod(found.chunks or (1,), dtype=object) > _LARGEST_CHUNK_BYTES:
        raise _dimensions(name, f"{shape} in chunks of {found.chunks}")
    if found.id.get_storage_size() == 0:
        raise InputRefused(RefusalCode.NO_PIXEL_DATA, "pictures", f"{shape} without a byte in {name}", "check the file")
    return found


def _dimensions(name: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSUPPORTED_DIMENSIONS,
        f"uint8 (pictures, rows, columns, 1 or 3), rows and columns at most {_LONGEST_SIDE_PX}",
        f"{got} in {name}",
        "write the pictures in this layout",
    )


def _unreadable(name: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        f"an HDF5 file with pictures in its dataset {_PICTURES!r}",
        f"{got} in {name}",
        "check the file, or write the pictures in this layout",
    )
