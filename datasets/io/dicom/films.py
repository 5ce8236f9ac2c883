"""Projection films, photographs and captures: single images without a place in the patient."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from datasets.codes import Repair, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import Affine, Grid
from datasets.io.dicom.duplicates import once
from datasets.io.dicom.film_display import is_inverted
from datasets.io.dicom.film_pixels import read_film
from datasets.io.dicom.found import Found, refused
from datasets.io.dicom.frames import frames_of, many_frames
from datasets.io.dicom.instance import Instance, numbers_of
from datasets.io.dicom.pixels import is_colour

# Where a film says how far its pixels are apart, the better source first.
_SPACINGS = (("PixelSpacing", "in the patient or calibrated"), ("ImagerPixelSpacing", "at the detector"))


def find_films(instances: Sequence[Instance]) -> list[Found]:
    """The films of a series: each is one.

    Raises:
        InputRefused: Two files have one SOPInstanceUID and different contents.
    """
    sound = [instance for instance in instances if instance.problem is None]
    broken = [refused([i], i.problem) for i in instances if i.problem is not None]
    unique, repairs = once(sound)
    return [_film(instance, tuple(repairs)) for instance in unique] + broken


def _film(instance: Instance, repairs: tuple[Repair, ...]) -> Found:
    try:
        frames = frames_of(instance)
    except InputRefused as refusal:
        return refused([instance], refusal)
    if len(frames) > 1:
        return refused([instance], many_frames(instance))
    rows, columns = frames[0].size
    affine, note = _affine(instance)
    kind = instance.text("PhotometricInterpretation")
    if is_inverted(instance):
        why = kind if kind == "MONOCHROME1" else "presentation LUT of shape INVERSE"
        repairs += (Repair(RepairCode.MONOCHROME1_INVERTED, f"{why}: black and white were exchanged"),)
    if is_colour(instance):
        message = f"{kind} was converted to red, green and blue of 8 bits, or to grey where these are equal everywhere"
        repairs += (Repair(RepairCode.COLOUR_CONVERTED, message),)
    grid = None if affine is None else Grid((columns, rows, 1), affine)
    return Found((instance,), 1, grid, repairs, partial(read_film, frames[0], affine), note)


def _affine(instance: Instance) -> tuple[Affine | None, str]:
    """The spacing of a film as an affine without place or direction, and where it comes from in words."""
    for keyword, where in _SPACINGS:
        spacing = numbers_of(instance.header, keyword, 2)
        if spacing is not None and min(spacing) > 0:
            note = f"{keyword} {spacing[1]:g} x {spacing[0]:g} mm ({where})"
            return np.diag([spacing[1], spacing[0], 1.0, 1.0]), note
    return None, "spacing unknown"
