"""DICOM whole slide microscopy, tile by tile, through wsidicom."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGBaseline8Bit
from wsidicom import errors
from wsidicom.file import WsiDicomFileSource
from wsidicom.file.wsidicom_file_image_data import WsiDicomFileImageData
from wsidicom.geometry import Point

from datasets.codes import RefusalCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.io.dicom.instance import lenient
from datasets.io.seg_carriers import IDENTITY
from datasets.io.slide.nonsense import NONSENSE
from datasets.io.slide.strict_jpeg import StrictJpeg, has_end
from datasets.slide import Slide, levels_of
from datasets.slide_sampling import Pixels

# It writes to a terminal of its own about each file it passes over; that it did is found out below.
logging.getLogger("wsidicom").addHandler(logging.NullHandler())
_LONGEST_TILE_PX = 8192
_OF_WSIDICOM = (
    errors.WsiDicomError,
    errors.WsiDicomFileError,
    errors.WsiDicomMatchError,
    errors.WsiDicomUidDuplicateError,
    errors.WsiDicomNotFoundError,
    errors.WsiDicomOutOfBoundsError,
    errors.WsiDicomStrictRequirementError,
    errors.WsiDicomNoResolutionError,
    errors.WsiDicomNotSupportedError,
)
_BROKEN = (
    *_OF_WSIDICOM,
    InvalidDicomError,
    BytesLengthException,
    *NONSENSE,
)


@dataclass(frozen=True)
class _Level:
    """Tiles of one level, on one focal plane."""

    data: WsiDicomFileImageData
    focal_plane: float

    @property
    def path(self) -> str:
        return str(self.data.optical_paths[0])


class WsmSlide(Slide):
    """A slide in DICOM: the volume images of one series.

    Coordinates are those of the total pixel matrix, from its top left corner, however it lies on the glass. Of several
    focal planes the middle one is read.

    Args:
        files: All files of the pyramid.
        name: What the caller calls it.

    Raises:
        InputRefused: `unreadable_file`, `unsupported_dimensions` (several optical paths, more than 8 bits),
            `unsupported_transfer_syntax`.
    """

    def __init__(self, files: Sequence[Path], name: str) -> None:
        with ExitStack() as stack:
            try:
                source = stack.enter_context(closing(WsiDicomFileSource.open(files)))
                found = [instance.image_data for instance in source.level_instances]
                # wsidicom passes over files it cannot use; without its finest level a slide would seem a coarser one.
                lost = {file.resolve() for file in files} - {Path(f).resolve() for data in found for f in data.files}
                if lost:
                    raise _unreadable(name, f"{len(lost)} of {len(files)} files that cannot, such as {min(lost).name}")
                self._matrices = _levels(found, name)
                sizes = [(level.data.image_size.width, level.data.image_size.height) for level in self._matrices]
            except _BROKEN as error:
                raise _unreadable(name, f"{type(error).__name__}: {error}") from error
            super().__init__(name, "DICOM WSM", levels_of(sizes), _mpp(self._matrices[0].data))
            self.is_grey = int(self._matrices[0].data.samples_per_pixel) == 1
            self.dicom = _instances(files)
            self._jpeg = StrictJpeg()
            stack.callback(self._jpeg.close)
            self._open = stack.pop_all()

    def tile_size(self, level: int) -> tuple[int, int]:
        """Size of a level's tiles, (columns, rows)."""
        size = self._matrices[level].data.tile_size
        return int(size.width), int(size.height)

    def has_tile(self, level: int, row: int, column: int) -> bool:
        """Whether the series holds a frame for a tile."""
        tiles = self._matrices[level]
        return not tiles.data.is_sparse(Point(column, row), tiles.focal_plane, tiles.path)

    def decode_tile(self, level: int, row: int, column: int) -> Pixels:
        """Decode a tile.

        Raises:
            InputRefused: `unreadable_tile`.
        """
        tiles, place = self._matrices[level], Point(column, row)
        size, samples = self.tile_size(level), int(tiles.data.samples_per_pixel)
        try:
            stream = tiles.data.get_encoded_tile(place, tiles.focal_plane, tiles.path)
            wrong = None
            if tiles.data.transfer_syntax == JPEGBaseline8Bit:
                wrong = self._jpeg.problem(stream, None, size, samples)
            elif tiles.data.transfer_syntax in JPEG2000TransferSyntaxes and not has_end(stream):
                wrong = "no end of codestream"
            if wrong is not None:
                raise ValueError(wrong)
            pixels = tiles.data.get_decoded_tile(place, tiles.focal_plane, tiles.path, cache=False)
        except _BROKEN as error:
            raise self.tile_refused(level, row, column, str(error) or type(error).__name__) from error
        if pixels.shape[:2] != (size[1], size[0]) or pixels.dtype != np.uint8:
            raise self.tile_refused(level, row, column, f"{pixels.shape} values of type {pixels.dtype}")
        return pixels if pixels.ndim == 3 else np.repeat(pixels[..., np.newaxis], 3, axis=2)

    def close(self) -> None:
        """Close the files."""
        self._open.close()


def _instances(files: Sequence[Path]) -> DicomSource:
    """The headers of a slide's files, without the places of their tiles, which can be a hundred thousand."""
    wanted = [*IDENTITY, "SOPClassUID", "SOPInstanceUID", "Rows", "Columns", "SpecificCharacterSet"]
    with lenient():
        return DicomSource(tuple(dcmread(file, stop_before_pixels=True, specific_tags=wanted) for file in files), ())


def _levels(found: Sequence[WsiDicomFileImageData], name: str) -> tuple[_Level, ...]:
    """One image per size, finest first; the middle one of those that differ in focal plane alone."""
    by_size: dict[tuple[int, int], list[_Level]] = {}
    for data in found:
        paths, bits = len(data.optical_paths), int(data.bits)
        if paths != 1 or bits != 8 or max(data.tile_size.width, data.tile_size.height) > _LONGEST_TILE_PX:
            raise InputRefused(
                RefusalCode.UNSUPPORTED_DIMENSIONS,
                f"one optical path of 8 bits in tiles of at most {_LONGEST_TILE_PX} pixels a side",
                f"{paths} of {bits} bits in tiles of {data.tile_size.width} x {data.tile_size.height} in {name}",
                "export one optical path of the slide as 8-bit colour",
            )
        size = (int(data.image_size.width), int(data.image_size.height))
        by_size.setdefault(size, []).append(_Level(data, float(data.default_z)))
    planes = [sorted(by_size[size], key=lambda level: level.focal_plane) for size in sorted(by_size, reverse=True)]
    return tuple(some[len(some) // 2] for some in planes)


def _mpp(finest: WsiDicomFileImageData) -> tuple[float, float] | None:
    spacing = finest.pixel_spacing
    return None if spacing is None else (float(spacing.width) * 1000, float(spacing.height) * 1000)


def _unreadable(name: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "DICOM whole slide images that can be read together",
        f"{got} in {name}",
        "export the slide's series again, with all its levels",
    )
