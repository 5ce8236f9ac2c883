"""A contact sheet: a row of axial slices per study, with the outlines of what was found, as one PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw
from scipy.ndimage import binary_opening
from skimage.measure import find_contours

from app.drawing import BACKGROUND, FAINT, OVERSAMPLING, TEXT, TRUTH, Colour, dashes, font
from datasets.image import Array, Image
from datasets.io.atomic import atomic_path
from datasets.labels import LabelSet
from datasets.resampling import reorient

Mask = NDArray[np.bool_]

TILES_PER_ROW = 5
_TILE_PX, _HEADER_PX, _MARGIN_PX = 340, 54, 10
# How radiologists look at slices: i to the patient's left, j to the back, from the feet up.
_DISPLAYED = "LPS"
# The usual window for the abdomen: centre 40 HU, width 400 HU.
_LOW_HU, _HIGH_HU = -160.0, 240.0
_SCALE_BAR_MM = 50.0
# What is shown is the body and a little air around it. A CT table is a few thin lines, thinner than any body.
_TISSUE_HU, _THINNEST_BODY_MM, _AIR_AROUND_MM = -300.0, 20.0, 12.0


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
    sheet = Picture.new("RGB", (width, sum(p.height for p in pictures) + _HEADER_PX), BACKGROUND)
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    _draw_legend(sheet, top, label_set, with_truth=any(row.truth is not None for row in rows))
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


@dataclass(frozen=True)
class _View:
    """The part of every slice of a row that is shown: voxels from `low` to `high` (exclusive) along i and j.

    Attributes:
        low, high: Along i, then j.
        px_per_voxel: Along i, then j, before shrinking.
    """

    low: tuple[int, int]
    high: tuple[int, int]
    px_per_voxel: tuple[float, float]

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height before shrinking."""
        (i, j), (i_end, j_end) = self.low, self.high
        return round((i_end - i) * self.px_per_voxel[0]), round((j_end - j) * self.px_per_voxel[1])

    def cut(self, array: Array, k: int) -> Array:
        """What is shown of slice k: (i, j) of a (1, I, J, K) array."""
        part: Array = array[0, self.low[0] : self.high[0], self.low[1] : self.high[1], k]
        return part


@dataclass(frozen=True)
class _Scene:
    """A row with everything turned the way radiologists look at it."""

    image: Image
    labels: Image
    truth: Image | None

    @classmethod
    def of(cls, row: Row) -> "_Scene":
        truth = reorient(row.truth, _DISPLAYED) if row.truth is not None else None
        return cls(reorient(row.image, _DISPLAYED), reorient(row.labels, _DISPLAYED), truth)

    @property
    def marked(self) -> Array:
        """Highest label found or true, (I, J, K)."""
        found: Array = self.labels.array[0]
        return found if self.truth is None else np.maximum(found, self.truth.array[0])


def _draw_row(row: Row, label_set: LabelSet, width: int) -> Picture.Image:
    scene = _Scene.of(row)
    slices = _slices(scene.marked)
    view = _view(scene, slices)
    tiles = [_draw_tile(scene, view, k, label_set) for k in slices]
    height = _HEADER_PX + max(tile.height for tile in tiles) + _MARGIN_PX
    picture = Picture.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN_PX, 8), row.title, TEXT, font(19))
    draw.text((_MARGIN_PX, 32), row.subtitle, FAINT, font(15))
    for column, tile in enumerate(tiles):
        picture.paste(tile, (_MARGIN_PX + column * (_TILE_PX + _MARGIN_PX), _HEADER_PX))
    return picture


def _slices(marked: Array) -> list[int]:
    """Slices spread over what is labelled, one of them moved to where the lesion is largest."""
    present = np.flatnonzero(np.count_nonzero(marked, axis=(0, 1)))
    low, high = (int(present[0]), int(present[-1])) if present.size else (0, marked.shape[2] - 1)
    chosen = [round(low + (high - low) * (n + 0.5) / TILES_PER_ROW) for n in range(TILES_PER_ROW)]
    lesion = np.count_nonzero(marked > 1, axis=(0, 1))
    if lesion.any():
        best = int(lesion.argmax())
        chosen[int(np.argmin([abs(k - best) for k in chosen]))] = best
    return sorted(set(chosen))


