"""RT Structure Sets in: contours in the patient, and the voxels whose centres they enclose.

Source: DICOM PS3.3 C.8.8.5 (Structure Set) and C.8.8.6 (ROI Contour). A pixel belongs to a region when its centre lies
inside by the even-odd rule, so keyholes (an outline that runs to a hole and back over the same line) leave their hole
empty. Several outlines on one plane: CLOSEDPLANAR_XOR are combined by exclusive or; of CLOSED_PLANAR one that lies
inside another is a hole in it (as most writers mean it; C.8.8.6.3 knows keyholes alone), any other is added.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import Grid, points_lps_from_ras
from datasets.io.dicom.instance import PARSE_ERRORS, lenient, text_of

STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"

_XOR = "CLOSEDPLANAR_XOR"
# The standard's spelling, and one that writers use.
_CLOSED = ("CLOSED_PLANAR", _XOR, "CLOSED_PLANAR_XOR")
# Of a slice's distance: how far the points of one outline may stray from its plane; and an outline from its slice, with
# room for the rounding of coordinates.
_FLAT = 0.25
_BEYOND = 0.5 + 1e-3
# Of a slice's distance: outlines nearer to each other lie on one plane.
_ONE_PLANE = 0.05

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contour:
    """One closed outline.

    Attributes:
        points_mm: (N, 3) RAS mm, N at least 3; the last point is joined to the first.
        is_xor: Whether it says that it is combined with others by exclusive or.
    """

    points_mm: Points
    is_xor: bool = False


@dataclass(frozen=True, eq=False)
class Roi:
    """A region of interest.

    Attributes:
        name: What its maker called it.
        contours: At least one.
    """

    name: str
    contours: tuple[Contour, ...]


@dataclass(frozen=True, eq=False)
class StructureSet:
    """What a structure set holds.

    Attributes:
        rois: Regions with closed outlines, in the order of their numbers; points and open lines enclose nothing.
        series_uids: Image series it refers to.
        instance_uids: Images it refers to.
    """

    rois: tuple[Roi, ...]
    series_uids: tuple[str, ...]
    instance_uids: frozenset[str]


@dataclass(frozen=True, eq=False)
class PlacedRoi:
    """A region's outlines on the slices of a grid.

    Attributes:
        outlines: By slice k, outlines as (N, 2) fractional (i, j), and whether each is combined by exclusive or.
        astray: How far the planes lie from their slices at most, in slices: 0 to 0.5.
        empty_between: Slices without an outline between the first and the last that have one.
        dropped: Outlines of planes that share a slice with a nearer plane, and are not used.
    """

    outlines: Mapping[int, tuple[tuple[Points, bool], ...]]
    astray: float
    empty_between: int
    dropped: int


def read_rtstruct(path: Path) -> StructureSet:
    """Read the outlines of an RT Structure Set.

    Raises:
        InputRefused: `unreadable_file`, `not_an_image_object` (no structure set), `inconsistent_frames` (coordinates
            that are no triples of numbers).
    """
    try:
        with lenient():
            dataset = pydicom.dcmread(path)
            if text_of(dataset, "SOPClassUID") != STORAGE:
                got = f"{text_of(dataset, 'Modality') or 'no modality'} in {path.name}"
                raise InputRefused(
                    RefusalCode.NOT_AN_IMAGE_OBJECT, "an RT Structure Set", got, "give the RTSTRUCT file"
                )
            names = {int(item.ROINumber): text_of(item, "ROIName") for item in dataset.StructureSetROISequence}
            found = [
                (int(item.ReferencedROINumber), tuple(_contours(item, path)))
                for item in dataset.get("ROIContourSequence") or []
            ]
            series, instances = _references(dataset)
    except (*PARSE_ERRORS, OSError) as error:
        got = f"{path.name} ({type(error).__name__})"
        raise InputRefused(RefusalCode.UNREADABLE_FILE, "an RT Structure Set", got, "export it again") from error
    rois = [Roi(names.get(number) or f"roi_{number}", some) for number, some in sorted(found, key=_number) if some]
    return StructureSet(tuple(rois), tuple(sorted(series)), frozenset(instances))


def place_roi(roi: Roi, grid: Grid) -> PlacedRoi:
    """Say on which slices the outlines of a region lie: on the nearest, of several planes at one slice the nearest.

    Args:
        roi: Its outlines.
        grid: Of the image; slices are those of its third axis, whatever way they lie in the patient.

    Raises:
        InputRefused: `different_grids`: an outline that is tilted against the slices, or lies beyond the first or last.
    """
    by_slice: dict[int, list[tuple[float, Points, bool]]] = defaultdict(list)
    astray = 0.0
    for contour in _once(roi.contours):
        points = grid.indices(contour.points_mm)
        plane = float(points[:, 2].mean())
        if np.abs(points[:, 2] - plane).max() > _FLAT:
            raise _elsewhere(f"an outline of {roi.name!r} that runs through {np.ptp(points[:, 2]):.2f} slices")
        if not -_BEYOND <= plane <= grid.shape[2] - 1 + _BEYOND:
            raise _elsewhere(f"an outline of {roi.name!r} at slice {plane + 1.0:.1f} of {grid.shape[2]}")
        # Halves always go up, so that planes half a slice beside all slices keep one slice each.
        k = min(max(int(np.floor(plane + _BEYOND)), 0), grid.shape[2] - 1)
        by_slice[k].append((plane, points[:, :2], contour.is_xor))
    outlines: dict[int, tuple[tuple[Points, bool], ...]] = {}
    dropped = 0
    for k, some in sorted(by_slice.items()):
        nearest = min((plane for plane, _, _ in some), key=lambda plane: (abs(plane - k), plane))
        kept = tuple((points, is_xor) for plane, points, is_xor in some if abs(plane - nearest) <= _ONE_PLANE)
        outlines[k], dropped = kept, dropped + len(some) - len(kept)
        astray = max(astray, abs(nearest - k))
    between = max(outlines) - min(outlines) + 1 - len(outlines) if outlines else 0
    return PlacedRoi(outlines, astray, between, dropped)


def roi_mask(roi: Roi, grid: Grid) -> Mask:
    """The voxels whose centres a region encloses.

    Args:
        roi: Its outlines; what they enclose beside the image is left out.
        grid: Of the image.

    Returns:
        (K, J, I), the order of frames; slices without an outline are empty.

    Raises:
        InputRefused: As `place_roi`.
    """
    columns, rows, slices = grid.shape
    mask = np.zeros((slices, rows, columns), np.bool_)
    for k, outlines in place_roi(roi, grid).outlines.items():
        filled = [(filled_outline(points, (rows, columns)), is_xor) for points, is_xor in outlines]
        # The larger first, so that a hole comes after what it is in, and an island after its hole.
        for inside, is_xor in sorted(filled, key=lambda pair: -int(pair[0].sum())):
            is_hole = bool(mask[k][inside].all()) and bool(inside.any())
            mask[k] = mask[k] ^ inside if is_xor or is_hole else mask[k] | inside
    return mask


def filled_outline(points: Points, size: tuple[int, int]) -> Mask:
    """Pixels whose centres lie inside a closed outline by the even-odd rule.

    A centre on an edge belongs to the side of larger coordinates, so outlines that share an edge share no pixel.

    Args:
        points: (N, 2), fractional (column, row) of the corners, pixel centres being whole numbers.
        size: (rows, columns).

    Returns:
        (rows, columns).
    """
    rows, columns = size
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    low, high = np.minimum(y0, y1), np.maximum(y0, y1)
    first = np.clip(np.ceil(low), 0, rows).astype(np.int64)
    counts = np.clip(np.ceil(high), 0, rows).astype(np.int64) - first
    # One entry per edge and row that it crosses.
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(edge.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    along = (row - y0[edge]) / (y1 - y0)[edge]
    column = np.clip(np.ceil(x0[edge] + along * (x1 - x0)[edge]), 0, columns).astype(np.int64)
    turns = np.zeros((rows, columns + 1), np.int64)
    np.add.at(turns, (row, column), 1)
    return np.asarray(np.cumsum(turns, axis=1)[:, :columns] % 2 == 1)


def _contours(item: Dataset, path: Path) -> Iterator[Contour]:
    for contour in item.get("ContourSequence") or []:
        kind = text_of(contour, "ContourGeometricType").upper()
        if kind not in _CLOSED:
            continue
        points = _points(contour, path)
        if len(points) >= 3:
            yield Contour(points, kind != _CLOSED[0])


def _points(contour: Dataset, path: Path) -> Points:
    """Corner points (N, 3) in RAS mm."""
    # As bytes: pydicom's numbers with their checks would take a minute for what numpy reads in a second.
    raw = contour.get_item("ContourData") if "ContourData" in contour else None
    value = getattr(raw, "value", None)
    if value is None:
        return np.zeros((0, 3))
    parts = value.decode("ascii", "replace").strip(" \0").split("\\") if isinstance(value, bytes) else list(value)
    try:
        numbers = np.array([part for part in parts if part != ""], dtype=np.float64)
    except ValueError as error:
        raise _odd_points(f"{error}", path) from error
    if numbers.size % 3 or not np.isfinite(numbers).all():
        raise _odd_points(f"{numbers.size} coordinates", path)
    return points_lps_from_ras(numbers.reshape(-1, 3))


def _references(dataset: Dataset) -> tuple[set[str], set[str]]:
    series, instances = set(), set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for item in study.get("RTReferencedSeriesSequence") or []:
                series.add(text_of(item, "SeriesInstanceUID"))
                images = item.get("ContourImageSequence") or []
                instances |= {text_of(image, "ReferencedSOPInstanceUID") for image in images}
    for roi in dataset.get("ROIContourSequence") or []:
        for contour in roi.get("ContourSequence") or []:
            images = contour.get("ContourImageSequence") or []
            instances |= {text_of(image, "ReferencedSOPInstanceUID") for image in images}
    return series - {""}, instances - {""}


def _once(contours: Sequence[Contour]) -> list[Contour]:
    """Outlines without those that are there twice, point for point: as a pair they would undo each other."""
    return list({contour.points_mm.tobytes(): contour for contour in contours}.values())


def _number(pair: tuple[int, tuple[Contour, ...]]) -> int:
    return pair[0]


def _elsewhere(got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.DIFFERENT_GRIDS,
        "outlines on the slices of the image",
        got,
        "export the structures on the series they were drawn on",
    )


def _odd_points(got: str, path: Path) -> InputRefused:
    return InputRefused(
        RefusalCode.INCONSISTENT_FRAMES, "triples of numbers as points", f"{got} in {path.name}", "export it again"
    )
