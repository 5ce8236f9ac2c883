"""Pictures for reports: where each called finding lies, as a radiologist looks at it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from app.services.view import Place, PreparedView, View, Window
from app.services.wording import number_text, words

MOST = 6

_WIDTH_PX = 640
_LARGEST_PX = 960
_LINE_PX = 2
_CROSS_PX = (8, 22)  # where its arms begin and end: what lies in the middle stays visible
_MARGIN_PX = 12
_ROOM = 0.04  # around what is not air
_YELLOW, _WHITE = (255, 214, 10), (255, 255, 255)
_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))  # towards which LPS grows, and from where
_BARS_MM = (200, 100, 50, 20, 10, 5, 2, 1)
_BAR_SHARE = 0.3  # of the width, at most

Bytes = NDArray[np.uint8]
Box = tuple[slice, slice]


@dataclass(frozen=True)
class KeyImage:
    """A picture for a report.

    Attributes:
        png: The file.
        size: Width and height in pixels.
        caption: What is seen, where, and how it is shown.
    """

    png: bytes
    size: tuple[int, int]
    caption: str


def key_images(
    prepared: PreparedView, names: Sequence[str] = (), edited: Bytes | None = None, thumbnail: bytes | None = None
) -> tuple[KeyImage, ...]:
    """The pictures of a study: at most six.

    Of a volume the axial slice through each called finding, cropped to the patient, in the view's first window, with
    the outlines of the labels; of a film or picture all of it, with every called finding marked.

    Args:
        prepared: The study as it is shown.
        names: Of the findings, as the tables beside the pictures tell them; their labels where there are none.
        edited: (slices, rows, columns) of the view: a reader's mask, whose outlines are drawn in place of the
            network's.
        thumbnail: Of a slide, a picture that Pillow reads; without one a slide has no picture.

    Returns:
        One for each finding, in the order of the result; none where nothing is called or lies anywhere.

    Raises:
        ValueError: The edited mask is not on the grid of the view.
    """
    view = prepared.view
    if view.kind == "slide":
        return () if thumbnail is None else (_of_slide(thumbnail),)
    if edited is not None and edited.shape != view.shape[::-1]:
        raise ValueError(f"expected a mask {view.shape[::-1]}; got {edited.shape}")
    labels = prepared.labels() if edited is None else edited
    places = [place for place in view.places if place.positive and place.at is not None]
    whose = "reader's outlines" if edited is not None else "network's outlines" if labels is not None else ""
    if view.kind == "volume":
        return tuple(_slice(prepared, place, labels, (_named(place, names), whose)) for place in places[:MOST])
    named = dict.fromkeys(_named(place, names) for place in places[:MOST])
    return (_whole(prepared, places, labels, (f"marked: {', '.join(named)}" if named else "", whose)),)


def _slice(prepared: PreparedView, place: Place, labels: Bytes | None, said: tuple[str, str]) -> KeyImage:
    view = prepared.view
    i, j, k = _voxel(place, view)
    grey = _grey(prepared.image()[k], view)
    outlines = None if labels is None else np.asarray(labels[k])
    box = _patient(grey, (j, i), outlines)
    picture = _Drawing(grey[box], view, None if outlines is None else outlines[box])
    picture.cross((i - box[1].start, j - box[0].start))
    picture.letters(0, 1)
    picture.bar()
    return picture.finished([said[0], f"slice {k + 1} of {view.shape[2]}", _window_text(view), said[1]])


def _whole(prepared: PreparedView, places: Sequence[Place], labels: Bytes | None, said: tuple[str, str]) -> KeyImage:
    view = prepared.view
    pixels = np.asarray(prepared.image()[0])
    shown = pixels if view.kind == "colour" else _grey(pixels, view)
    picture = _Drawing(shown, view, None if labels is None else np.asarray(labels[0]))
    for place in places[:MOST]:
        i, j, _ = _voxel(place, view)
        picture.cross((i, j))
    if view.kind == "film":
        picture.letters(0, 1)
    picture.bar()
    return picture.finished(["whole image", said[0], _window_text(view), said[1]])


def _of_slide(thumbnail: bytes) -> KeyImage:
    with Picture.open(io.BytesIO(thumbnail)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_LARGEST_PX, _LARGEST_PX))
    return KeyImage(_png(picture), picture.size, "whole slide")


class _Drawing:
    """A plane on square pixels, with what is drawn over it.

    Args:
        pixels: (rows, columns) or (rows, columns, 3) uint8.
        view: Whose spacing, directions and colours count.
        labels: (rows, columns), or None.
    """

    def __init__(self, pixels: Bytes, view: View, labels: Bytes | None) -> None:
        rows, columns = pixels.shape[:2]
        self._view = view
        across, down = view.spacing_mm[:2] if view.spacing_mm else (1.0, 1.0)
        fine = min(_WIDTH_PX / (columns * across), _LARGEST_PX / (rows * down))
        self._scale = (fine * across, fine * down)  # pixels of the picture for one of the plane
        self._per_mm = fine if view.spacing_mm else None
        size = (max(1, round(columns * self._scale[0])), max(1, round(rows * self._scale[1])))
        picture = Picture.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
        self._picture = picture.resize(size, Picture.Resampling.BICUBIC)
        if labels is not None:
            shown = np.array(self._picture)
            large = np.asarray(Picture.fromarray(np.ascontiguousarray(labels)).resize(size, Picture.Resampling.NEAREST))
            for label in view.labels:
                shown[_outline(large, label.index)] = label.colour
            self._picture = Picture.fromarray(shown)
        self._draw = ImageDraw.Draw(self._picture)

    def cross(self, at: tuple[int, int]) -> None:
        """Mark a pixel (column, row) of the plane, leaving its middle free."""
        x, y = ((value + 0.5) * scale for value, scale in zip(at, self._scale, strict=True))
        inner, outer = _CROSS_PX
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            ends = (x + dx * inner, y + dy * inner, x + dx * outer, y + dy * outer)
            self._draw.line(ends, fill=(0, 0, 0), width=4)
            self._draw.line(ends, fill=_YELLOW, width=2)

    def letters(self, across: int, down: int) -> None:
        """Where left, right, top and bottom lie in the patient; nothing where that is unknown."""
        directions = self._view.directions
        if directions is None:
            return
        width, height = self._picture.size
        right, bottom = _letter(directions[across]), _letter(directions[down])
        self._text((_MARGIN_PX, height / 2), right[1], "lm")
        self._text((width - _MARGIN_PX, height / 2), right[0], "rm")
        self._text((width / 2, _MARGIN_PX), bottom[1], "mt")
        self._text((width / 2, height - _MARGIN_PX), bottom[0], "mb")

    def bar(self) -> None:
        """A bar of a round length; nothing where the spacing is unknown."""
        if self._per_mm is None:
            return
        width, height = self._picture.size
        longest = width * _BAR_SHARE / self._per_mm
        length = next((mm for mm in _BARS_MM if mm <= longest), None)
        if length is None:
            return
        x, y = width - _MARGIN_PX, height - _MARGIN_PX
        for colour, line in (((0, 0, 0), 6), (_WHITE, 3)):
            self._draw.line((x - length * self._per_mm, y, x, y), fill=colour, width=line)
        self._text((x, y - 8), f"{length} mm", "rb")

    def finished(self, told: Sequence[str]) -> KeyImage:
        """The picture, and what is told of it, blanks left out."""
        return KeyImage(_png(self._picture), self._picture.size, ", ".join(text for text in told if text))

    def _text(self, at: tuple[float, float], text: str, anchor: str) -> None:
        font = ImageFont.load_default(18)
        self._draw.text(at, text, fill=_WHITE, font=font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _outline(labels: Bytes, index: int) -> NDArray[np.bool_]:
    """The rim of a label, from within.

    The border of the picture is no rim, nor is the one to a label of a higher index, which has a rim of its own: a
    lesion lies in its organ.
    """
    inner: NDArray[np.bool_] = binary_erosion(labels >= index, iterations=_LINE_PX, border_value=1)
    rim: NDArray[np.bool_] = (labels == index) & ~inner
    return rim


def _grey(values: NDArray[np.generic], view: View) -> Bytes:
    """Stored numbers (rows, columns) through the view's first window; from lowest to highest where it has none."""
    real = values.astype(np.float64) * view.slope + view.intercept
    window = _window(view)
    low = float(real.min()) if window is None else window.centre - window.width / 2
    wide = max(float(np.ptp(real)), 1e-9) if window is None else window.width
    return np.rint(np.clip((real - low) / wide, 0.0, 1.0) * 255.0).astype(np.uint8)