def _view(scene: _Scene, slices: Sequence[int]) -> _View:
    """Everything that is body or marked in the slices shown; the whole slice where there is neither."""
    spacing_mm = scene.image.grid.spacing_mm
    tissue = (scene.image.array[0][:, :, slices] > _TISSUE_HU).any(axis=2)
    body = binary_opening(tissue, np.ones([max(1, round(_THINNEST_BODY_MM / step)) for step in spacing_mm[:2]]))
    shown = body | (scene.marked[:, :, slices] > 0).any(axis=2)
    low, high = [0, 0], list(shown.shape)
    for axis, along in enumerate((shown.any(axis=1), shown.any(axis=0))):
        if (occupied := np.flatnonzero(along)).size:
            air = round(_AIR_AROUND_MM / spacing_mm[axis])
            low[axis] = max(0, int(occupied[0]) - air)
            high[axis] = min(high[axis], int(occupied[-1]) + 1 + air)
    px_per_mm = _TILE_PX * OVERSAMPLING / max((high[a] - low[a]) * spacing_mm[a] for a in (0, 1))
    return _View((low[0], low[1]), (high[0], high[1]), (px_per_mm * spacing_mm[0], px_per_mm * spacing_mm[1]))


def _draw_tile(scene: _Scene, view: _View, k: int, label_set: LabelSet) -> Picture.Image:
    hu = view.cut(scene.image.array, k).T.astype(np.float32)
    grey = np.clip((hu - _LOW_HU) / (_HIGH_HU - _LOW_HU), 0.0, 1.0)
    tile = Picture.fromarray(np.uint8(grey * 255.0)).resize(view.size_px, Picture.Resampling.BICUBIC).convert("RGB")
    draw = ImageDraw.Draw(tile)
    for label in label_set.labels:
        _outline(draw, view.cut(scene.labels.array, k) >= label.index, view.px_per_voxel, label.colour)
        if scene.truth is not None:
            _outline(draw, view.cut(scene.truth.array, k) >= label.index, view.px_per_voxel, TRUTH, dashed=True)
    _annotate(draw, scene.image, k, view)
    width, height = view.size_px
    return tile.resize((width // OVERSAMPLING, height // OVERSAMPLING), Picture.Resampling.LANCZOS)


def _outline(
    draw: ImageDraw.ImageDraw, mask: Mask, px_per_voxel: tuple[float, float], colour: Colour, *, dashed: bool = False
) -> None:
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):  # type: ignore[no-untyped-call]
        # Minus the padding, plus the half voxel between a voxel's centre and its edge.
        points = (contour - 0.5) * px_per_voxel
        if dashed:
            for dash in dashes(points):
                draw.line([tuple(point) for point in dash], colour, width=2 * OVERSAMPLING, joint="curve")
        else:
            draw.line([tuple(point) for point in points], colour, width=2 * OVERSAMPLING, joint="curve")


def _annotate(draw: ImageDraw.ImageDraw, image: Image, k: int, view: _View) -> None:
    edge = 6 * OVERSAMPLING
    width, height = view.size_px
    _write(draw, (edge, height / 2), "R", "lm")
    _write(draw, (width - edge, height / 2), "L", "rm")
    middle = [(low + high - 1) / 2 for low, high in zip(view.low, view.high, strict=True)]
    height_mm = float(image.grid.points_mm([*middle, k])[2])
    _write(draw, (edge, edge), f"slice {k + 1}/{image.shape[2]}   {height_mm:+.0f} mm", "la")
    bar = _SCALE_BAR_MM / image.grid.spacing_mm[0] * view.px_per_voxel[0]
    draw.line((width - edge - bar, height - edge, width - edge, height - edge), TEXT, width=2 * OVERSAMPLING)
    _write(draw, (width - edge - bar / 2, height - 1.5 * edge), "5 cm", "mb")


def _write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, anchor: str) -> None:
    """Write on a slice; the dark rim keeps it legible over bone."""
    rim = 2 * OVERSAMPLING
    draw.text(place, text, TEXT, font(13 * OVERSAMPLING), anchor=anchor, stroke_width=rim, stroke_fill=BACKGROUND)


def _draw_legend(sheet: Picture.Image, top: int, label_set: LabelSet, *, with_truth: bool) -> None:
    draw = ImageDraw.Draw(sheet)
    left, middle = _MARGIN_PX, top + _HEADER_PX // 2
    entries = [(label.name.replace("_", " "), label.colour, False) for label in label_set.labels]
    entries += [("truth", TRUTH, True)] if with_truth else []
    for name, colour, dashed in entries:
        sample = np.array([[left, middle], [left + 28, middle]], dtype=np.float64)
        for part in dashes(sample) if dashed else [sample]:
            draw.line([tuple(point) for point in part], colour, width=3)
        draw.text((left + 36, middle), name, TEXT, font(15), anchor="lm")
        left += 60 + round(draw.textlength(name, font(15)))
    note = "window 40/400 HU   research use only, not a medical device"
    draw.text((sheet.width - _MARGIN_PX, middle), note, FAINT, font(15), anchor="rm")
