"""Which pages of a TIFF are the levels of its slide; labels, macros and thumbnails are not."""

from itertools import islice
from pathlib import Path

import numpy as np
from tifffile import TIFF, TiffFile, TiffPage

from datasets.codes import RefusalCode
from datasets.errors import InputRefused

# More pages than any pyramid has; a stack of thousands shows what it is within the first ones.
_PAGES = 64
_LARGEST_TILE_PX = 2**26
_REDUCED = 1  # the one kind of page besides a full one (0) that may be a level: masks are 4, macros of Aperio 9
_JPEG, _APERIO_YCBCR = 7, 33003
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _YCBCR = 0, 1, 2, 6
_SAMPLES = {_WHITE_IS_ZERO: (1,), _BLACK_IS_ZERO: (1,), _RGB: (3, 4), _YCBCR: (3,)}


def pyramid_of(file: TiffFile, name: str) -> tuple[TiffPage, ...]:
    """The levels of a slide, finest first: tiled pages of one shape; the first page alone where none is tiled.

    Raises:
        InputRefused: `unsupported_dimensions` (several planes, more than 8 bits, no colour or grey),
            `unsupported_transfer_syntax` (a compression that cannot be decoded), `truncated_file`, `empty_image`.
    """
    pages = _pages(file)
    tiled = [page for page in pages if page.is_tiled and int(page.subfiletype) in (0, _REDUCED)]
    finest = max(tiled or pages[:1], key=lambda page: page.imagewidth * page.imagelength, default=None)
    if finest is None:
        raise InputRefused(RefusalCode.EMPTY_IMAGE, "a picture", f"none in {name}", "export the slide again")
    planes = sum(_size(page) == _size(finest) and int(page.subfiletype) == 0 for page in pages)
    if planes > 1 or finest.imagedepth > 1:
        raise _dimensions("one plane", f"{max(planes, finest.imagedepth)} in {name}")
    levels = {_size(page): page for page in reversed(tiled or [finest]) if _is_reduced(page, finest)}
    levels[_size(finest)] = finest
    chosen = tuple(levels[size] for size in sorted(levels, reverse=True))
    for page in chosen:
        _check(page, name)
    return chosen


def check_whole(levels: tuple[TiffPage, ...], path: Path, name: str) -> None:
    """Whether all tiles lie inside the file.

    Raises:
        InputRefused: `truncated_file`.
    """
    size = path.stat().st_size
    for index, page in enumerate(levels):
        offsets, counts = np.array(page.dataoffsets, np.uint64), np.array(page.databytecounts, np.uint64)
        across, down = tiles_of(page)
        wanted = across * down * (page.samplesperpixel if page.planarconfig == 2 else 1)
        outside = int((offsets + counts > size).sum()) if len(offsets) == len(counts) else wanted
        if outside or len(offsets) < wanted:
            raise InputRefused(
                RefusalCode.TRUNCATED_FILE,
                f"a whole file with {wanted} tiles on level {index}",
                f"{max(outside, wanted - len(offsets))} tiles behind the end of {name}",
                "copy or download the file again",
            )


def tile_size_of(page: TiffPage) -> tuple[int, int]:
    """Size of a page's tiles, (columns, rows); strips are tiles as wide as the page."""
    if page.is_tiled:
        return int(page.tilewidth), int(page.tilelength)
    return int(page.imagewidth), int(min(page.rowsperstrip or page.imagelength, page.imagelength))


def tiles_of(page: TiffPage) -> tuple[int, int]:
    """Number of tiles of a page, (across, down)."""
    width, height = tile_size_of(page)
    return -(-page.imagewidth // width), -(-page.imagelength // height)


def _pages(file: TiffFile) -> list[TiffPage]:
    """The pages of a file, and below the first ones their reduced copies (OME keeps levels there)."""
    top = [page for page in islice(file.pages, _PAGES) if isinstance(page, TiffPage)]
    below = [
        page
        for parent in top[:4]
        for page in islice(parent.pages or (), _PAGES)
        if isinstance(page, TiffPage) and _size(page) != _size(parent)
    ]
    return [page for page in top + below if min(_size(page)) > 0]


def _size(page: TiffPage) -> tuple[int, int]:
    return int(page.imagewidth), int(page.imagelength)


def _is_reduced(page: TiffPage, finest: TiffPage) -> bool:
    """Whether a page may be the finest one at a coarser pixel size: of its shape, but for rounding."""
    (width, height), (full_width, full_height) = _size(page), _size(finest)
    alike = abs(width * full_height - height * full_width) <= full_width + full_height
    return alike and page.samplesperpixel == finest.samplesperpixel


def _check(page: TiffPage, name: str) -> None:
    photometric, compression = int(page.photometric), int(page.compression)
    if page.dtype != np.uint8 or page.samplesperpixel not in _SAMPLES.get(photometric, ()):
        got = f"{page.samplesperpixel} values of {page.bitspersample} bits per pixel in {name}"
        raise _dimensions("grey or red, green and blue of 8 bits", got)
    if max(tile_size_of(page)) < 1 or np.prod(tile_size_of(page), dtype=object) > _LARGEST_TILE_PX:
        size = " x ".join(map(str, tile_size_of(page)))
        raise _dimensions(f"tiles of at most {_LARGEST_TILE_PX} pixels", f"{size} in {name}")
    # Colours that only a JPEG decoder turns into red, green and blue.
    undecoded = compression == _APERIO_YCBCR or (photometric == _YCBCR and compression != _JPEG)
    if undecoded or (compression != 1 and compression not in TIFF.DECOMPRESSORS):
        raise InputRefused(
            RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX,
            "tiles uncompressed or in JPEG, JPEG 2000, LZW or deflate",
            f"TIFF compression {compression} with photometric interpretation {photometric} in {name}",
            "export the slide as a tiled TIFF with one of these",
        )


def _dimensions(expected: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSUPPORTED_DIMENSIONS,
        f"a slide of {expected}",
        got,
        "export one plane of the slide as a tiled TIFF of 8-bit colour",
    )