def _window(view: View) -> Window | None:
    return view.windows[0] if view.windows else None


def _window_text(view: View) -> str:
    window = _window(view)
    if window is None:
        return ""
    told = f"{window.name}: centre {number_text(window.centre)}, width {number_text(window.width)} {view.unit}"
    return told.rstrip()


def _patient(grey: Bytes, at: tuple[int, int], labels: Bytes | None) -> Box:
    """The box (rows, columns) around everything that is not black, the finding and the labels, with some room."""
    seen: NDArray[np.bool_] = grey > 0
    seen[at] = True
    if labels is not None:
        seen |= labels > 0
    rows, columns = (np.asarray(seen.any(axis=axis)) for axis in (1, 0))
    return _around(rows), _around(columns)


def _around(seen: NDArray[np.bool_]) -> slice:
    there = np.flatnonzero(seen)
    room = round(seen.size * _ROOM)
    return slice(max(0, int(there[0]) - room), min(seen.size, int(there[-1]) + 1 + room))


def _voxel(place: Place, view: View) -> tuple[int, int, int]:
    at = np.zeros(3) if place.at is None else np.resize(np.asarray((*place.at, 0.0), dtype=np.float64), 3)
    i, j, k = np.clip(np.rint(at), 0, np.asarray(view.shape) - 1).astype(int)
    return int(i), int(j), int(k)


def _named(place: Place, names: Sequence[str]) -> str:
    return words(names[place.finding] if place.finding < len(names) else place.label)


def _letter(direction: tuple[float, float, float]) -> tuple[str, str]:
    """To where and from where an axis runs in the patient, by its largest part (LPS)."""
    axis = int(np.argmax(np.abs(direction)))
    to, back = _LETTERS[axis]
    return (to, back) if direction[axis] > 0 else (back, to)


def _png(picture: Picture.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
