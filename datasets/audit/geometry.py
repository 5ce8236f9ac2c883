"""Labels on another grid than their image, and which of the two to believe.

Three things happen: a program lost the label's header (voxels lie right, the header alone differs), labels are stored
in another orientation (header and voxels agree, the axes differ), or the label belongs to another grid altogether. The
first two are told apart by how the label fits the image voxel by voxel, which no header can change.
"""

from collections.abc import Iterator

import numpy as np

from datasets.audit.facts import CaseFacts, ImageFacts, LabelFacts, Survey
from datasets.audit.fit import FEWEST_NATS, Z_FITS, Fit
from datasets.defects import Defect, DefectCode
from datasets.geometry import Grid

# Of a voxel: what decimal numbers in headers and float32 affines leave open, and how far a lost header may be off.
_AGREE_VOXELS = 0.05
_HEADER_VOXELS = 1.0

COPY_GRID, REORIENT = "copy_image_grid", "reorient_labels"


def check(survey: Survey) -> Iterator[Defect]:
    """Cases whose label map, or further series, do not lie on the grid of their image."""
    for case in survey.cases:
        if case.image is None:
            continue
        for other in case.images[1:]:
            if not _agree(case.image.shape, case.image.grid, other.shape, other.grid):
                told = f"series {other.series} on another grid: {difference(case.image, other)}"
                advice = "register the series of a case onto one grid"
                yield Defect(DefectCode.GEOMETRY_MISMATCH, "error", case.name, told, advice)
        labels = case.labels
        if labels is not None and not _agree(case.image.shape, case.image.grid, labels.shape, labels.grid):
            yield _mismatch(case, case.image, labels)


def lies_on_image(case: CaseFacts) -> bool:
    """Whether a case has image and labels on one grid."""
    image, labels = case.image, case.labels
    return image is not None and labels is not None and _agree(image.shape, image.grid, labels.shape, labels.grid)


def difference(image: ImageFacts, other: ImageFacts | LabelFacts) -> str:
    """In what two grids differ, in words and mm."""
    parts = []
    if image.shape != other.shape:
        parts.append(f"shape {_times(other.shape)} for {_times(image.shape)}")
    if image.grid is None or other.grid is None:
        return "; ".join(parts)
    mine, theirs = image.grid, other.grid
    if not np.allclose(mine.spacing_mm, theirs.spacing_mm, rtol=1e-3):
        parts.append(f"spacing {_spaced(theirs)} mm for {_spaced(mine)} mm")
    if mine.orientation != theirs.orientation:
        parts.append(f"axes {theirs.orientation} for {mine.orientation}")
    elif (angle := _angle_deg(mine, theirs)) > 0.01:
        parts.append(f"axes turned by {angle:.2f} degrees")
    apart_mm = float(np.linalg.norm(np.subtract(mine.origin_mm, theirs.origin_mm)))
    if apart_mm > _AGREE_VOXELS * min(mine.spacing_mm):
        parts.append(f"first voxel {apart_mm:.2f} mm away")
    return "; ".join(parts) or "header alone"


def _mismatch(case: CaseFacts, image: ImageFacts, labels: LabelFacts) -> Defect:
    fix, advice = _remedy(image, labels)
    found = f"labels on another grid than the image: {difference(image, labels)}"
    return Defect(DefectCode.GEOMETRY_MISMATCH, "error", case.name, found, advice, fix)


def _remedy(image: ImageFacts, labels: LabelFacts) -> tuple[str, str]:
    by_hand = "export the label map again from the image it was drawn on, or resample it"
    if image.grid is None or labels.grid is None:
        return "", by_hand
    fits = labels.fit is not None and labels.fit.move is None and _is_seen(labels.fit)
    turned = same_places(image.grid, labels.grid)
    if image.shape == labels.shape and fits:
        return COPY_GRID, "the voxels fit the image as they lie: the header alone is wrong"
    if turned:
        return REORIENT, "the same voxels in another order: store them in the image's"
    if image.shape == labels.shape and (_apart_voxels(image.grid, labels.grid) <= _HEADER_VOXELS or _is_lost(labels)):
        return COPY_GRID, "the header alone differs: look at one, then give the labels the image's header"
    return "", by_hand


def _is_seen(fit: Fit) -> bool:
    return fit.z >= Z_FITS and fit.nats >= FEWEST_NATS


def same_places(one: Grid, other: Grid) -> bool:
    """Whether two grids have their voxels in the same places, in whatever order of axes."""
    corners = [_corners(grid) for grid in (one, other)]
    if sorted(one.shape) != sorted(other.shape):
        return False
    nearest = np.linalg.norm(corners[0][:, None] - corners[1][None], axis=2).min(axis=1)
    return bool(nearest.max() <= _AGREE_VOXELS * min(one.spacing_mm))


def _agree(shape: tuple[int, ...], grid: Grid | None, other_shape: tuple[int, ...], other: Grid | None) -> bool:
    if shape != other_shape:
        return False
    # A picture's mask has no spacing, and a film's mask may have one that its picture lacks.
    return grid is None or other is None or _apart_voxels(grid, other) <= _AGREE_VOXELS


def _apart_voxels(one: Grid, other: Grid) -> float:
    """The farthest that a corner lies from its twin, in the shortest side of a voxel."""
    return float(np.linalg.norm(_corners(one) - _corners(other), axis=1).max()) / min(one.spacing_mm)


def _corners(grid: Grid) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return grid.points_mm(np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T)


def _is_lost(labels: LabelFacts) -> bool:
    """Whether a header says nothing: the identity, or that of LPS."""
    if labels.grid is None:
        return False
    linear = labels.grid.affine[:3, :3]
    return bool(np.array_equal(np.abs(linear), np.eye(3)))


def _angle_deg(one: Grid, other: Grid) -> float:
    cosine = np.clip(np.abs((one.direction * other.direction).sum(axis=0)), 0, 1)
    return float(np.degrees(np.arccos(cosine)).max())


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _spaced(grid: Grid) -> str:
    return " x ".join(f"{mm:.4g}" for mm in grid.spacing_mm)
