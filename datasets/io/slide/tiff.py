"""SVS, OME-TIFF and other TIFF pyramids, tile by tile.

Tiles are read through tifffile, not through TiffSlide (which reads with tifffile too, by way of zarr): a region is all
there is to ask TiffSlide for, and it neither tells an absent tile of a sparse file from a black one nor which tile is
damaged; it takes a printing resolution of 72 dpi for a pixel size, and knows OME's physical sizes and levels kept as
plain pages not at all.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffFile, TiffFileError, TiffPage

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.slide.nonsense import NONSENSE
from datasets.io.slide.strict_jpeg import StrictJpeg, has_end
from datasets.io.slide.tiff_pyramid import check_whole, pyramid_of, tile_size_of, tiles_of
from datasets.io.slide.tiff_spacing import mpp_of
from datasets.slide import Slide, levels_of
from datasets.slide_sampling import Pixels, on_white

_JPEG, _JPEG_2000 = 7, (33003, 33004, 33005, 34712)
_SEPARATE_PLANES = 2
_WHITE_IS_ZERO = 0
# What tifffile and the decoders raise on bytes that make no sense; their own errors derive from RuntimeError.
_BROKEN: tuple[type[Exception], ...] = (
    TiffFileError,
    *NONSENSE,
)


class TiffPyramid(Slide):
    """A slide in a TIFF.

    Args:
        path: The file.
        name: What the caller calls it.

    Raises:
        InputRefused: As `pyramid_of`, and `unreadable_file`.
    """

    def __init__(self, path: Path, name: str) -> None:
        with ExitStack() as stack:
            with _told(name):
                self._file = stack.enter_context(TiffFile(path))
                self._pages = pyramid_of(self._file, name)
                check_whole(self._pages, path, name)
                mpp = mpp_of(self._file, self._pages[0])
                kind = _kind(self._file, self._pages[0])
            super().__init__(name, kind, levels_of([(p.imagewidth, p.imagelength) for p in self._pages]), mpp)
            self._tile_sizes = [tile_size_of(page) for page in self._pages]
            self._across = [tiles_of(page)[0] for page in self._pages]
            self._there = [np.asarray(page.databytecounts) > 0 for page in self._pages]
            self.is_grey = self._pages[0].samplesperpixel == 1
            self._jpeg = StrictJpeg()
            stack.callback(self._jpeg.close)
            self._open = stack.pop_all()

    @property
    def is_tiled(self) -> bool:
        """Whether the finest level is cut into tiles; a plain picture is not."""
        return bool(self._pages[0].is_tiled)

    def tile_size(self, level: int) -> tuple[int, int]:
        """Size of a level's tiles, (columns, rows)."""
        return self._tile_sizes[level]

    def has_tile(self, level: int, row: int, column: int) -> bool:
        """Whether a tile has bytes."""
        return bool(self._there[level][row * self._across[level] + column])

    def decode_tile(self, level: int, row: int, column: int) -> Pixels:
        """Decode a tile.

        Raises:
            InputRefused: `unreadable_tile`.
        """
        page = self._pages[level]
        across, down = tiles_of(page)
        separate = page.planarconfig == _SEPARATE_PLANES
        try:
            planes = [
                self._segment(page, row * across + column + plane * across * down)
                for plane in range(page.samplesperpixel if separate else 1)
            ]
        except _BROKEN as error:
            raise self.tile_refused(level, row, column, str(error) or type(error).__name__) from error
        return _rgb(np.concatenate(planes, axis=2), int(page.photometric) == _WHITE_IS_ZERO)

    def close(self) -> None:
        """Close the file."""
        self._open.close()

    def _segment(self, page: TiffPage, index: int) -> NDArray[np.uint8]:
        """One tile or strip, (rows, columns, samples)."""
        self._file.filehandle.seek(page.dataoffsets[index])
        stream = self._file.filehandle.read(page.databytecounts[index])
        if int(page.compression) == _JPEG:
            width, height = tile_size_of(page)
            samples = 1 if page.planarconfig == _SEPARATE_PLANES else page.samplesperpixel
            if not page.is_tiled:
                height = min(height, page.imagelength - index % tiles_of(page)[1] * height)
            wrong = self._jpeg.problem(stream, page.jpegtables, (width, height), samples)
            if wrong is not None:
                raise ValueError(wrong)
        if int(page.compression) in _JPEG_2000 and not has_end(stream):
            raise ValueError("no end of codestream")
        decoded, _, _ = page.decode(stream, index, jpegtables=page.jpegtables)
        if decoded is None or decoded.ndim != 4:
            raise ValueError("no pixels")
        return np.asarray(decoded[0], dtype=np.uint8)


def _rgb(pixels: NDArray[np.uint8], inverted: bool) -> Pixels:
    """Three channels: grey repeated, transparency laid on white."""
    if pixels.shape[2] == 1:
        return np.repeat(255 - pixels if inverted else pixels, 3, axis=2)
    if pixels.shape[2] == 4:
        return on_white(pixels)
    return pixels


def _kind(file: TiffFile, finest: TiffPage) -> str:
    if file.is_svs:
        return "SVS"
    if file.is_ome:
        return "OME-TIFF"
    return "tiled TIFF" if finest.is_tiled else "TIFF"


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _broken(name, error) from error


def _broken(name: str, error: Exception) -> InputRefused:
    if isinstance(error, TiffFileError) and "not a TIFF" not in str(error):
        return InputRefused(
            RefusalCode.TRUNCATED_FILE, "a whole TIFF file", f"{error} in {name}", "copy or download the file again"
        )
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "a TIFF file",
        f"{type(error).__name__}: {error} in {name}",
        "check that the file opens in a viewer",
    )
