"""Formats of scanners' makers that are no plain TIFF pyramids (NDPI, MRXS, SCN, BIF …), through OpenSlide."""

from math import isfinite
from pathlib import Path

import numpy as np
import openslide

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.slide import Slide, SlideLevel
from datasets.slide_sampling import Pixels, on_white

# OpenSlide has tiles of its own that it does not show; these are cut for the cache.
_TILE_PX = 512
_KINDS = {
    "aperio": "SVS",
    "dicom": "DICOM WSM",
    "generic-tiff": "tiled TIFF",
    "hamamatsu": "Hamamatsu",
    "leica": "Leica SCN",
    "mirax": "MIRAX",
    "philips-tiff": "Philips TIFF",
    "sakura": "Sakura",
    "trestle": "Trestle",
    "ventana": "Ventana BIF",
    "zeiss": "Zeiss CZI",
}


def maker_of(path: Path) -> str | None:
    """OpenSlide's name of a file's format; None where it knows none."""
    try:
        return openslide.OpenSlide.detect_format(path)
    except (openslide.OpenSlideError, OSError):
        return None


class VendorSlide(Slide):
    """A slide that OpenSlide reads.

    Args:
        path: The file; others of the slide lie where its maker puts them.
        name: What the caller calls it.

    Raises:
        InputRefused: `unreadable_file`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        try:
            # In a list, because slides with another mpp share it, and it is replaced after an error.
            self._open = [openslide.OpenSlide(path)]
        except (openslide.OpenSlideError, OSError) as error:
            raise InputRefused(
                RefusalCode.UNREADABLE_FILE,
                "a slide that OpenSlide or tifffile reads",
                f"{error} for {name}",
                "check that all files of the slide are there, or export it as a tiled TIFF",
            ) from error
        slide = self._open[0]
        kind = _KINDS.get(slide.properties.get(openslide.PROPERTY_NAME_VENDOR, ""), "slide")
        levels = [
            SlideLevel(columns, rows, (step, step))
            for (columns, rows), step in zip(slide.level_dimensions, slide.level_downsamples, strict=True)
        ]
        super().__init__(name, kind, levels, _mpp(slide))

    def tile_size(self, level: int) -> tuple[int, int]:
        """Size of the tiles cut here, (columns, rows)."""
        return _TILE_PX, _TILE_PX

    def decode_tile(self, level: int, row: int, column: int) -> Pixels:
        """Read a tile, laid on white.

        Raises:
            InputRefused: `unreadable_tile`.
        """
        edge = self.levels[level]
        corner = (round(column * _TILE_PX * edge.step[0]), round(row * _TILE_PX * edge.step[1]))
        size = (min(_TILE_PX, edge.columns - column * _TILE_PX), min(_TILE_PX, edge.rows - row * _TILE_PX))
        try:
            rgba = np.asarray(self._open[0].read_region(corner, level, size))
        except openslide.OpenSlideError as error:
            # After an error OpenSlide answers nothing else; the next tile may be sound.
            self._open[0].close()
            self._open[0] = openslide.OpenSlide(self._path)
            raise self.tile_refused(level, row, column, str(error)) from error
        return on_white(rgba)

    def close(self) -> None:
        """Close the file."""
        self._open[0].close()


def _mpp(slide: openslide.OpenSlide) -> tuple[float, float] | None:
    try:
        x, y = (float(slide.properties[key]) for key in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y))
    except (KeyError, ValueError):
        return None
    return (x, y) if all(isfinite(value) and value > 0 for value in (x, y)) else None
