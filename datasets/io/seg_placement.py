"""Where the frames of a DICOM Segmentation lie, whoever wrote it: by their positions, whatever their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import Affine, ras_from_lps
from datasets.labels import CodedConcept

_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
_PARALLEL = 1e-4  # largest difference of direction cosines that is rounding
_SAME_PLACE_MM = 0.01  # positions that differ by no more are one plane
_OFF_GRID = 0.05  # largest distance of a plane from its place on an even grid, in gaps
_UNKNOWN = CodedConcept("261665006", "SCT", "Unknown")


@dataclass(frozen=True, eq=False)
class SegFrame:
    """Where one frame lies and which segment it shows.

    Attributes:
        position_mm: Centre of the first pixel, LPS (3,).
        orientation: Direction cosines (LPS) in which columns and rows grow (6,).
        spacing_mm: (between rows, between columns).
        segment: The segment's number.
    """

    position_mm: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    segment: int


def open_segmentation(path: Path, kind: str) -> Dataset:
    """Open a DICOM Segmentation.

    Args:
        path: The file.
        kind: The SegmentationType it must be of, "BINARY" or "FRACTIONAL".

    Returns:
        The object; it has frames, segments and pixels.

    Raises:
        InputRefused: It is no DICOM file, no segmentation of that type, or lacks one of these.
    """
    try:
        dataset = pydicom.dcmread(path)
    except (InvalidDicomError, EOFError) as error:
        raise refused(RefusalCode.UNREADABLE_FILE, "a DICOM file", str(error), path) from error
    if dataset.get("SOPClassUID") != _SEGMENTATION_STORAGE or dataset.get("SegmentationType") != kind:
        got = f"{dataset.get('Modality', 'no modality')} {dataset.get('SegmentationType', '')}".strip()
        raise refused(RefusalCode.NOT_AN_IMAGE_OBJECT, f"a DICOM Segmentation of type {kind}", got, path)
    for keyword in ("PerFrameFunctionalGroupsSequence", "SegmentSequence", "PixelData", "Rows", "Columns"):
        if keyword not in dataset:
            raise refused(RefusalCode.INCONSISTENT_FRAMES, f"an object with {keyword}", "none", path)
    return dataset


def frames_of(dataset: Dataset, path: Path) -> list[SegFrame]:
    """The frames of an object in their order.

    Raises:
        InputRefused: A frame does not say where it lies or what it shows.
    """
    return [_frame(dataset, group, path) for group in dataset.PerFrameFunctionalGroupsSequence]


def _frame(dataset: Dataset, group: Dataset, path: Path) -> SegFrame:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]

    def macro(keyword: str) -> Dataset:
        items = group.get(keyword) or shared.get(keyword)
        if not items:
            raise refused(RefusalCode.INCONSISTENT_FRAMES, f"frames with {keyword}", "none", path)
        item: Dataset = items[0]
        return item

    try:
        rows_mm, columns_mm = macro("PixelMeasuresSequence").PixelSpacing
        return SegFrame(
            np.array(macro("PlanePositionSequence").ImagePositionPatient, np.float64),
            np.array(macro("PlaneOrientationSequence").ImageOrientationPatient, np.float64),
            (float(rows_mm), float(columns_mm)),
            int(macro("SegmentIdentificationSequence").ReferencedSegmentNumber),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise refused(RefusalCode.INCONSISTENT_FRAMES, "frames with complete geometry", str(error), path) from error


def _measure_mm(dataset: Dataset, keyword: str) -> float:
    """A distance of the first Pixel Measures that have it; 0 where none does."""
    for holder in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for measures in dataset.get(holder, [Dataset()])[0].get("PixelMeasuresSequence", []):
            value = abs(float(measures.get(keyword) or 0.0))
            if value > 0.0:
                return value
    return 0.0


def place_frames(dataset: Dataset, frames: Sequence[SegFrame], path: Path) -> tuple[Affine, list[int]]:
    """Find the grid of the frames, which may be sheared.

    Where all lie in one plane the distance to the next is the object's SpacingBetweenSlices, else SliceThickness.

    Returns:
        (4x4 affine (column, row, plane) to RAS mm, plane index of each frame).

    Raises:
        InputRefused: The frames do not lie on one grid.
    """
    stated_mm = _measure_mm(dataset, "SpacingBetweenSlices")
    alone_mm = stated_mm or _measure_mm(dataset, "SliceThickness") or 1.0
    first = frames[0]
    for frame in frames:
        if not np.allclose(frame.orientation, first.orientation, atol=_PARALLEL):
            raise refused(RefusalCode.MIXED_ORIENTATIONS, "parallel frames", "several orientations", path)
        if not np.allclose(frame.spacing_mm, first.spacing_mm, rtol=1e-3):
            raise refused(RefusalCode.INCONSISTENT_FRAMES, "one pixel spacing", "several", path)
    along_row, along_column = first.orientation[:3], first.orientation[3:]
    normal = np.cross(along_row, along_column)
    positions = np.array([frame.position_mm for frame in frames])
    offsets = positions @ normal
    start, end = int(np.argmin(offsets)), int(np.argmax(offsets))
    length = float(offsets[end] - offsets[start])
    planes = np.zeros(len(frames), np.int64)
    step = normal * alone_mm
    if length > _SAME_PLACE_MM:
        gap = _gap_mm(offsets, stated_mm, path)
        planes = np.round((offsets - offsets[start]) / gap).astype(np.int64)
        # Over the whole length, rounding of single positions matters least.
        step = (positions[end] - positions[start]) / planes[end]
    astray = np.abs(positions - positions[start] - planes[:, np.newaxis] * step).max()
    if astray > max(_OFF_GRID * float(np.linalg.norm(step)), _SAME_PLACE_MM):
        raise refused(RefusalCode.INCONSISTENT_FRAMES, "frames on one line", f"one {astray:.3f} mm off it", path)
    affine = np.eye(4)
    affine[:3, 0] = along_row * first.spacing_mm[1]
    affine[:3, 1] = along_column * first.spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[start]
    return ras_from_lps(affine), [int(plane) for plane in planes]


def _gap_mm(offsets: NDArray[np.float64], stated_mm: float, path: Path) -> float:
    """The distance between planes, of which all gaps are multiples.

    Empty planes are usually absent, so the smallest gap may span several: two lone frames 4 mm apart are two slices of
    1 mm if SpacingBetweenSlices says so. It is believed where the positions fit it; otherwise the smallest gap counts.
    """
    gaps = np.diff(np.unique(offsets))
    gaps = gaps[gaps > _SAME_PLACE_MM]
    for candidate in (stated_mm, float(gaps.min())):
        if candidate <= 0.0:
            continue
        turns = gaps / candidate
        if turns.min() > 0.5 and np.abs(turns - np.round(turns)).max() <= _OFF_GRID:
            return candidate
    found = f"gaps from {gaps.min():.3f} to {gaps.max():.3f} mm"
    raise refused(RefusalCode.INCONSISTENT_FRAMES, "evenly spaced frames", found, path)


def concept_of(item: Dataset, keyword: str) -> CodedConcept:
    """What a segment's sequence of codes names first; "Unknown" where it names nothing."""
    if not item.get(keyword):
        return _UNKNOWN
    code = item[keyword].value[0]
    value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or _UNKNOWN.value
    return CodedConcept(str(value), str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeMeaning", "")))


def source_uids(dataset: Dataset) -> tuple[str, ...]:
    """SOPInstanceUIDs that an object refers to, sorted."""
    return tuple(
        sorted(
            {
                str(instance.ReferencedSOPInstanceUID)
                for series in dataset.get("ReferencedSeriesSequence") or []
                for instance in series.get("ReferencedInstanceSequence") or []
            }
        )
    )


def refused(code: RefusalCode, expected: str, got: str, path: Path) -> InputRefused:
    """A refusal of an object that cannot be used."""
    return InputRefused(code, expected, f"{got} in {path.name}", "export the segmentation again, or leave it out")
