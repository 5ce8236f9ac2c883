"""From frames to a grid: order, spacing and tilt of a stack of slices, told by positions and orientations alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import Affine, Grid, ras_from_lps
from datasets.io.dicom.frames import Frame, Place

# A slice may lie this far from its even place, in mm and in parts of the spacing: positions are written with rounding.
_JITTER_MM = 0.01
_JITTER = 0.02
# Slices closer than this part of the usual gap are told as being in one place.
_SAME_PLACE = 0.1
# In-plane drift over the whole stack, in pixels, above which the stack is sheared; below, it is rounding.
_DRIFT_PX = 0.25
# A gap within this part of the usual gap from a multiple of it is a gap with slices missing …
_MULTIPLE = 0.1
# … unless such gaps are many, or form a zone of at least so many at an end: then the scan was planned so.
_FEW_GAPS = 0.25
_ZONE_GAPS = 3
# Interpolation over a wider gap would invent tissue: more than three usual gaps, or more than a small tumour is wide.
_WIDEST_GAPS = 3.0
_WIDEST_MM = 15.0
# SliceThickness that differs by more from the spacing is worth telling.
_THICKNESS = 0.01

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order, and the grid their image gets.

    Attributes:
        frames: Sorted along the normal (row x column), so that (column, row, slice) is right-handed.
        grid: The grid of the image, after any resampling.
        shifts_px: (slices, 2): how far each slice lies from the first one along (columns, rows), in pixels, where the
            stack is sheared by a gantry tilt; None where it is not.
        offsets_mm: (slices,): where each slice lies along the normal, from the first, where spacing is uneven; None
            where it is even.
        repairs: What reading it puts right.
    """

    frames: tuple[Frame, ...]
    grid: Grid
    shifts_px: Vector | None = None
    offsets_mm: Vector | None = None
    repairs: tuple[Repair, ...] = field(default=())

    @property
    def margin_px(self) -> tuple[int, int, int, int]:
        """Columns before and after, rows before and after, that a sheared stack needs so that no pixel is lost."""
        if self.shifts_px is None:
            return 0, 0, 0, 0
        # Shifts of a hair's breadth around a whole pixel are rounding and need no further pixel.
        before = np.floor(self.shifts_px.min(axis=0) + 1e-4).astype(int)
        after = np.ceil(self.shifts_px.max(axis=0) - 1e-4).astype(int)
        return -int(before[0]), int(after[0]), -int(before[1]), int(after[1])


def heights_mm(frames: Sequence[Frame]) -> Vector:
    """Where frames of one orientation lie along the normal of the first, in mm."""
    normal = frames[0].where.normal
    return np.array([frame.where.position @ normal for frame in frames])


