"""Whether a JPEG tile is whole, which decoders do not tell: they fill what is missing with grey and go on.

libjpeg only warns of damage within the coded pixels, and imagecodecs and Pillow do not listen. OpenSlide does, so each
tile is shown to it as a TIFF of one tile, of which it decodes all and hands out one pixel.
"""

import struct
import tempfile
from contextlib import ExitStack
from pathlib import Path

from openslide import OpenSlide, OpenSlideError

from datasets.io.dicom.jpeg_stream import JpegShape, jpeg_problem

_SHORT, _LONG = 3, 4
_BITS, _OFFSET = 258, 324
_JPEG, _RGB, _CONTIGUOUS = 7, 2, 1


class StrictJpeg:
    """Checks JPEG tiles; keeps a temporary file until it is closed."""

    def __init__(self) -> None:
        self._open = ExitStack()
        folder = self._open.enter_context(
            tempfile.TemporaryDirectory(prefix="denselens-tile-", ignore_cleanup_errors=True)
        )
        self._path = Path(folder, "tile.tif")
        self._file = self._open.enter_context(self._path.open("wb"))

    def problem(self, stream: bytes, tables: bytes | None, size: tuple[int, int], samples: int) -> str | None:
        """What is wrong with a tile, in words for a refusal; None where nothing is.

        Args:
            stream: The tile's bytes.
            tables: Tables that all tiles share, as a TIFF keeps them (a JPEG stream without pixels), or None.
            size: What it must decode to, (columns, rows).
            samples: Values per pixel, 1 or 3, of eight bits.
        """
        whole = tables[:-2] + stream[2:] if tables and stream[:2] == b"\xff\xd8" else stream
        wrong = jpeg_problem(whole, JpegShape(size[1], size[0], samples, 8))
        if wrong is not None:
            return wrong
        if not has_end(whole):
            return "no end of image"
        if samples == 1:
            return None  # OpenSlide hands tiles of grey to a decoder that does not listen either.
        # Written over the one before, whose end may stay behind it: making files anew takes longer than decoding them.
        self._file.seek(0)
        self._file.write(_one_tile(whole, size))
        self._file.flush()
        try:
            with OpenSlide(self._path) as slide:
                slide.read_region((0, 0), 0, (1, 1))
        except OpenSlideError as error:
            return str(error)
        return None

    def close(self) -> None:
        """Remove the temporary file."""
        self._open.close()


def has_end(stream: bytes) -> bool:
    """Whether a JPEG or JPEG 2000 stream ends with its end mark, padding aside: lost bytes decode to something too."""
    return stream.rstrip(b"\0").endswith(b"\xff\xd9")


def _one_tile(stream: bytes, size: tuple[int, int]) -> bytes:
    """A TIFF of one tile of three channels."""
    columns, rows = size
    tags = {
        256: (_LONG, columns),
        257: (_LONG, rows),
        _BITS: (_SHORT, None),
        259: (_SHORT, _JPEG),
        262: (_SHORT, _RGB),
        277: (_SHORT, 3),
        284: (_SHORT, _CONTIGUOUS),
        322: (_LONG, columns),
        323: (_LONG, rows),
        _OFFSET: (_LONG, None),
        325: (_LONG, len(stream)),
    }
    bits_at = 8 + 2 + 12 * len(tags) + 4
    places = {_BITS: bits_at, _OFFSET: bits_at + 6}
    file = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    for tag, (kind, value) in tags.items():
        number = places.get(tag, 0) if value is None else value
        # A short value fills the first half of its field, which little-endian order does by itself.
        file += struct.pack("<HHII", tag, kind, 3 if tag == _BITS else 1, number)
    return file + bytes(4) + struct.pack("<3H", 8, 8, 8) + stream
