"""Pixels of a film as an image: what a series' `read` calls."""

from math import floor

import numpy as np
from numpy.typing import NDArray

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.geometry import Affine
from datasets.image import Image, Intensity
from datasets.io.dicom.film_display import Range, displayed
from datasets.io.dicom.frames import Frame
from datasets.io.dicom.instance import Instance, lenient
from datasets.io.dicom.pixels import FrameReader, Pixels, is_colour, padding_mask
from datasets.study import Loaded


def read_film(frame: Frame, affine: Affine | None, repairs: tuple[Repair, ...]) -> Loaded:
    """Read a film, photograph or other single image.

    Args:
        frame: The image.
        affine: Its grid, or None where the distance between pixels is unknown.
        repairs: What has been put right so far, told with the result.

    Returns:
        An image (C, columns, rows, 1): one channel, or three for colours. More is always brighter, and `shown` says
        which values are black and white. Padding is black. Grey values are int16 where all are whole and fit, else
        float32.

    Raises:
        InputRefused: Pixels cannot be decoded, are not finite, or are all equal.
    """
    instance = frame.instance
    source = DicomSource((instance.header,), ())
    with lenient():
        stored = FrameReader().stored(frame)
        if is_colour(instance):
            image = _of_colours(stored, instance, affine)
            _check(image.array, frame)
            return Loaded(image, repairs, source)
        mask = padding_mask(stored, instance)
        values, shown = displayed(stored, frame)
    _check(values if mask is None or mask.all() else values[~mask], frame)
    values, told = _with_black_padding(values, mask, shown)
    return Loaded(_grey(values, shown, affine), (*repairs, *told), source)


def _of_colours(stored: Pixels, instance: Instance, affine: Affine | None) -> Image:
    """Red, green and blue (rows, columns, 3): grey where these are equal everywhere, else colours of eight bits."""
    palette = instance.count("SamplesPerPixel", 1) == 1
    bits = 8 * stored.dtype.itemsize if palette else instance.count("BitsStored", 8)
    if (stored == stored[..., :1]).all():
        return _grey(stored[..., 0], (0.0, float(2**bits - 1)), affine)
    planes = np.ascontiguousarray((stored >> max(0, bits - 8)).astype(np.uint8).transpose(2, 0, 1))
    return Image(planes[:, np.newaxis].transpose(0, 3, 2, 1), Intensity.COLOUR, affine)


def _grey(values: Pixels, shown: Range | None, affine: Affine | None) -> Image:
    """One channel from (rows, columns)."""
    limits = np.iinfo(np.int16)
    whole = np.issubdtype(values.dtype, np.integer) and limits.min <= values.min() and values.max() <= limits.max
    planes = values.astype(np.int16 if whole else np.float32)[np.newaxis, np.newaxis]
    return Image(planes.transpose(0, 3, 2, 1), Intensity.GREY, affine, shown)


def _with_black_padding(
    values: Pixels, mask: NDArray[np.bool_] | None, shown: Range | None
) -> tuple[Pixels, tuple[Repair, ...]]:
    """Values (rows, columns) with black where they only fill the rectangle."""
    if mask is None:
        return values, ()
    black = floor(shown[0]) if shown is not None else values[~mask].min(initial=values.max())
    message = f"{100.0 * mask.mean():.1f} % of the pixels are padding and were set to black, {black:g}"
    filled = values.copy()
    filled[mask] = black
    return filled, (Repair(RepairCode.PADDING_REPLACED, message),)


def _check(values: Pixels, frame: Frame) -> None:
    low, high = float(values.min()), float(values.max())
    name = frame.instance.path.name
    if not (np.isfinite(low) and np.isfinite(high)):
        got = f"infinite or undefined values in {name}"
        raise InputRefused(RefusalCode.NOT_FINITE, "finite numbers", got, "export the film again")
    if low == high:
        got = f"{low:g} in every pixel of {name}"
        raise InputRefused(RefusalCode.BLANK_IMAGE, "a film that shows something", got, "check the export of the film")
