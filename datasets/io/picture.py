"""PNG and JPEG in: films, patches and micrographs, without a spacing."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, ImageOps
from PIL import Image as Pillow

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.image import Array, Image, Intensity
from datasets.study import Loaded

SUFFIXES = (".png", ".jpg", ".jpeg")

_FORMATS = ("PNG", "JPEG")
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH_AT = 24
# Colour types with more than one channel: colour, grey with alpha, colour with alpha.
_PNG_CHANNELS = (2, 4, 6)
# What pillow raises for damaged files; it has no class of its own for them.
_BROKEN = (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error)


@dataclass(frozen=True)
class PictureHeader:
    """What a picture says before it is decoded.

    Attributes:
        columns: Number of columns as it is to be shown (EXIF orientation applied).
        rows: Number of rows as it is to be shown.
        kind: "PNG" or "JPEG".
        mode: Pillow's name of the stored pixels.
    """

    columns: int
    rows: int
    kind: str
    mode: str


def read_picture(path: Path) -> Loaded:
    """Read a PNG or JPEG.

    Resolution tags are not trusted: they tell how large to print a picture, so `affine` is None.

    Args:
        path: The file; what it is, its content decides and not its name.

    Returns:
        An image (C, columns, rows, 1): one channel of grey (uint8, or uint16 for 16 bits) or three of colour (uint8).
        An alpha channel is dropped, palettes and CMYK become grey or RGB, 16 bits of several channels become 8, an EXIF
        orientation is applied; each is told.

    Raises:
        InputRefused: `unreadable_file`, `truncated_file`, `unsupported_dimensions` (animations, more pixels than
            pillow's guard against decompression bombs allows).
    """
    repairs = []
    with _opened(path) as picture:
        picture.load()
        turned = ImageOps.exif_transpose(picture) if _orientation(picture) > 1 else picture
        if turned is not picture:
            repairs.append(Repair(RepairCode.ORIENTATION_APPLIED, "the picture was turned as its EXIF tag says"))
        array, told = _pixels(turned)
        deep = "16 bits per channel were reduced to 8 bits" if _is_deep(path) else None
        if told or deep:
            repairs.append(Repair(RepairCode.COLOUR_CONVERTED, "; ".join(part for part in (told, deep) if part)))
    intensity = Intensity.GREY if array.shape[0] == 1 else Intensity.COLOUR
    return Loaded(Image(array[:, np.newaxis].transpose(0, 3, 2, 1), intensity), tuple(repairs))


def read_picture_header(path: Path) -> PictureHeader:
    """Read size and kind without decoding.

    Raises:
        InputRefused: As `read_picture`, but for damage further into the file.
    """
    with _opened(path) as picture:
        columns, rows = picture.size
        if _orientation(picture) >= 5:  # EXIF orientations 5 to 8 exchange rows and columns.
            columns, rows = rows, columns
        return PictureHeader(columns, rows, str(picture.format), picture.mode)


@contextmanager
def _opened(path: Path) -> Iterator[Pillow.Image]:
    try:
        with warnings.catch_warnings():
            # Pillow warns of a bomb above a limit and refuses above twice that; one limit is enough.
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            opened = Pillow.open(path, formats=_FORMATS)
        with opened as picture:
            if getattr(picture, "is_animated", False) and picture.format == "PNG":
                raise _dimensions(path, f"{getattr(picture, 'n_frames', 0)} frames")
            yield picture
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as error:
        raise _dimensions(path, f"more than {Pillow.MAX_IMAGE_PIXELS} pixels") from error
    except _BROKEN as error:
        raise _broken(path, error) from error


def _orientation(picture: Pillow.Image) -> int:
    if picture.format == "PNG" and "exif" not in picture.info:
        return 1  # Asked for what is not there, pillow would decode the whole picture to look behind the pixels.
    value = picture.getexif().get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _pixels(picture: Pillow.Image) -> tuple[Array, str | None]:
    """The pixels as (C, rows, columns), and what was converted."""
    mode = picture.mode
    if mode in ("L", "RGB"):
        return _stacked(picture), None
    if mode == "1":
        return _stacked(picture.convert("L")), None
    if mode.startswith("I"):
        return np.asarray(picture).astype(np.uint16)[np.newaxis], None
    if mode in ("LA", "RGBA"):
        opaque = picture.getchannel("A").getextrema() == (255, 255)
        told = "an opaque alpha channel was dropped" if opaque else "an alpha channel was dropped, transparency ignored"
        return _stacked(picture.convert(mode[:-1])), told
    return _converted(picture)


def _converted(picture: Pillow.Image) -> tuple[Array, str]:
    colour = _stacked(picture.convert("RGB"))
    if picture.mode in ("P", "PA") and (colour == colour[:1]).all():
        return np.ascontiguousarray(colour[:1]), "a palette of greys was turned into grey values"
    return colour, f"{'a palette' if picture.mode in ('P', 'PA') else picture.mode} was turned into RGB"


def _stacked(picture: Pillow.Image) -> Array:
    array = np.asarray(picture)
    return array[np.newaxis] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _is_deep(path: Path) -> bool:
    """Whether a PNG holds 16 bits in each of several channels, which pillow reduces to 8 without a word."""
    with path.open("rb") as file:
        start = file.read(_PNG_DEPTH_AT + 2)
    return start.startswith(_PNG_START) and start[_PNG_DEPTH_AT] == 16 and start[_PNG_DEPTH_AT + 1] in _PNG_CHANNELS


def _broken(path: Path, error: Exception) -> InputRefused:
    if "truncated" in str(error).lower():
        return InputRefused(
            RefusalCode.TRUNCATED_FILE, "a whole picture", f"{error} in {path}", "copy or download the file again"
        )
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "a PNG or JPEG picture",
        f"{type(error).__name__} in {path}",
        "check that the file opens in a viewer",
    )


def _dimensions(path: Path, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSUPPORTED_DIMENSIONS,
        f"one picture of at most {Pillow.MAX_IMAGE_PIXELS} pixels",
        f"{got} in {path}",
        "cut or reduce the picture, or hand its frames in one by one",
    )
