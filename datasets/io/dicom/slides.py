"""Whole slide microscopy among DICOM images: one series is one slide, its levels are instances."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.io.dicom.found import Found, refused
from datasets.io.dicom.instance import PARSE_ERRORS, Instance, numbers_of
from datasets.io.slide_image import SlideAsImage
from datasets.slide import Slide
from datasets.slide_levels import description_of
from datasets.study import Series

_WHOLE_SLIDE_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1.6"
# Pictures of the glass, not of the specimen under the microscope.
_BESIDE = {"LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER"}


@dataclass(frozen=True)
class WsmFiles:
    """Opens a slide's files; picklable.

    Attributes:
        files: The files of all levels.
        name: What to call them.
    """

    files: tuple[Path, ...]
    name: str

    def __call__(self) -> Slide:
        """Open them.

        Raises:
            InputRefused: As `datasets.io.slide.wsm.WsmSlide`.
        """
        # By name: wsidicom takes a second to import, and most DICOM is no slide.
        slide: Slide = import_module("datasets.io.slide.wsm").WsmSlide(self.files, self.name)
        return slide


def is_slide(instance: Instance) -> bool:
    """Whether an instance is of a whole slide, or of its label or overview."""
    return instance.text("SOPClassUID") == _WHOLE_SLIDE_MICROSCOPY


def slide_series(uid: str, instances: Sequence[Instance]) -> Series:
    """The slide of one series.

    Args:
        uid: SeriesInstanceUID.
        instances: Its images, at least one, of which `is_slide` holds.

    Returns:
        A series with `slide`, or a refused one.
    """
    levels = [instance for instance in instances if not _BESIDE & _flavours(instance)]
    try:
        if not levels:
            _refuse_beside(instances)
        levels, repairs = _once(levels)
        broken = next((instance.problem for instance in levels if instance.problem is not None), None)
        if broken is not None:
            raise broken
    except InputRefused as refusal:
        return replace(refused(instances, refusal).series(uid, ()), modality="SM")
    finest = max(levels, key=lambda instance: instance.count("TotalPixelMatrixColumns"))
    size = (finest.count("TotalPixelMatrixColumns"), finest.count("TotalPixelMatrixRows"))
    sizes = {instance.count("TotalPixelMatrixColumns") for instance in levels}
    name = finest.path.name if len(levels) == 1 else f"{finest.path.name} and {len(levels) - 1} more files of its slide"
    opener = WsmFiles(tuple(instance.path for instance in levels), name)
    found = Found((finest,), 1, None, repairs, SlideAsImage(opener))
    return replace(
        found.series(uid, ()),
        modality="SM",
        description=description_of("DICOM WSM", size, len(sizes), _mpp(finest), f", {finest.transfer_syntax.name}"),
        slide=opener,
    )


def _flavours(instance: Instance) -> set[str]:
    return set(re.findall(r"[A-Z_]+", instance.text("ImageType").upper()))


def _refuse_beside(instances: Sequence[Instance]) -> NoReturn:
    raise InputRefused(
        RefusalCode.NOT_AN_IMAGE_OBJECT,
        "a slide's specimen under the microscope",
        f"its label or overview alone, {instances[0].path.name}",
        "give the files of the slide's levels too",
    )


def _once(levels: Sequence[Instance]) -> tuple[list[Instance], tuple[Repair, ...]]:
    """One file per SOPInstanceUID; copies of one size are taken to be the same, for slides are too large to compare."""
    kept: dict[str, Instance] = {}
    for instance in levels:
        first = kept.setdefault(instance.text("SOPInstanceUID"), instance)
        if first.path.stat().st_size != instance.path.stat().st_size:
            raise InputRefused(
                RefusalCode.CONFLICTING_DUPLICATE,
                "one file per SOPInstanceUID",
                f"{first.path.name} and {instance.path.name} with the same one and different contents",
                "keep the one that belongs to the slide",
            )
    extra = len(levels) - len(kept)
    if not extra:
        return list(kept.values()), ()
    return list(kept.values()), (Repair(RepairCode.DUPLICATE_SLICE_DROPPED, f"{extra} copies of files were left out"),)


def _mpp(finest: Instance) -> tuple[float, float] | None:
    try:
        measures = finest.header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    except (*PARSE_ERRORS, IndexError):
        return None
    spacing = numbers_of(measures, "PixelSpacing", 2)
    if spacing is None or min(spacing) <= 0:
        return None
    return spacing[1] * 1000, spacing[0] * 1000
