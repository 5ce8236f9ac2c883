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
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_POSITIVE = np.array(
    [(66, 10, 104), (106, 23, 110), (147, 38, 103), (188, 55, 84), (221, 81, 58), (243, 120, 25), (252, 165, 10)]
    + [(246, 215, 70), (252, 255, 164)],
    dtype=np.float64,
)
_NEGATIVE = np.array([(12, 44, 92), (20, 92, 168), (66, 146, 214), (150, 204, 240), (214, 236, 252)], dtype=np.float64)
_GREY = np.array([(70, 70, 70), (225, 225, 225)], dtype=np.float64)
BACKGROUND, TEXT, FAINT, WARNING = (16, 18, 22), (236, 238, 240), (150, 156, 164), (255, 196, 84)
# Of the strongest value: where the map says less, the picture is left as it is.
_SILENT = 0.1
_OPACITY = 0.65
_LONGEST_PX, _SHORTEST_PX = 1024, 384
_BAR_PX, _MARGIN_PX, _LINE_PX, _USUAL_PX = 14, 12, 20, 512


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
    grey = bool(caption.warnings)
    blended = blend(picture, heat, _size(picture.shape[0] * pixel_aspect, picture.shape[1]), grey=grey)
    return _framed(blended, caption, float(heat.min(initial=0.0)), float(heat.max(initial=0.0)), grey=grey)


def blend(picture: Pixels, heat: Heat, size: tuple[int, int], *, grey: bool) -> Pixels:
    """A picture (rows, columns) or (rows, columns, 3) with a map over it, at a size (width, height): RGB."""
    base = Pillow.fromarray(np.ascontiguousarray(picture)).convert("RGB").resize(size, Pillow.Resampling.BICUBIC)
    values = np.asarray(Pillow.fromarray(heat.astype(np.float32)).resize(size, Pillow.Resampling.BILINEAR))
    strongest = float(np.abs(heat).max(initial=0.0))
    shares = values / strongest if strongest > 0.0 else np.zeros_like(values)
    return _blended(np.asarray(base, dtype=np.float64), shares, grey=grey)


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
    scale = float(np.clip(width / _USUAL_PX, 1.0, 2.0))  # Type that can be read at the size the whole is shown.
    margin, line, bar = (round(size * scale) for size in (_MARGIN_PX, _LINE_PX, _BAR_PX))
    title, small = font_of(round(15 * scale)), font_of(round(12 * scale))
    lines = [(caption.title, title, TEXT), *((text, small, FAINT) for text in caption.details)]
    lines += [(f"not faithful: {reason}", small, WARNING) for reason in caption.warnings]
    inner = width + 2 * margin + bar + round(52 * scale)
    wrapped = [
        (part, font, colour) for text, font, colour in lines for part in _wrapped(text, font, inner - 2 * margin)
    ]
    head = margin + line * len(wrapped)
    whole = Pillow.new("RGB", (inner, head + height + margin + margin // 2), BACKGROUND)
    draw = ImageDraw.Draw(whole)
    for number, (text, font, colour) in enumerate(wrapped):
        draw.text((margin, margin // 2 + number * line), text, fill=colour, font=font)
    whole.paste(Pillow.fromarray(blended), (margin, head + margin // 2))
    column, labels = _bar(min(height, round(320 * scale)), (low, high), grey=grey)
    corner = (2 * margin + width, head + margin // 2)
    whole.paste(Pillow.fromarray(np.repeat(column[:, np.newaxis], bar, axis=1)), corner)
    for text, share in labels:
        at = corner[1] + share * (len(column) - 1) - 7 * scale
        draw.text((corner[0] + bar + margin // 2, at), text, fill=TEXT, font=small)
    return whole


def _bar(length: int, ends: tuple[float, float], *, grey: bool) -> tuple[Pixels, list[tuple[str, float]]]:
    """Colours (length, 3) from the highest value down to the lowest, 0 among them, and where which value stands."""
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    strongest = max(abs(low), abs(high))
    values = np.linspace(high, low, length)
    shares = values / strongest if strongest > 0.0 else np.zeros(length)
    opacity = _opacity(shares)[:, np.newaxis]
    # As over a middle grey, so that the bar shows what the picture shows.
    column = np.rint((1.0 - opacity) * 96.0 + opacity * colours(shares, grey=grey)).astype(np.uint8)
    span = high - low
    told = [(f"{value:.3g}", (high - value) / span if span > 0.0 else 0.0) for value in dict.fromkeys((high, 0.0, low))]
    return column, told


def _wrapped(text: str, font: Font, width: int) -> list[str]:
    """A text in lines that are no wider than allowed, or than a word."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def font_of(size: int) -> Font:
    """The typeface of captions."""
    return ImageFont.load_default(size)
