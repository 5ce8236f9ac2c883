"""A contact sheet of pictures: rows of tiles, each with what a person reads first above it, as one PNG."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from app.drawing import BACKGROUND, FAINT, OVERSAMPLING, TEXT, Colour, Line, dashes, font
from datasets.io.atomic import atomic_path

FOUND = (255, 170, 60)
_TILE_PX, _HEADER_PX, _MARGIN_PX, _LEGEND_PX = 420, 54, 10, 40


@dataclass(frozen=True)
class Outline:
    """A line over a picture.

    Attributes:
        points_px: (n, 2), x then y, in pixels of the picture from its upper left corner.
        colour: Red, green, blue.
        dashed: As truths are drawn.
        name: Written where it begins; "" for none.
    """

    points_px: Line
    colour: Colour = FOUND
    dashed: bool = False
    name: str = ""


@dataclass(frozen=True)
class Tile:
    """One picture.

    Attributes:
        title: What a person reads first.
        subtitle: A second, fainter line.
        pixels: (rows, columns) grey or (rows, columns, 3) colour, uint8.
        outlines: Drawn over it.
    """

    title: str
    subtitle: str
    pixels: NDArray[np.uint8]
    outlines: tuple[Outline, ...] = field(default=())


def box(left: float, top: float, right: float, bottom: float) -> Line:
    """The outline of a box, closed."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], dtype=np.float64)


def write_picture_sheet(tiles: Sequence[Tile], path: Path, *, per_row: int = 4, legend: str = "") -> None:
    """Draw the tiles in rows, and a legend under them.

    Args:
        tiles: At least one; pictures keep their proportions.
        path: Of the PNG.
        per_row: Tiles beside each other.
        legend: What the lines mean.

    Raises:
        ValueError: There is no tile.
    """
    if not tiles:
        raise ValueError("expected at least one tile; got none")
    rows = [tiles[start : start + per_row] for start in range(0, len(tiles), per_row)]
    drawn = [[_draw(tile) for tile in row] for row in rows]
    columns = min(per_row, len(tiles))
    heights = [_HEADER_PX + max(picture.height for picture in row) + _MARGIN_PX for row in drawn]
    width = columns * (_TILE_PX + _MARGIN_PX) + _MARGIN_PX
    sheet = Picture.new("RGB", (width, sum(heights) + _LEGEND_PX), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    top = 0
    for row, pictures, height in zip(rows, drawn, heights, strict=True):
        for column, (tile, picture) in enumerate(zip(row, pictures, strict=True)):
            left = _MARGIN_PX + column * (_TILE_PX + _MARGIN_PX)
            draw.text((left, top + 8), _fitted(draw, tile.title, font(17)), TEXT, font(17))
            draw.text((left, top + 31), _fitted(draw, tile.subtitle, font(13)), FAINT, font(13))
            sheet.paste(picture, (left, top + _HEADER_PX))
        top += height
    note = (
        f"{legend}   research use only, not a medical device" if legend else "research use only, not a medical device"
    )
    draw.text((_MARGIN_PX, top + _LEGEND_PX // 2), note, FAINT, font(14), anchor="lm")
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw(tile: Tile) -> Picture.Image:
    picture = Picture.fromarray(tile.pixels).convert("RGB")
    scale = _TILE_PX * OVERSAMPLING / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    large = picture.resize(size, Picture.Resampling.BICUBIC if scale > 1.0 else Picture.Resampling.BOX)
    draw = ImageDraw.Draw(large)
    for outline in tile.outlines:
        points = outline.points_px * scale
        for part in dashes(points) if outline.dashed else [points]:
            draw.line([tuple(point) for point in part], outline.colour, width=2 * OVERSAMPLING, joint="curve")
        if outline.name:
            place = (float(points[0, 0]) + 6.0, float(points[0, 1]) + 6.0)
            rim, typeface = 2 * OVERSAMPLING, font(12 * OVERSAMPLING)
            draw.text(place, outline.name, outline.colour, typeface, stroke_width=rim, stroke_fill=BACKGROUND)
    shrunk = (max(1, size[0] // OVERSAMPLING), max(1, size[1] // OVERSAMPLING))
    return large.resize(shrunk, Picture.Resampling.LANCZOS)


def _fitted(draw: ImageDraw.ImageDraw, text: str, typeface: "ImageFont.FreeTypeFont | ImageFont.ImageFont") -> str:
    """Text that ends in an ellipsis where it is wider than a tile."""
    if draw.textlength(text, typeface) <= _TILE_PX:
        return text
    while text and draw.textlength(f"{text}…", typeface) > _TILE_PX:
        text = text[:-1]
    return f"{text}…"
