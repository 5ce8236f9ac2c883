"""A sheet of patches: each one asked about, and those of an index that look most like it, as one PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from datasets.io.atomic import atomic_path

_TILE_PX, _GAP_PX, _LINE_PX = 144, 12, 18
_BACKGROUND, _TEXT, _FAINT = (250, 250, 248), (28, 30, 34), (112, 118, 126)
_ASKED, _ABSENT = (28, 92, 160), (224, 224, 222)
_FRAME_PX = 3
# Room for two lines of text below each patch, and one for the foot of the sheet.
_CAPTION_PX, _FOOT_PX = 2 * _LINE_PX + 6, 30
_FOOT = "similarity is the cosine of a network's features, no diagnosis   research use only, not a medical device"


@dataclass(frozen=True)
class Tile:
    """One patch.

    Attributes:
        pixels: (H, W, 3) uint8; None where its file is not at hand.
        title: First line below it.
        subtitle: Second, fainter line.
    """

    pixels: NDArray[np.uint8] | None
    title: str
    subtitle: str = ""


def write_patch_sheet(rows: Sequence[Sequence[Tile]], path: Path) -> None:
    """Draw rows of patches, the first of each framed: it is the one that was asked about.

    Raises:
        ValueError: There is no patch.
    """
    most = max((len(row) for row in rows), default=0)
    if not most:
        raise ValueError("expected at least one patch; got none")
    # The patch asked about stands apart from its neighbours.
    width = _GAP_PX + most * (_TILE_PX + _GAP_PX) + _GAP_PX
    high = _TILE_PX + _CAPTION_PX + _GAP_PX
    sheet = Picture.new("RGB", (max(width, _foot_px()), _GAP_PX + len(rows) * high + _FOOT_PX), _BACKGROUND)
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            left = _GAP_PX + column * (_TILE_PX + _GAP_PX) + (_GAP_PX if column else 0)
            _draw(sheet, (left, _GAP_PX + number * high), tile, asked=column == 0)
    ImageDraw.Draw(sheet).text((_GAP_PX, sheet.height - _FOOT_PX // 2), _FOOT, _FAINT, _font(13), anchor="lm")
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw(sheet: Picture.Image, corner: tuple[int, int], tile: Tile, *, asked: bool) -> None:
    left, top = corner
    draw = ImageDraw.Draw(sheet)
    box = (left, top, left + _TILE_PX - 1, top + _TILE_PX - 1)
    if tile.pixels is None:
        draw.rectangle(box, _ABSENT)
        draw.text((left + _TILE_PX / 2, top + _TILE_PX / 2), "not at hand", _FAINT, _font(13), anchor="mm")
    else:
        sheet.paste(_fitted(tile.pixels), (left, top))
    if asked:
        out = (box[0] - _FRAME_PX, box[1] - _FRAME_PX, box[2] + _FRAME_PX, box[3] + _FRAME_PX)
        draw.rectangle(out, outline=_ASKED, width=_FRAME_PX)
    for line, (text, colour) in enumerate(((tile.title, _TEXT), (tile.subtitle, _FAINT))):
        draw.text((left, top + _TILE_PX + 6 + line * _LINE_PX), _short(draw, text), colour, _font(13))


def _fitted(pixels: NDArray[np.uint8]) -> Picture.Image:
    """A square tile; oblong patches keep their shape, with the background beside them."""
    picture = Picture.fromarray(pixels)
    scale = _TILE_PX / max(picture.size)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    tile = Picture.new("RGB", (_TILE_PX, _TILE_PX), _BACKGROUND)
    tile.paste(picture.resize(size, Picture.Resampling.LANCZOS), ((_TILE_PX - size[0]) // 2, (_TILE_PX - size[1]) // 2))
    return tile


def _short(draw: ImageDraw.ImageDraw, text: str) -> str:
    """As much of a text as fits below a patch; the end of a file's name says more than its beginning."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    while len(shown) > 1 and draw.textlength(shown, _font(13)) > _TILE_PX:
        shown = "…" + shown.lstrip("…")[1:]
    return shown


def _foot_px() -> int:
    measure = ImageDraw.Draw(Picture.new("RGB", (1, 1)))
    return round(measure.textlength(_FOOT, _font(13))) + 2 * _GAP_PX


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
