"""DICOM Segmentation in, ours and others': frames are put in place by their positions, whatever their order."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.utils import iter_pixels

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import Affine, ras_from_lps
from datasets.image import Image, Intensity
from datasets.labels import CodedConcept, Label, LabelSet

_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
_PARALLEL = 1e-4  # largest difference of direction cosines that is rounding
_SAME_PLACE_MM = 0.01  # positions that differ by no more are one plane
_OFF_GRID = 0.05  # largest distance of a plane from its place on an even grid, in gaps
_NO_COLOUR = (255, 255, 0)
_UNKNOWN = CodedConcept("261665006", "SCT", "Unknown")


@dataclass(frozen=True, eq=False)
class SegContent:
    """What a segmentation object holds.

    Attributes:
        labels: (1, I, J, K) label map, I = columns, J = rows, K = planes; it spans the planes that are in the file, and
            planes missing between them are background. uint8, or uint16 with more than 255 segments.
        label_set: The segments, renumbered 1, 2, 3 … in the order of their numbers; names are made snake-case and
            unique.
        overlap_voxels: Voxels that belong to several segments; the label map shows the last of them.
        source_uids: SOPInstanceUIDs the object refers to, sorted.
    """

    labels: Image
    label_set: LabelSet
    overlap_voxels: int
    source_uids: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Frame:
    """Where one frame lies (LPS mm) and which segment it shows."""

    position_mm: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    segment: int


def read_dicom_seg(path: Path) -> SegContent:
    """Read a DICOM Segmentation of type BINARY.

    Args:
        path: The file.

    Returns:
        The segments as one label map on the object's own grid, which may be sheared (planes of a tilted series). Where
        a single plane is present the distance to the next is the object's SpacingBetweenSlices, else SliceThickness.

    Raises:
        InputRefused: It is no DICOM file, no BINARY segmentation, damaged, or its frames do not lie on one grid.
    """
    dataset = _open(path)
    frames = [_frame(dataset, group, path) for group in dataset.PerFrameFunctionalGroupsSequence]
    stated_mm = _measure_mm(dataset, "SpacingBetweenSlices")
    affine, planes = _place(frames, stated_mm, stated_mm or _measure_mm(dataset, "SliceThickness") or 1.0, path)
    segments = sorted(dataset.SegmentSequence, key=lambda item: int(item.SegmentNumber))
    index_of = {int(item.SegmentNumber): index for index, item in enumerate(segments, start=1)}
    volume = np.zeros((max(planes) + 1, int(dataset.Rows), int(dataset.Columns)), np.uint8)
    if len(segments) > np.iinfo(np.uint8).max:
        volume = volume.astype(np.uint16)
    overlap = 0
    order = sorted(range(len(frames)), key=lambda n: frames[n].segment)
    masks = _masks(dataset, order, path)
    for number, mask in zip(order, masks, strict=True):
        plane = volume[planes[number]]
        if frames[number].segment not in index_of:
            raise _refused(RefusalCode.INCONSISTENT_FRAMES, "frames of declared segments", "an undeclared one", path)
        index = index_of[frames[number].segment]
        overlap += int(np.count_nonzero(plane[mask]))
        plane[mask] = index
    labels = Image.from_slices(volume, Intensity.LABEL, affine)
    return SegContent(labels, _label_set(segments), overlap, _source_uids(dataset))


def _open(path: Path) -> Dataset:
    try:
        dataset = pydicom.dcmread(path)
    except (InvalidDicomError, EOFError) as error:
        raise _refused(RefusalCode.UNREADABLE_FILE, "a DICOM file", str(error), path) from error
    if dataset.get("SOPClassUID") != _SEGMENTATION_STORAGE or dataset.get("SegmentationType") != "BINARY":
        got = f"{dataset.get('Modality', 'no modality')} {dataset.get('SegmentationType', '')}".strip()
        raise _refused(RefusalCode.NOT_AN_IMAGE_OBJECT, "a DICOM Segmentation of type BINARY", got, path)
    for keyword in ("PerFrameFunctionalGroupsSequence", "SegmentSequence", "PixelData", "Rows", "Columns"):
        if keyword not in dataset:
            raise _refused(RefusalCode.INCONSISTENT_FRAMES, f"an object with {keyword}", "none", path)
    return dataset


def _frame(dataset: Dataset, group: Dataset, path: Path) -> _Frame:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]

    def macro(keyword: str) -> Dataset:
        items = group.get(keyword) or shared.get(keyword)
        if not items:
            raise _refused(RefusalCode.INCONSISTENT_FRAMES, f"frames with {keyword}", "none", path)
        item: Dataset = items[0]
        return item

    try:
        rows_mm, columns_mm = macro("PixelMeasuresSequence").PixelSpacing
        return _Frame(
            np.array(macro("PlanePositionSequence").ImagePositionPatient, np.float64),
            np.array(macro("PlaneOrientationSequence").ImageOrientationPatient, np.float64),
            (float(rows_mm), float(columns_mm)),
            int(macro("SegmentIdentificationSequence").ReferencedSegmentNumber),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise _refused(RefusalCode.INCONSISTENT_FRAMES, "frames with complete geometry", str(error), path) from error


def _measure_mm(dataset: Dataset, keyword: str) -> float:
    """A distance of the first Pixel Measures that have it; 0 where none does."""
    for holder in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for measures in dataset.get(holder, [Dataset()])[0].get("PixelMeasuresSequence", []):
            value = abs(float(measures.get(keyword) or 0.0))
            if value > 0.0:
                return value
    return 0.0


def _place(frames: Sequence[_Frame], stated_mm: float, alone_mm: float, path: Path) -> tuple[Affine, list[int]]:
    """Find the grid of the frames: (affine to RAS, plane index of each frame).

    `stated_mm` is the header's SpacingBetweenSlices or 0; `alone_mm` what stands in where there is one plane.
    """
    first = frames[0]
    for frame in frames:
        if not np.allclose(frame.orientation, first.orientation, atol=_PARALLEL):
            raise _refused(RefusalCode.MIXED_ORIENTATIONS, "parallel frames", "several orientations", path)
        if not np.allclose(frame.spacing_mm, first.spacing_mm, rtol=1e-3):
            raise _refused(RefusalCode.INCONSISTENT_FRAMES, "one pixel spacing", "several", path)
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
        raise _refused(RefusalCode.INCONSISTENT_FRAMES, "frames on one line", f"one {astray:.3f} mm off it", path)
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
    raise _refused(RefusalCode.INCONSISTENT_FRAMES, "evenly spaced frames", found, path)


def _masks(dataset: Dataset, order: list[int], path: Path) -> Iterator[NDArray[np.bool_]]:
    """The frames as (rows, columns), in the wanted order, one at a time.

    Frames whose pixels are no multiple of 8 share bytes with their neighbours; pydicom decodes such single frames wrong
    (3.0.2), so native pixels are unpacked here. Bits are counted from the lowest (DICOM PS3.5, 8.1.1 and annex D).
    """
    try:
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            yield from (frame.astype(bool) for frame in iter_pixels(dataset, indices=order))
            return
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        packed = np.frombuffer(dataset.PixelData, np.uint8)
        for number in order:
            first = number * rows * columns
            last = first + rows * columns
            bits = np.unpackbits(packed[first // 8 : -(-last // 8)], bitorder="little")
            yield bits[first % 8 : first % 8 + rows * columns].reshape(rows, columns).astype(bool)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise _refused(RefusalCode.TRUNCATED_FILE, "pixels that can be decoded", str(error), path) from error


def _label_set(segments: Sequence[Dataset]) -> LabelSet:
    labels: list[Label] = []
    taken: set[str] = set()
    for index, item in enumerate(segments, start=1):
        plain = re.sub(r"[^a-z0-9]+", "_", str(item.get("SegmentLabel", "")).lower()).strip("_") or "segment"
        name = plain if plain not in taken else f"{plain}_{index}"
        taken.add(name)
        colour = _NO_COLOUR
        if item.get("RecommendedDisplayCIELabValue"):
            colour = CIELabColor.from_dicom_value(list(item.RecommendedDisplayCIELabValue)).to_rgb(clip=True)
        concept = _concept(item, "SegmentedPropertyTypeCodeSequence")
        category = _concept(item, "SegmentedPropertyCategoryCodeSequence")
        labels.append(Label(index, name, colour, concept, category))
    return LabelSet(tuple(labels))


def _concept(item: Dataset, keyword: str) -> CodedConcept:
    if not item.get(keyword):
        return _UNKNOWN
    code = item[keyword].value[0]
    value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or _UNKNOWN.value
    return CodedConcept(str(value), str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeMeaning", "")))


def _source_uids(dataset: Dataset) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                str(instance.ReferencedSOPInstanceUID)
                for series in dataset.get("ReferencedSeriesSequence") or []
                for instance in series.get("ReferencedInstanceSequence") or []
            }
        )
    )


def _refused(code: RefusalCode, expected: str, got: str, path: Path) -> InputRefused:
    return InputRefused(code, expected, f"{got} in {path.name}", "export the segmentation again, or leave it out")
