"""A contact sheet: a row of axial slices per study, with the outlines of what was found, as one PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from skimage.measure import find_contours

from datasets.image import Image
from datasets.io.atomic import atomic_path
from datasets.labels import LabelSet
from datasets.resampling import reorient

Colour = tuple[int, int, int]

TILES_PER_ROW = 5
_TILE_PX, _HEADER_PX, _MARGIN_PX = 340, 54, 10
_BACKGROUND, _TEXT, _FAINT, _TRUTH = (16, 18, 22), (236, 238, 240), (150, 156, 164), (255, 255, 255)
# Drawn larger and shrunk, so that outlines are smooth.
_OVERSAMPLING = 2
# The usual window for the abdomen: centre 40 HU, width 400 HU.
_LOW_HU, _HIGH_HU = -160.0, 240.0
_SCALE_BAR_MM = 50.0


@dataclass(frozen=True)
class Row:
    """One study on the sheet.

    Attributes:
        title: What a person reads first.
        subtitle: A second, fainter line.
        image: The scan in HU, with an affine.
        labels: What was found, on the same grid.
        truth: What was there, on the same grid, drawn dashed in white; None where unknown.
    """

    title: str
    subtitle: str
    image: Image
    labels: Image
    truth: Image | None = None


def write_contact_sheet(rows: Sequence[Row], label_set: LabelSet, path: Path) -> None:
    """Draw the rows below each other, and a legend under them.

    Slices are shown as radiologists look at them: from the feet, the patient's right on the left of the picture, with
    pixels of equal size in mm. The slice with the largest lesion is always among them.

    Raises:
        ValueError: There is no row.
    """
    if not rows:
        raise ValueError("expected at least one row; got none")
    width = TILES_PER_ROW * (_TILE_PX + _MARGIN_PX) + _MARGIN_PX
    pictures = [_draw_row(row, label_set, width) for row in rows]
    sheet = Picture.new("RGB", (width, sum(p.height for p in pictures) + _HEADER_PX), _BACKGROUND)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    _draw_legend(sheet, top, label_set, with_truth=any(row.truth is not None for row in rows))
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw_row(row: Row, label_set: LabelSet, width: int) -> Picture.Image:
    image, labels = reorient(row.image, "LPS"), reorient(row.labels, "LPS")
    truth = reorient(row.truth, "LPS") if row.truth is not None else None
    tiles = [_draw_tile(image, labels, truth, k, label_set) for k in _slices(labels, truth)]
    height = _HEADER_PX + max(tile.height for tile in tiles) + _MARGIN_PX
    picture = Picture.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN_PX, 8), row.title, _TEXT, _font(19))
    draw.text((_MARGIN_PX, 32), row.subtitle, _FAINT, _font(15))
    for column, tile in enumerate(tiles):
        picture.paste(tile, (_MARGIN_PX + column * (_TILE_PX + _MARGIN_PX), _HEADER_PX))
    return picture


def _slices(labels: Image, truth: Image | None) -> list[int]:
    """Slices spread over what is labelled, one of them moved to where the lesion is largest."""
    found = labels.array[0] if truth is None else np.maximum(labels.array[0], truth.array[0])
    area = np.count_nonzero(found, axis=(0, 1))
    present = np.flatnonzero(area)
    low, high = (int(present[0]), int(present[-1])) if present.size else (0, found.shape[2] - 1)
    chosen = [round(low + (high - low) * (n + 0.5) / TILES_PER_ROW) for n in range(TILES_PER_ROW)]
    lesion = np.count_nonzero(found > 1, axis=(0, 1))
    if lesion.any():
        best = int(lesion.argmax())
        chosen[int(np.argmin([abs(k - best) for k in chosen]))] = best
    return sorted(set(chosen))


def _draw_tile(image: Image, labels: Image, truth: Image | None, k: int, label_set: LabelSet) -> Picture.Image:
    size = _TILE_PX * _OVERSAMPLING
    extent_mm = [n * s for n, s in zip(image.shape[:2], image.grid.spacing_mm[:2], strict=True)]
    px_per_mm = size / max(extent_mm)
    shown = (round(extent_mm[0] * px_per_mm), round(extent_mm[1] * px_per_mm))
    grey = np.clip((image.array[0, :, :, k].T.astype(np.float32) - _LOW_HU) / (_HIGH_HU - _LOW_HU), 0.0, 1.0)
    tile = Picture.fromarray(np.uint8(grey * 255.0)).resize(shown, Picture.Resampling.BICUBIC).convert("RGB")
    draw = ImageDraw.Draw(tile)
    px_per_voxel = (shown[0] / image.shape[0], shown[1] / image.shape[1])
    for label in label_set.labels:
        _outline(draw, labels.array[0, :, :, k] >= label.index, px_per_voxel, label.colour)
        if truth is not None:
            _outline(draw, truth.array[0, :, :, k] >= label.index, px_per_voxel, _TRUTH, dashed=True)
    _annotate(draw, image, k, shown, px_per_mm)
    return tile.resize((shown[0] // _OVERSAMPLING, shown[1] // _OVERSAMPLING), Picture.Resampling.LANCZOS)


def _outline(
    draw: ImageDraw.ImageDraw,
    mask: NDArray[np.bool_],
    px_per_voxel: tuple[float, float],
    colour: Colour,
    dashed: bool = False,
) -> None:
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):  # type: ignore[no-untyped-call]
        # Minus the padding, plus the half voxel between a voxel's centre and its edge.
        points = [(float(i - 0.5) * px_per_voxel[0], float(j - 0.5) * px_per_voxel[1]) for i, j in contour]
        if not dashed:
            draw.line(points, colour, width=2 * _OVERSAMPLING, joint="curve")
            continue
        for start in range(0, len(points) - 3, 8):
            draw.line(points[start : start + 4], colour, width=_OVERSAMPLING)


def _annotate(draw: ImageDraw.ImageDraw, image: Image, k: int, shown: tuple[int, int], px_per_mm: float) -> None:
    font = _font(13 * _OVERSAMPLING)
    edge = 6 * _OVERSAMPLING
    middle = shown[1] / 2
    draw.text((edge, middle), "R", _FAINT, font, anchor="lm")
    draw.text((shown[0] - edge, middle), "L", _FAINT, font, anchor="rm")
    height_mm = float(image.grid.points_mm([0, 0, k])[2])
    draw.text((edge, edge), f"slice {k + 1}/{image.shape[2]}   {height_mm:+.0f} mm", _FAINT, font)
    bar = _SCALE_BAR_MM * px_per_mm
    line = (shown[0] - edge - bar, shown[1] - edge, shown[0] - edge, shown[1] - edge)
    draw.line(line, _FAINT, width=2 * _OVERSAMPLING)
    draw.text((line[0] + bar / 2, line[1] - edge / 2), "5 cm", _FAINT, font, anchor="mb")


def _draw_legend(sheet: Picture.Image, top: int, label_set: LabelSet, *, with_truth: bool) -> None:
    draw = ImageDraw.Draw(sheet)
    left, middle = _MARGIN_PX, top + _HEADER_PX // 2
    entries = [(label.name.replace("_", " "), label.colour) for label in label_set.labels]
    entries += [("truth (dashed)", _TRUTH)] if with_truth else []
    for name, colour in entries:
        draw.line((left, middle, left + 28, middle), colour, width=3)
        draw.text((left + 36, middle), name, _TEXT, _font(15), anchor="lm")
        left += 60 + round(draw.textlength(name, _font(15)))
    note = "window 40/400 HU   research use only, not a medical device"
    draw.text((sheet.width - _MARGIN_PX, middle), note, _FAINT, _font(15), anchor="rm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