def same_places(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames that share a place, in order along the normal; one list per place."""
    heights = heights_mm(frames)
    order = np.argsort(heights, kind="stable")
    gaps = np.diff(heights[order])
    apart = gaps[gaps > _JITTER_MM]
    limit = max(_JITTER_MM, _SAME_PLACE * float(np.median(apart))) if apart.size else _JITTER_MM
    places = [[frames[order[0]]]]
    for index, gap in zip(order[1:], gaps, strict=True):
        if gap <= limit:
            places[-1].append(frames[index])
        else:
            places.append([frames[index]])
    return places


def is_even(frames: Sequence[Frame]) -> bool:
    """Whether frames of one orientation lie one per place, at even distances."""
    if len(frames) < 2:
        return True
    heights = np.sort(heights_mm(frames))
    mean = float(heights[-1] - heights[0]) / (len(heights) - 1)
    return mean > _JITTER_MM and _lies_evenly(heights - heights[0], mean)


def stack_of(frames: Sequence[Frame]) -> Stack:
    """The grid of frames of one size, orientation and pixel spacing, sorted, one per place.

    Uneven slices are put on the median of their gaps, from the first slice on and up to the last one. A sheared stack
    keeps its pixel axes and gets the normal as slice axis; whole pixels are added where slices stick out.

    Args:
        frames: Sorted along the normal.

    Raises:
        InputRefused: One slice only, slices missing, or slices beside each other.
    """
    if len(frames) == 1:
        raise InputRefused(
            RefusalCode.SINGLE_SLICE,
            "a volume of at least two slices, for the distance between slices comes from their positions",
            f"one slice in {frames[0].instance.path.name}",
            "score the whole series",
        )
    place = frames[0].where
    heights = heights_mm(frames) - heights_mm(frames[:1])
    shifts = _shifts_px(frames, place)
    spacing, count, offsets = _spacing(heights)
    repairs = [*_reordered(frames), *_thickness(frames, heights)]
    drift = np.abs(shifts[-1])
    if np.abs(shifts).max() > _DRIFT_PX:
        _check_on_one_line(shifts, heights, place)
        repairs.append(_tilt_repair(drift, heights, place))
    else:
        shifts = np.zeros((0, 2))
    if offsets is not None:
        gaps = np.diff(heights)
        repairs.append(
            Repair(
                RepairCode.UNEVEN_SPACING_RESAMPLED,
                f"gaps between slices go from {gaps.min():.3f} to {gaps.max():.3f} mm; "
                f"{len(frames)} slices were interpolated to {count} at their median, {spacing:.3f} mm",
            )
        )
    sheared = shifts if len(shifts) else None
    flat = Stack(tuple(frames), Grid((1, 1, 1), np.eye(4)), sheared)
    left, right, top, bottom = flat.margin_px
    rows, columns = frames[0].size
    shape = (columns + left + right, rows + top + bottom, count)
    return Stack(tuple(frames), Grid(shape, _affine(place, spacing, left, top)), sheared, offsets, tuple(repairs))


def _affine(place: Place, spacing_mm: float, left: int, top: int) -> Affine:
    affine = np.eye(4)
    affine[:3, 0] = place.along_row * place.spacing_mm[1]
    affine[:3, 1] = place.along_column * place.spacing_mm[0]
    affine[:3, 2] = place.normal * spacing_mm
    affine[:3, 3] = place.position - left * affine[:3, 0] - top * affine[:3, 1]
    return ras_from_lps(affine)


def _shifts_px(frames: Sequence[Frame], place: Place) -> Vector:
    """How far each slice lies from the first along (columns, rows), in pixels: (slices, 2)."""
    away = np.array([frame.where.position for frame in frames]) - place.position
    return np.stack(
        [away @ place.along_row / place.spacing_mm[1], away @ place.along_column / place.spacing_mm[0]], axis=1
    )


def _spacing(heights: Vector) -> tuple[float, int, Vector | None]:
    """(spacing, number of slices, heights where they are uneven else None)."""
    count = len(heights)
    mean = float(heights[-1]) / (count - 1)
    if _lies_evenly(heights, mean):
        return mean, count, None
    gaps = np.diff(heights)
    _check_none_missing(gaps, heights)
    spacing = float(np.median(gaps))
    return spacing, int(np.floor(heights[-1] / spacing + 1e-6)) + 1, heights


def _lies_evenly(heights: Vector, mean: float) -> bool:
    worst = float(np.abs(heights - mean * np.arange(len(heights))).max())
    return worst <= max(_JITTER_MM, _JITTER * mean)


def _check_none_missing(gaps: Vector, heights: Vector) -> None:
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])
    ratios = gaps / usual
    multiples = np.round(ratios)
    wide = multiples >= 2
    regular = bool(np.all(np.abs(ratios - multiples) <= _MULTIPLE))
    few = wide.any() and int(wide.sum()) <= max(1, int(_FEW_GAPS * len(gaps))) and not _is_zone(wide)
    too_wide = gaps.max() > min(_WIDEST_GAPS * usual, _WIDEST_MM) and wide.any()
    if not (too_wide or (regular and few)):
        return
    at = int(np.argmax(gaps))
    raise InputRefused(
        RefusalCode.MISSING_SLICE,
        f"a slice every {usual:.3f} mm",
        f"a gap of {gaps[at]:.3f} mm between the slices at {heights[at]:.3f} and {heights[at + 1]:.3f} mm "
        f"(from the first slice, along the slice axis; {int(wide.sum())} such gaps)",
        "export the series again, with all its slices",
    )


def _is_zone(wide: NDArray[np.bool_]) -> bool:
    """Whether all wide gaps form one run at one end of the stack."""
    number = int(wide.sum())
    return number >= _ZONE_GAPS and bool(wide[:number].all() or wide[-number:].all())


def _check_on_one_line(shifts: Vector, heights: Vector, place: Place) -> None:
    """A tilted stack drifts evenly; slices beside each other are several scans, or a table that moved."""
    line = np.outer(heights / heights[-1], shifts[-1])
    worst = float(np.abs(shifts - line).max())
    if worst > 1.0:
        raise InputRefused(
            RefusalCode.INCONSISTENT_FRAMES,
            "slices stacked along one line",
            f"a slice {worst * min(place.spacing_mm):.1f} mm beside it",
            "export reconstructions with different centres as series of their own",
        )


def _tilt_repair(drift_px: Vector, heights: Vector, place: Place) -> Repair:
    drift_mm = float(np.hypot(drift_px[0] * place.spacing_mm[1], drift_px[1] * place.spacing_mm[0]))
    degrees = float(np.degrees(np.arctan2(drift_mm, heights[-1])))
    return Repair(
        RepairCode.GANTRY_TILT_RESAMPLED,
        f"slices are tilted by {degrees:.1f} degrees against the direction they are stacked in; "
        "they were shifted back in their planes by linear interpolation",
    )


def _reordered(frames: Sequence[Frame]) -> list[Repair]:
    order = [frame.order for frame in frames if frame.order is not None]
    if len(order) < len(frames) or order in (sorted(order), sorted(order, reverse=True)):
        return []
    message = f"the numbers of {len(frames)} images do not follow their positions; positions were used"
    return [Repair(RepairCode.SLICES_REORDERED, message)]


def _thickness(frames: Sequence[Frame], heights: Vector) -> list[Repair]:
    """Tell where the spacing is not what a reader of SliceThickness would take for it."""
    spacing = float(np.median(np.diff(heights)))
    thickness = frames[0].thickness_mm
    if thickness is None or abs(thickness - spacing) <= max(_JITTER_MM, _THICKNESS * spacing):
        return []
    message = f"SliceThickness says {thickness:g} mm, positions say {spacing:.3f} mm: positions were used"
    return [Repair(RepairCode.SPACING_FROM_POSITIONS, message)]
