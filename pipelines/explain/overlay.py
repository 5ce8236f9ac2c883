"""A map laid over the picture it explains, with a bar that tells its colours and a line that tells what it is.

Colours: what speaks for the target runs through the anchors of "inferno" (van der Walt and Smith, 2015, CC0), which
grow evenly in lightness and stay in order for the colour-blind; what speaks against it runs to blue. A map that its
score card calls not faithful is laid over in grey, so that nobody reads it by mistake.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

Heat = NDArray[np.float32]
Pixels = NDArray[np.uint8]

_POSITIVE = np.array(
    [(66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84), (221, 81, 58), (243, 120, 25), (252, 165, 10)]
    + [(246, 215, 70), (252, 255, 164)],
    dtype=np.float64,
)
_NEGATIVE = np.array([(12, 44, 92), (20, 92, 168), (66, 146, 214), (150, 204, 240), (214, 236, 252)], dtype=np.float64)
_GREY = np.array([(70, 70, 70), (225, 225, 225)], dtype=np.float64)
_BACKGROUND, _TEXT, _FAINT, _WARNING = (16, 18, 22), (236, 238, 240), (150, 156, 164), (255, 196, 84)
# Of the strongest value: where the map says less, the picture is left as it is.
_SILENT = 0.1
_OPACITY = 0.65
_LONGEST_PX, _SHORTEST_PX = 1024, 384
_BAR_PX, _MARGIN_PX, _LINE_PX = 14, 12, 20


@dataclass(frozen=True)
class Caption:
    """What stands with a picture.

    Attributes:
        title: Label and method.
        details: Probability, scores: one line each.
        warnings: Why the map is not to be believed; a map with any is grey.
    """

    title: str
    details: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def overlay(picture: Pixels, heat: Heat, caption: Caption, pixel_aspect: float = 1.0) -> Pillow.Image:
    """Draw a map over a picture.

    Args:
        picture: (rows, columns) grey or (rows, columns, 3).
        heat: (rows, columns), any scale; 0 is drawn as nothing, below 0 in blue.
        caption: What to write beside it.
        pixel_aspect: Height of a pixel over its width.

    Returns:
        An RGB picture with the overlay, a bar from the lowest to the highest value drawn, and the caption.
    """
    size = _size(picture.shape[0] * pixel_aspect, picture.shape[1])
    base = Pillow.fromarray(np.ascontiguousarray(picture)).convert("RGB").resize(size, Pillow.Resampling.BICUBIC)
    values = np.asarray(Pillow.fromarray(heat.astype(np.float32)).resize(size, Pillow.Resampling.BILINEAR))
    strongest = float(np.abs(heat).max(initial=0.0))
    grey = bool(caption.warnings)
    shares = values / strongest if strongest > 0.0 else np.zeros_like(values)
    blended = _blended(np.asarray(base, dtype=np.float64), shares, grey=grey)
    return _framed(blended, caption, float(heat.min(initial=0.0)), float(heat.max(initial=0.0)), grey=grey)


def colours(shares: NDArray[np.floating], *, grey: bool = False) -> NDArray[np.float64]:
    """(…,) shares of the strongest value, -1 to 1, to RGB (…, 3) in 0 to 255."""
    size = np.abs(shares)
    if grey:
        return _along(_GREY, size)
    return np.where((shares < 0)[..., np.newaxis], _along(_NEGATIVE, size), _along(_POSITIVE, size))


def _along(anchors: NDArray[np.float64], at: NDArray[np.floating]) -> NDArray[np.float64]:
    places = np.linspace(0.0, 1.0, len(anchors))
    return np.stack([np.interp(at, places, anchors[:, channel]) for channel in range(3)], axis=-1)


def _opacity(shares: NDArray[np.floating]) -> NDArray[np.floating]:
    return np.asarray(_OPACITY * np.clip((np.abs(shares) - _SILENT) / (1.0 - _SILENT) * 2.0, 0.0, 1.0))


def _blended(base: NDArray[np.float64], shares: NDArray[np.floating], *, grey: bool) -> Pixels:
    opacity = _opacity(shares)[..., np.newaxis]
    return np.rint((1.0 - opacity) * base + opacity * colours(shares, grey=grey)).astype(np.uint8)


def _size(height: float, width: float) -> tuple[int, int]:
    """(width, height) in pixels, within what is comfortable to look at."""
    scale = min(_LONGEST_PX / max(height, width), max(1.0, _SHORTEST_PX / max(height, width)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _framed(blended: Pixels, caption: Caption, low: float, high: float, *, grey: bool) -> Pillow.Image:
    height, width = blended.shape[:2]
    title, small = _font(15), _font(12)
    lines = [(caption.title, title, _TEXT), *((line, small, _FAINT) for line in caption.details)]
    lines += [(f"not faithful: {reason}", small, _WARNING) for reason in caption.warnings]
    across = max(width + 2 * _MARGIN_PX + _BAR_PX + 64, 2 * _MARGIN_PX + round(max(_wide(*line[:2]) for line in lines)))
    head = _MARGIN_PX + _LINE_PX * len(lines)
    whole = Pillow.new("RGB", (across, head + height + 2 * _MARGIN_PX), _BACKGROUND)
    draw = ImageDraw.Draw(whole)
    for number, (text, font, colour) in enumerate(lines):
        draw.text((_MARGIN_PX, _MARGIN_PX + number * _LINE_PX), text, fill=colour, font=font)
    top = head + _MARGIN_PX // 2
    whole.paste(Pillow.fromarray(blended), (_MARGIN_PX, top))
    _draw_bar(whole, (_MARGIN_PX + width + _MARGIN_PX, top), min(height, 320), (low, high), grey=grey)
    return whole


def _draw_bar(
    whole: Pillow.Image, corner: tuple[int, int], length: int, ends: tuple[float, float], *, grey: bool
) -> None:
    """A bar from the highest value, at its top, to the lowest, which is 0 where nothing speaks against the target."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    strongest = max(abs(low), abs(high))
    values = np.linspace(high, low, length)
    shares = values / strongest if strongest > 0.0 else np.zeros(length)
    opacity = _opacity(shares)[:, np.newaxis]
    # As over a middle grey, so that the bar shows what the picture shows.
    column = (1.0 - opacity) * 96.0 + opacity * colours(shares, grey=grey)
    bar = np.repeat(np.rint(column).astype(np.uint8)[:, np.newaxis], _BAR_PX, axis=1)
    whole.paste(Pillow.fromarray(bar), corner)
    draw = ImageDraw.Draw(whole)
    left, top = corner[0] + _BAR_PX + 6, corner[1]
    for value in dict.fromkeys((high, 0.0, low)):
        share = (high - value) / (high - low) if high > low else 0.0
        draw.text((left, top + share * (length - 1) - 7), f"{value:.3g}", fill=_TEXT, font=_font(12))


def _wide(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> float:
    return float(font.getlength(text))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
