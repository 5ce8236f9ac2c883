"""Tiles of whole slides for a browser, and what was found as a layer over them.

Levels are those of Deep Zoom: the greatest is the slide at its finest pixel size, each below has half the size, level 0
is one pixel.
"""

import io
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from app.services.intake import read_result
from app.services.source import opened_source
from app.store.records import Case, Record
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.slide import Slide

TILE_PX = 512
_QUALITY = 85
_MOST_OPEN = 4
_UNKNOWN, _LOWEST, _HIGHEST = 0, 1, 255
# Colours of the map from 0 to 1: dark red over orange to light yellow, readable on pink and on blue stains.
_STOPS = (0.0, 0.35, 0.7, 1.0)
_RAMP = ((60, 0, 10), (200, 40, 0), (255, 150, 0), (255, 255, 160))
# Below this nothing is drawn: a slide that is covered all over shows nothing.
_LEAST_DRAWN = 0.1


class SlideLayout(Record):
    """How a slide is cut.

    Attributes:
        width: Pixels at the finest level.
        height: The same.
        tile_size: Edge of a tile in pixels; those at the right and lower edge are smaller.
        mpp: Micrometres per pixel at the finest level, both axes.
        max_level: Number of the finest level.
    """

    width: int
    height: int
    tile_size: int
    mpp: tuple[float, float]
    max_level: int


class NoSuchTile(LookupError):
    """There is none at that place."""


@dataclass
class _Open:
    slide: Slide
    stack: ExitStack
    layout: SlideLayout
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self.stack.close()


class SlideTiles:
    """Reads tiles; a few slides stay open."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()

    def layout(self, case: Case) -> SlideLayout:
        """How a case's slide is cut.

        Raises:
            InputRefused: It is gone, is no slide, or does not say how large its pixels are.
        """
        with self._opened(case) as one:
            return one.layout

    def tile(self, case: Case, level: int, column: int, row: int) -> bytes:
        """A tile as JPEG.

        Raises:
            NoSuchTile: There is none.
            InputRefused: As `layout`; `unreadable_tile`.
        """
        with self._opened(case) as one:
            layout = one.layout
            if not 0 <= level <= layout.max_level:
                raise NoSuchTile(f"level {level} of {layout.max_level}")
            step = 2 ** (layout.max_level - level)
            width, height = math.ceil(layout.width / step), math.ceil(layout.height / step)
            left, top = column * TILE_PX, row * TILE_PX
            if not (0 <= left < width and 0 <= top < height):
                raise NoSuchTile(f"tile {column}, {row} of level {level}")
            mpp = layout.mpp[0] * step
            size = min(TILE_PX, width - left), min(TILE_PX, height - top)
            pixels = one.slide.read(left * mpp, top * mpp, *size, mpp)
        return _encoded(Picture.fromarray(pixels), "JPEG", quality=_QUALITY)

    def close(self) -> None:
        """Let go of all slides."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    @contextmanager
    def _opened(self, case: Case) -> Iterator[_Open]:
        while True:
            one = self._found(case)
            with one.lock:
                # Others may have opened so many meanwhile that this one was closed again.
                if not one.closed:
                    yield one
                    return

    def _found(self, case: Case) -> _Open:
        key = f"{case.folder} {case.result_sha256}"
        with self._lock:
            one = self._open.get(key) or _open(case)
            self._open[key] = one
            self._open.move_to_end(key)
            dropped = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - _MOST_OPEN)]
        for old in dropped:
            old.close()
        return one


def overview(case: Case, longest_px: int = 1200) -> bytes:
    """A slide as a whole, as JPEG.

    Raises:
        InputRefused: As `SlideTiles.layout`.
    """
    one = _open(case)
    try:
        step = max(one.layout.width, one.layout.height) / longest_px
        picture = one.slide.overview(one.layout.mpp[0] * max(step, 1.0))
    finally:
        one.close()
    return _encoded(Picture.fromarray(picture.array), "JPEG", quality=_QUALITY)


def heat_layer(case: Case) -> bytes:
    """The map of a slide as PNG with transparency, one pixel a cell, from the slide's top left corner.

    Raises:
        InputRefused: `unreadable_file`: the result has none, or it cannot be read.
    """
    result, _ = read_result(Path(case.folder))
    name = result.outputs.get("heatmap")
    path = Path(case.folder) / Path(name or "").name
    if name is None or not path.is_file():
        raise _refused("a map of the slide", "none", "score the slide again")
    try:
        values = np.asarray(tifffile.imread(path, series=0, level=0), dtype=np.uint8)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise _refused("a map of the slide", type(error).__name__, "score the slide again") from error
    return _encoded(Picture.fromarray(_coloured(values)), "PNG", compress_level=1)


def _coloured(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(rows, columns, 4)."""
    share = (np.arange(256) - _LOWEST) / (_HIGHEST - _LOWEST)
    table = np.stack([np.interp(share, _STOPS, [stop[channel] for stop in _RAMP]) for channel in range(3)], axis=1)
    shown = (share >= _LEAST_DRAWN) & (np.arange(256) != _UNKNOWN)
    alpha = np.where(shown, 255.0, 0.0)
    coloured: NDArray[np.uint8] = np.rint(np.column_stack([table, alpha])).astype(np.uint8)[values]
    return coloured


def _open(case: Case) -> _Open:
    result, _ = read_result(Path(case.folder))
    with ExitStack() as stack:
        series = stack.enter_context(opened_source(result))
        if series.slide is None:
            raise _refused("a whole slide", series.description, "open the case that it is")
        slide = stack.enter_context(series.slide())
        if result.slide is not None:
            # The size of pixels that the result was made with, which a setting may have stated.
            slide = slide.with_mpp(result.slide.mpp)
        if slide.mpp is None:
            raise _refused("micrometres per pixel", "none", "score the slide with its pixel size stated")
        mpp = min(slide.mpp)
        width, height = (max(math.ceil(um / mpp - 1e-6), 1) for um in slide.size_um)
        layout = SlideLayout(
            width=width,
            height=height,
            tile_size=TILE_PX,
            mpp=(mpp, mpp),
            max_level=math.ceil(math.log2(max(width, height, 2))),
        )
        return _Open(slide, stack.pop_all(), layout)


def _encoded(picture: Picture.Image, kind: str, **options: int) -> bytes:
    into = io.BytesIO()
    picture.save(into, format=kind, **options)
    return into.getvalue()


def _refused(expected: str, got: str, advice: str) -> InputRefused:
    return InputRefused(RefusalCode.UNREADABLE_FILE, expected, got, advice)
