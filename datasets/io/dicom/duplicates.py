"""Images that are there twice: dropped where they are the same, refused where they contradict each other."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.io.dicom.frames import Frame, frames_of
from datasets.io.dicom.geometry import heights_mm, is_even, same_places
from datasets.io.dicom.instance import Instance
from datasets.io.dicom.pixels import same_picture

# What tells the volumes of one series apart that lie in the same place: part of the image type, scan, phase, echo.
_PHASES: tuple[Callable[[Frame], str], ...] = (
    lambda frame: "\\".join(frame.kind),
    lambda frame: frame.instance.text("AcquisitionNumber"),
    lambda frame: frame.instance.text("TemporalPositionIdentifier"),
    lambda frame: frame.instance.text("EchoTime"),
)


def once(instances: Sequence[Instance]) -> tuple[list[Instance], list[Repair]]:
    """Instances with one SOPInstanceUID each.

    Raises:
        InputRefused: Two files have one SOPInstanceUID and show different things, or in different places.
    """
    groups = defaultdict(list)
    for instance in instances:
        groups[instance.text("SOPInstanceUID")].append(instance)
    for copies in groups.values():
        for other in copies[1:]:
            if not _same_instance(copies[0], other):
                raise _conflict(
                    "one file per SOPInstanceUID",
                    f"{copies[0].path.name} and {other.path.name} with the same one and different contents",
                )
    extra = len(instances) - len(groups)
    return [copies[0] for copies in groups.values()], _told(extra)


def one_per_place(frames: Sequence[Frame]) -> tuple[list[Frame], list[Repair]]:
    """Frames of one orientation sorted along their normal, one per place.

    Raises:
        InputRefused: Two frames lie in one place and show different things.
    """
    places = same_places(frames)
    for place in places:
        if len(place) > 1 and not same_picture(place):
            raise _conflict(
                "one image per slice position",
                f"different images at one position: {place[0].instance.path.name} and {place[1].instance.path.name}",
            )
    return [place[0] for place in places], _told(len(frames) - len(places))


def by_phase(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Volumes that were scanned in one place and stored in one series: phases, echoes, acquisitions.

    Args:
        frames: Frames of one orientation.

    Returns:
        One list per volume. The frames as one list where they are one volume, where nothing tells several apart, or
        where the parts lie behind each other.
    """
    if is_even(frames):
        return [list(frames)]
    for phase in _PHASES:
        groups = defaultdict(list)
        for frame in frames:
            groups[phase(frame)].append(frame)
        volumes = [groups[name] for name in sorted(groups)]
        if len(volumes) > 1 and all(len(v) > 1 and is_even(v) for v in volumes) and _overlap(volumes, frames[0]):
            return volumes
    return [list(frames)]


def _overlap(volumes: Sequence[Sequence[Frame]], first: Frame) -> bool:
    heights = [heights_mm((first, *volume))[1:] for volume in volumes]
    ends = sorted((float(h.min()), float(h.max())) for h in heights)
    return any(later[0] <= earlier[1] for earlier, later in pairwise(ends))


def _same_instance(one: Instance, other: Instance) -> bool:
    pairs = list(zip(frames_of(one), frames_of(other), strict=False))
    if one.frames != other.frames:
        return False
    return all(_same_place(a, b) and same_picture((a, b)) for a, b in pairs)


def _same_place(one: Frame, other: Frame) -> bool:
    if one.place is None or other.place is None:
        return one.place is other.place
    a, b = one.place, other.place
    return all(
        np.allclose(x, y, atol=1e-3)
        for x, y in (
            (a.position, b.position),
            (a.along_row, b.along_row),
            (a.along_column, b.along_column),
            (a.spacing_mm, b.spacing_mm),
        )
    )


def _told(dropped: int) -> list[Repair]:
    if not dropped:
        return []
    what = "1 image is" if dropped == 1 else f"{dropped} images are"
    return [
        Repair(RepairCode.DUPLICATE_SLICE_DROPPED, f"{what} there twice with the same pixels; one of each was kept")
    ]


def _conflict(expected: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.CONFLICTING_DUPLICATE, expected, got, "remove the files that do not belong to the series"
    )
