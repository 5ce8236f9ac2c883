"""What a whole slide is: a pyramid of tiles that is addressed in micrometres, never in levels."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from math import ceil, isfinite
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image as Pillow

from datasets.codes import RefusalCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.slide_levels import SlideLevel, levels_of
from datasets.slide_sampling import Box, Pixels, Window, sampled
from datasets.tile_cache import TileCache

__all__ = ["Overview", "Slide", "SlideLevel", "levels_of"]

# Windows are worked through in pieces of at most so many pixels of a level: what a processor keeps at hand.
_PIECE_PX = 1024 * 1024
# A level that is this little too coarse is fine enough: sizes of levels are rounded, and so is a scanner's mpp.
_COARSER_BY = 1.01
_LARGEST_STEP = 2048
_WHITE = 255


@dataclass(frozen=True, eq=False)
class Overview:
    """A whole slide at a coarse pixel size.

    Attributes:
        array: uint8 (rows, columns, 3); the slide's top left corner is that of the first pixel.
        mpp: Micrometres per pixel, both axes.
        unreadable_tiles: Number of tiles that could not be decoded and were left at the background's colour.
    """

    array: Pixels
    mpp: float
    unreadable_tiles: int


class Slide(ABC):
    """A slide that is open for reading, to be used in a `with` block.

    A place is told in micrometres from the top left corner of the slide's finest level, x along the rows to the right,
    y down. Readers tell where tiles lie and decode one; what is between them and micrometres is here.

    Args:
        name: What the caller calls the file; for messages.
        kind: Kind of file, for people: "SVS", "tiled TIFF", "DICOM WSM" ….
        levels: At least one, finest first.
        mpp: Micrometres per pixel of the finest level (x, y); None where the file does not say.

    Attributes:
        is_grey: Whether the file holds grey values, which are read as three equal channels.
        dicom: The DICOM instances of its levels, without planes; None where it came as something else.
    """

    is_grey = False
    dicom: DicomSource | None = None

    def __init__(
        self, name: str, kind: str, levels: Sequence[SlideLevel], mpp: tuple[float, float] | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.levels = tuple(levels)
        self.mpp = mpp
        self._cache = TileCache()

    @abstractmethod
    def tile_size(self, level: int) -> tuple[int, int]:
        """Size of a level's tiles, (columns, rows)."""

    @abstractmethod
    def decode_tile(self, level: int, row: int, column: int) -> Pixels:
        """Decode one tile that is there: uint8 (rows, columns, 3), the level's last ones being full or cut.

        Raises:
            InputRefused: `tile_refused`: it cannot be decoded.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def has_tile(self, level: int, row: int, column: int) -> bool:
        """Whether a tile is there; sparse files leave out those that hold nothing."""
        return True

    @property
    def size_px(self) -> tuple[int, int]:
        """Size of the finest level, (columns, rows)."""
        return self.levels[0].columns, self.levels[0].rows

    @property
    def size_um(self) -> tuple[float, float]:
        """Size of the slide in micrometres, (x, y).

        Raises:
            InputRefused: `no_spacing`.
        """
        mpp = self._known_mpp()
        return self.levels[0].columns * mpp[0], self.levels[0].rows * mpp[1]

    def with_mpp(self, mpp: float | tuple[float, float]) -> Self:
        """The same slide with a pixel size its caller states; both share the open file, closed when either is.

        Args:
            mpp: Micrometres per pixel of the finest level: one value, or (x, y).

        Raises:
            ValueError: It is not positive and finite.
        """
        stated = mpp if isinstance(mpp, tuple) else (mpp, mpp)
        if not all(isfinite(value) and value > 0 for value in stated):
            raise ValueError(f"expected micrometres per pixel above 0; got {mpp}")
        slide = copy(self)
        slide.mpp = (float(stated[0]), float(stated[1]))
        return slide

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> Pixels:
        """Read a window at a pixel size of one's choice.

        It is averaged over the pixels' areas from the coarsest level that is at least as fine (linearly interpolated
        where even the finest is coarser). A place looks the same whichever window it is read in.

        Args:
            x_um: Left edge of the window.
            y_um: Its top edge.
            columns: Its width in pixels.
            rows: Its height in pixels.
            mpp: Micrometres per pixel, along both axes also where the slide's own differ.

        Returns:
            uint8 (rows, columns, 3), white outside of the slide and where a sparse file holds no tile.

        Raises:
            InputRefused: `no_spacing`; `unreadable_tile`, a tile of the window cannot be decoded.
            ValueError: The window is empty.
        """
        return self._read((x_um, y_um), (columns, rows), mpp, None)

    def overview(self, mpp: float) -> Overview:
        """Read the whole slide at a coarse pixel size, piece by piece.

        Args:
            mpp: Micrometres per pixel.

        Raises:
            InputRefused: `no_spacing`.
        """
        width_um, height_um = self.size_um
        size = (max(ceil(width_um / mpp - 1e-6), 1), max(ceil(height_um / mpp - 1e-6), 1))
        missed: set[tuple[int, int, int]] = set()
        return Overview(self._read((0.0, 0.0), size, mpp, missed), mpp, len(missed))

    def level_for(self, mpp: float) -> int:
        """Index of the coarsest level that is at least as fine, or of the finest.

        Raises:
            InputRefused: `no_spacing`.
        """
        own = self._known_mpp()
        fine = [
            index
            for index, level in enumerate(self.levels)
            if max(own[0] * level.step[0], own[1] * level.step[1]) <= mpp * _COARSER_BY
        ]
        return max(fine, key=lambda index: self.levels[index].downsample, default=0)

    def tile_refused(self, level: int, row: int, column: int, got: str) -> InputRefused:
        """The refusal of a tile that cannot be decoded, telling where it lies."""
        width, height = self.tile_size(level)
        step = self.levels[level].step
        x_px, y_px = round(column * width * step[0]), round(row * height * step[1])
        place = f"at column {x_px}, row {y_px} of the finest level"
        if self.mpp is not None:
            place += f" ({x_px * self.mpp[0] / 1000:.2f} mm from the left, {y_px * self.mpp[1] / 1000:.2f} mm down)"
        return InputRefused(
            RefusalCode.UNREADABLE_TILE,
            "tiles that can be decoded",
            f"{got} in tile ({column}, {row}) of level {level}, {place}, of {self.name}",
            "copy the file again, or export the slide anew",
        )

    def _read(
        self,
        corner_um: tuple[float, float],
        size: tuple[int, int],
        mpp: float,
        missed: set[tuple[int, int, int]] | None,
    ) -> Pixels:
        if min(size) < 1 or not mpp > 0:
            raise ValueError(f"expected a window of at least one pixel above 0 um; got {size} of {mpp}")
        own, level = self._known_mpp(), self.level_for(mpp)
        px_um = tuple(own[axis] * self.levels[level].step[axis] for axis in (0, 1))
        if (finer := ceil(mpp / min(px_um) / _LARGEST_STEP)) > 1:  # One wanted pixel alone would not fit into memory.
            fine = self._read(corner_um, (size[0] * finer, size[1] * finer), mpp / finer, missed)
            return np.array(Pillow.fromarray(fine).reduce(finer))
        across, down = (Window(corner_um[axis] / px_um[axis], mpp / px_um[axis], size[axis]) for axis in (0, 1))
        read = np.full((size[1], size[0], 3), _WHITE, dtype=np.uint8)
        for left, top, part_across, part_down in _pieces(across, down):
            box = Box(part_across.reach[0], part_down.reach[0], part_across.reach[1], part_down.reach[1])
            if any(True for _ in self._tiles(level, box)):
                part = sampled(lambda wanted: self._pixels(level, wanted, missed), part_across, part_down)
                read[top : top + part.shape[0], left : left + part.shape[1]] = part
        return read

    def _pixels(self, level: int, box: Box, missed: set[tuple[int, int, int]] | None) -> Pixels:
        """The pixels of a box of a level; unreadable tiles are noted in `missed`, or refused where there is none."""
        pixels = np.full((box.rows, box.columns, 3), _WHITE, dtype=np.uint8)
        width, height = self.tile_size(level)
        edge = self.levels[level]
        for row, column in self._tiles(level, box):
            try:
                tile = self._cached(level, row, column)
            except InputRefused as refusal:
                if missed is None or refusal.code is not RefusalCode.UNREADABLE_TILE:
                    raise
                missed.add((level, row, column))
                continue
            x, y = column * width, row * height
            left, top = max(box.left, x), max(box.top, y)
            right = min(box.right, x + tile.shape[1], edge.columns)
            bottom = min(box.bottom, y + tile.shape[0], edge.rows)
            pixels[top - box.top : bottom - box.top, left - box.left : right - box.left] = tile[
                top - y : bottom - y, left - x : right - x
            ]
        return pixels

    def _tiles(self, level: int, box: Box) -> Iterator[tuple[int, int]]:
        """(row, column) of the tiles that are there and meet a box."""
        width, height = self.tile_size(level)
        edge = self.levels[level]
        for row in range(max(box.top, 0) // height, -(-min(box.bottom, edge.rows) // height)):
            for column in range(max(box.left, 0) // width, -(-min(box.right, edge.columns) // width)):
                if self.has_tile(level, row, column):
                    yield row, column

    def _cached(self, level: int, row: int, column: int) -> Pixels:
        key = (level, row, column)
        tile = self._cache.get(key)
        if tile is None:
            tile = self.decode_tile(level, row, column)
            self._cache.put(key, tile)
        return tile

    def _known_mpp(self) -> tuple[float, float]:
        if self.mpp is None:
            raise InputRefused(
                RefusalCode.NO_SPACING,
                "a slide that tells its micrometres per pixel",
                f"{self.name} ({self.kind}) without them",
                "state them, such as --set mpp=0.25 for a scan at 40x or 0.5 at 20x",
            )
        return self.mpp

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _pieces(across: Window, down: Window) -> Iterator[tuple[int, int, Window, Window]]:
    """A window in pieces that need a bounded part of a level each: (left, top) in it, and the piece's own windows."""
    side = _PIECE_PX**0.5
    wide, high = max(int(side / across.step), 1), max(int(side / down.step), 1)
    for top in range(0, down.count, high):
        rows = min(high, down.count - top)
        for left in range(0, across.count, wide):
            columns = min(wide, across.count - left)
            yield (
                left,
                top,
                Window(across.start + left * across.step, across.step, columns),
                Window(down.start + top * down.step, down.step, rows),
            )
