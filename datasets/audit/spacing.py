"""Headers whose spacing cannot be true. Pictures, which have none, and micrographs are left alone.

A computed tomograph makes square pixels on a square matrix; what contradicts that, or the size of people, is a header
that somebody's program lost or mixed up.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from datasets.audit.facts import CaseFacts, Survey
from datasets.defects import Defect, DefectCode
from datasets.geometry import Grid

# mm. Finer and coarser is no clinical volume: metres or micrometres were taken for millimetres.
_FINEST_MM, _COARSEST_MM = 0.01, 50.0
# Sides of the square matrices that scanners make.
_MATRICES = (256, 320, 384, 512, 640, 768, 1024)
_FEWEST_CASES = 5
_FAR = 5.0
# How far the field of a volume of 1 x 1 x 1 mm may lie outside of those of the others.
_FIELD = 1.5
_ONE_MM = (1.0, 1.0, 1.0)

_Volume = tuple[CaseFacts, Grid]


def check(survey: Survey) -> Iterator[Defect]:
    """Volumes with a spacing that was not told, or told wrongly."""
    volumes = [(case, image.grid) for case, image in survey.imaged if image.grid is not None and image.is_volume]
    for case, grid in volumes:
        others = [other for one, other in volumes if one is not case]
        found = _absurd(grid) or _reversed(grid, others) or _one_mm(grid, others)
        if found:
            advice = "look the spacing up in the source images, and convert them again"
            yield Defect(DefectCode.SPACING_NOT_TOLD, "error", case.name, found, advice)
        elif (far := _far(grid, others)) is not None:
            advice = "check the header; such a case is resampled heavily"
            yield Defect(DefectCode.SPACING_NOT_TOLD, "warning", case.name, far, advice)


def _absurd(grid: Grid) -> str:
    low, high = min(grid.spacing_mm), max(grid.spacing_mm)
    if low < _FINEST_MM:
        return f"spacing {_told(grid)} mm: no volume is that fine; metres may have been taken for millimetres"
    if high > _COARSEST_MM:
        return f"spacing {_told(grid)} mm: no volume is that coarse; micrometres may have been taken for millimetres"
    return ""


def _reversed(grid: Grid, others: Sequence[Grid]) -> str:
    """Spacing in the order of another axis order: of a square matrix the pixels are not square, but would be."""
    for one, other, third in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        mm = grid.spacing_mm
        square = grid.shape[one] == grid.shape[other] != grid.shape[third]
        exchanged = _near(mm[third], mm[one]) != _near(mm[third], mm[other])
        if square and not _near(mm[one], mm[other]) and exchanged:
            sides = f"{grid.shape[one]} x {grid.shape[other]}"
            return f"spacing {_told(grid)} mm for {_shape(grid)} voxels: the matrix of {sides} has no square pixels"
    alike = [other for other in others if other.shape == grid.shape]
    if len(alike) < _FEWEST_CASES:
        return ""
    usual, count = Counter(_rounded(other) for other in alike).most_common(1)[0]
    mine = _rounded(grid)
    if count == len(alike) and mine != usual and sorted(mine) == sorted(usual):
        return f"spacing {_told(grid)} mm where all {count} volumes of this shape have {' x '.join(map(str, usual))}"
    return ""


def _one_mm(grid: Grid, others: Sequence[Grid]) -> str:
    if grid.spacing_mm != _ONE_MM:
        return ""
    sides = Counter(grid.shape)
    matrix = next((side for side, count in sides.items() if count == 2 and side in _MATRICES), None)
    if matrix is not None:
        return f"spacing 1 x 1 x 1 mm for {_shape(grid)} voxels, which is what programs write that know none"
    known = [other for other in others if other.spacing_mm != _ONE_MM]
    if len(known) < _FEWEST_CASES or len(known) < len(others) / 2:
        return ""
    fields = np.array([sorted(_field_mm(other)) for other in known])
    ratio = np.array(sorted(_field_mm(grid)))
    if (ratio < fields.min(axis=0) / _FIELD).any() or (ratio > fields.max(axis=0) * _FIELD).any():
        mine = " x ".join(f"{mm:.0f}" for mm in _field_mm(grid))
        usual = " x ".join(f"{mm:.0f}" for mm in np.median(fields, axis=0))
        return f"spacing 1 x 1 x 1 mm, a field of {mine} mm where others show about {usual} mm (sorted)"
    return ""


def _far(grid: Grid, others: Sequence[Grid]) -> str | None:
    if len(others) < _FEWEST_CASES:
        return None
    usual = np.median([sorted(other.spacing_mm) for other in others], axis=0)
    ratio = np.array(sorted(grid.spacing_mm)) / usual
    if ratio.max() <= _FAR and ratio.min() >= 1 / _FAR:
        return None
    return f"spacing {_told(grid)} mm where the set has about {' x '.join(f'{mm:.3g}' for mm in usual)} mm (sorted)"


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 0.01 * max(one, other)


def _rounded(grid: Grid) -> tuple[float, ...]:
    return tuple(round(mm, 3) for mm in grid.spacing_mm)


def _field_mm(grid: Grid) -> list[float]:
    return [n * mm for n, mm in zip(grid.shape, grid.spacing_mm, strict=True)]


def _told(grid: Grid) -> str:
    return " x ".join(f"{mm:.4g}" for mm in grid.spacing_mm)


def _shape(grid: Grid) -> str:
    return " x ".join(str(n) for n in grid.shape)
