"""From the images of one SeriesInstanceUID to volumes and films: told apart, cleaned, or refused with a reason."""

from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import numpy as np

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.io.dicom.duplicates import by_phase, once, one_per_place
from datasets.io.dicom.films import find_films
from datasets.io.dicom.found import Found, refused
from datasets.io.dicom.frames import Frame, frames_of
from datasets.io.dicom.geometry import stack_of
from datasets.io.dicom.instance import Instance
from datasets.io.dicom.pixels import is_colour
from datasets.io.dicom.slides import is_slide, slide_series
from datasets.io.dicom.volume import read_volume
from datasets.study import Series

_VOLUMES = {"CT", "MR", "PT"}
_FILMS = {"CR", "DX", "MG", "RG", "XA", "RF", "IO", "PX"}
# Cosines, and spacings relative to each other, that differ by no more belong to one volume.
_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-4


def series_of(uid: str, instances: Sequence[Instance]) -> tuple[Series, ...]:
    """The volumes and films among the images of one series, or its slide.

    Args:
        uid: SeriesInstanceUID. The largest usable volume keeps it; further ones get "#2", "#3" ….
        instances: Its images, at least one.

    Returns:
        At least one series, usable or refused; the largest usable first.
    """
    slides = [instance for instance in instances if is_slide(instance)]
    if slides:
        others = [instance for instance in instances if not is_slide(instance)]
        return (slide_series(uid, slides), *(series_of(f"{uid}#2", others) if others else ()))
    slices = [instance for instance in instances if _is_slice(instance)]
    films = [instance for instance in instances if not _is_slice(instance)]
    found: list[Found] = []
    for some, find in ((slices, _find_volumes), (films, find_films)):
        if some:
            try:
                found += find(some)
            except InputRefused as refusal:
                found.append(refused(some, refusal))
    found.sort(key=lambda f: (f.refusal is not None, -f.images, f.instances[0].path))
    if len(found) == 1:
        return (found[0].series(uid, ()),)
    return tuple(f.series(uid if n == 1 else f"{uid}#{n}", (_split(n, found),)) for n, f in enumerate(found, start=1))


def is_localizer(instance: Instance) -> bool:
    """Whether an instance as a whole is a scout view, made to plan a scan."""
    return "LOCALIZER" in instance.text("ImageType").upper()


def _is_slice(instance: Instance) -> bool:
    """Whether an image should be a part of a volume."""
    modality = instance.text("Modality")
    return modality in _VOLUMES or (modality not in _FILMS and "ImageOrientationPatient" in instance.header)


def _split(number: int, found: Sequence[Found]) -> Repair:
    sizes = ", ".join(str(f.images) for f in found)
    message = f"one series holds {len(found)} volumes or films (of {sizes} images); this is number {number}"
    return Repair(RepairCode.SERIES_SPLIT, message)


def _find_volumes(instances: Sequence[Instance]) -> list[Found]:
    for instance in instances:
        if instance.problem is not None and not is_localizer(instance):
            raise instance.problem
    unique, repairs = once([instance for instance in instances if instance.problem is None])
    frames = [frame for instance in unique for frame in frames_of(instance)]
    views = [frame for frame in frames if not frame.is_localizer]
    scouts = sum(instance.frames for instance in instances if instance.problem is not None)
    scouts += len(frames) - len(views)
    if not views:
        _refuse_localizers(scouts)
    if scouts:
        message = f"{scouts} of {scouts + len(views)} images are localizers and were left out"
        repairs.append(Repair(RepairCode.LOCALIZER_DROPPED, message))
    groups = _alike(views)
    if len(groups) > 1 and max(len(group) for group in groups) == 1:
        raise InputRefused(
            RefusalCode.MIXED_ORIENTATIONS,
            "slices of one orientation, pixel spacing and size",
            f"{len(groups)} slices, no two alike",
            "score a series whose slices are parallel",
        )
    return [_volume(phase, tuple(repairs)) for group in groups for phase in by_phase(group)]


def _refuse_localizers(number: int) -> NoReturn:
    raise InputRefused(
        RefusalCode.SINGLE_SLICE,
        "a volume of slices",
        f"{number} localizer images and nothing else",
        "score the series that was planned on them",
    )


def _alike(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames of one size, orientation, pixel spacing and frame of reference, group by group."""
    groups: list[list[Frame]] = []
    for frame in frames:
        group = next((group for group in groups if _is_alike(frame, group[0])), None)
        if group is None:
            groups.append([frame])
        else:
            group.append(frame)
    return groups


def _is_alike(one: Frame, other: Frame) -> bool:
    a, b = one.where, other.where
    return bool(
        one.size == other.size
        and one.instance.text("FrameOfReferenceUID") == other.instance.text("FrameOfReferenceUID")
        and np.abs(a.along_row - b.along_row).max() <= _SAME_DIRECTION
        and np.abs(a.along_column - b.along_column).max() <= _SAME_DIRECTION
        and np.allclose(a.spacing_mm, b.spacing_mm, rtol=_SAME_SPACING, atol=0.0)
    )


def _volume(frames: Sequence[Frame], repairs: tuple[Repair, ...]) -> Found:
    instances = tuple(dict.fromkeys(frame.instance for frame in frames))
    try:
        if is_colour(instances[0]):
            _refuse_colour(instances[0])
        single, dropped = one_per_place(frames)
        stack = stack_of(single)
    except InputRefused as refusal:
        return Found(instances, len(frames), None, repairs, refusal)
    told = (*repairs, *dropped, *stack.repairs, *_value_repairs(stack.frames))
    return Found(instances, len(stack.frames), stack.grid, told, partial(read_volume, stack))


def _refuse_colour(instance: Instance) -> NoReturn:
    raise InputRefused(
        RefusalCode.NOT_AN_IMAGE_OBJECT,
        "slices of measured values",
        f"colours ({instance.text('PhotometricInterpretation')}) in {instance.path.name}",
        "score the series they were made from",
    )


def _value_repairs(frames: Sequence[Frame]) -> list[Repair]:
    repairs = []
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if len(scales) > 1:
        message = f"{len(scales)} pairs of slope and intercept among {len(frames)} slices: each slice by its own"
        repairs.append(Repair(RepairCode.RESCALE_PER_SLICE, message))
    unscaled = sum(not frame.scaled for frame in frames if frame.instance.text("Modality") == "CT")
    if unscaled:
        message = f"{unscaled} of {len(frames)} CT slices tell no slope and intercept: stored values were taken as HU"
        repairs.append(Repair(RepairCode.RESCALE_ASSUMED, message))
    if any(frame.instance.text("PhotometricInterpretation") == "MONOCHROME1" for frame in frames):
        message = "MONOCHROME1 asks viewers to show low values bright; the values are as measured"
        repairs.append(Repair(RepairCode.MONOCHROME1_DISPLAY_ONLY, message))
    return repairs
