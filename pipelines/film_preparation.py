"""From a film as it was read to the pixels a network expects: what is shown, squared, resized, scaled."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from networks.configs import Input
from pipelines.input_scale import on_scale

Grey = NDArray[np.float32]

# Rec. ITU-R BT.601, as pillow and most viewers turn colour into grey.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
# What detectors store; a file of 16 bits seldom uses them all.
_USUAL_BITS = (8, 10, 12, 14, 16)
# Noise on a film that shows nothing reaches a few of 256 greys.
_LEAST_CONTRAST, _TAILS = 0.02, (1.0, 99.0)
# More pixels than these move no hundredth.
_ENOUGH_PX = 1 << 18
# Pixels are taken for square up to this ratio.
_SQUARE = 1.01


def shown(image: Image) -> tuple[Grey, tuple[Repair, ...]]:
    """What a viewer shows of a film.

    Args:
        image: (1 or 3, I, J, 1), one film.

    Returns:
        (rows, columns) from 0, black, to 1, white, rows and columns equally far apart; and what had to be assumed or
        changed.

    Raises:
        InputRefused: It is no single picture (`unsupported_dimensions`), holds what is no number (`not_finite`), or
            shows nothing (`blank_image`).
    """
    if image.shape[2] != 1 or image.channels not in (1, 3):
        got = f"{image.channels} channels of {image.shape[2]} slices"
        raise InputRefused(RefusalCode.UNSUPPORTED_DIMENSIONS, "a film", got, "score volumes with a task for volumes")
    planes = image.array[..., 0].transpose(0, 2, 1)  # (C, rows, columns)
    if not np.isfinite(planes).all():
        raise InputRefused(RefusalCode.NOT_FINITE, "finite values", "NaN or infinity", "check the export of the film")
    low, high, repairs = _range(image)
    values = planes[0].astype(np.float32)
    if not (planes == planes[:1]).all():
        values = np.tensordot(_LUMA, planes.astype(np.float32), axes=1)
        repairs = (*repairs, Repair(RepairCode.COLOUR_CONVERTED, "colours were turned into grey by their brightness"))
    grey = np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)
    if contrast(grey) < _LEAST_CONTRAST:
        got = f"{image.shape[0]} x {image.shape[1]} pixels of one grey, {float(np.median(grey)):.0%} of white"
        raise InputRefused(RefusalCode.BLANK_IMAGE, "a film that shows something", got, "check the export of the film")
    return _with_square_pixels(grey, image), repairs


def contrast(grey: Grey) -> float:
    """From the darkest to the brightest hundredth of a film (rows, columns), as a share of what could be shown."""
    step = max(1, math.isqrt(grey.size // _ENOUGH_PX))
    dark, bright = np.percentile(grey[::step, ::step], _TAILS)
    return float(bright - dark)


def prepared(grey: Grey, expected: Input) -> Image:
    """What a network expects of a film.

    Args:
        grey: As `shown` gives it.
        expected: A property of the weights.

    Returns:
        float32 (channels, columns, rows, 1) without a spacing.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(_squared(grey, expected)))[None, None]
    if expected.size_px is not None:
        size = (expected.size_px, expected.size_px)
        tensor = interpolate(tensor, size, mode="bilinear", align_corners=False, antialias=True)
    scaled = on_scale(tensor.expand(1, expected.channels, -1, -1), expected).numpy()  # (1, C, rows, columns)
    return Image(np.ascontiguousarray(scaled[0])[:, np.newaxis].transpose(0, 3, 2, 1), Intensity.GREY)


def film_mapping(image: Image, expected: Input) -> NDArray[np.float64]:
    """Where a pixel of a film came to lie in what was prepared of it: the way back for maps.

    Args:
        image: As it was read.
        expected: As `prepared` was given it.

    Returns:
        4 x 4, from (0, row, column) of the film to (0, row, column) of the prepared picture, with fractions; outside of
        it where the film was cut.
    """
    read = (image.shape[1], image.shape[0])
    square = _square_pixels(read, image)
    whole, first = _field(square, expected)
    mapping = np.eye(4)
    for axis in (0, 1):
        size = whole[axis] if expected.size_px is None else expected.size_px
        # Edges of pixels meet: x' + 1/2 = (x + 1/2) * ratio, before and behind the cut.
        growth, scale = square[axis] / read[axis], size / whole[axis]
        mapping[axis + 1, axis + 1] = growth * scale
        mapping[axis + 1, 3] = scale * (growth / 2 + first[axis]) - 0.5
    return mapping


def _range(image: Image) -> tuple[float, float, tuple[Repair, ...]]:
    """What is shown black and white, and how that is known."""
    if image.shown is not None:
        return *image.shown, ()
    kind = image.array.dtype
    if kind == np.uint8:
        return 0.0, 255.0, ()
    low, high = float(image.array.min()), float(image.array.max())
    if kind.kind == "u":
        bits = next((bits for bits in _USUAL_BITS if high < 2**bits), 8 * kind.itemsize)
        if bits == 8 * kind.itemsize:
            return 0.0, float(2**bits - 1), ()
        message = f"values reach {high:.0f} of {2 ** (8 * kind.itemsize) - 1}: {2**bits - 1} was taken for white"
        return 0.0, float(2**bits - 1), (Repair(RepairCode.DISPLAY_RANGE_ASSUMED, message),)
    message = f"the file does not say what is black and white: its lowest and highest values, {low:g} and {high:g}"
    return low, max(high, low + 1e-6), (Repair(RepairCode.DISPLAY_RANGE_ASSUMED, message),)


def _with_square_pixels(grey: Grey, image: Image) -> Grey:
    size = _square_pixels((grey.shape[0], grey.shape[1]), image)
    if size == grey.shape:
        return grey
    tensor = torch.from_numpy(grey)[None, None]
    return interpolate(tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()


def _square_pixels(size: tuple[int, int], image: Image) -> tuple[int, int]:
    """Rows and columns of a film once they are equally far apart."""
    if image.affine is None:
        return size
    across_mm, down_mm = image.grid.spacing_mm[:2]
    finest = min(across_mm, down_mm)
    if max(across_mm, down_mm) <= _SQUARE * finest:
        return size
    return round(size[0] * down_mm / finest), round(size[1] * across_mm / finest)


def _squared(grey: Grey, expected: Input) -> Grey:
    whole, (top, left) = _field((grey.shape[0], grey.shape[1]), expected)
    if whole == grey.shape:
        return grey
    if expected.fit == "crop":
        return grey[-top : whole[0] - top, -left : whole[1] - left]
    square = np.zeros(whole, dtype=np.float32)
    square[top : top + grey.shape[0], left : left + grey.shape[1]] = grey
    return square


def _field(size: tuple[int, int], expected: Input) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns that are kept or filled, and where in them the film's first pixel lies, below 0 if it is cut."""
    rows, columns = size
    if rows == columns or expected.fit == "stretch":
        return size, (0, 0)
    edge = min(size) if expected.fit == "crop" else max(size)
    if expected.fit == "crop":
        return (edge, edge), (-((rows - edge) // 2), -((columns - edge) // 2))
    return (edge, edge), ((edge - rows) // 2, (edge - columns) // 2)
