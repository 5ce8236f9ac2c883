"""DICOM Segmentation in, ours and others': frames are put in place by their positions, whatever their order."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import iter_pixels

from datasets.codes import RefusalCode
from datasets.image import Image, Intensity
from datasets.io.seg_placement import concept_of, frames_of, open_segmentation, place_frames, refused, source_uids
from datasets.labels import Label, LabelSet

_NO_COLOUR = (255, 255, 0)


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
    dataset = open_segmentation(path, "BINARY")
    frames = frames_of(dataset, path)
    affine, planes = place_frames(dataset, frames, path)
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
            raise refused(RefusalCode.INCONSISTENT_FRAMES, "frames of declared segments", "an undeclared one", path)
        index = index_of[frames[number].segment]
        overlap += int(np.count_nonzero(plane[mask]))
        plane[mask] = index
    labels = Image.from_slices(volume, Intensity.LABEL, affine)
    return SegContent(labels, _label_set(segments), overlap, source_uids(dataset))


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
        raise refused(RefusalCode.TRUNCATED_FILE, "pixels that can be decoded", str(error), path) from error


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
        concept = concept_of(item, "SegmentedPropertyTypeCodeSequence")
        category = concept_of(item, "SegmentedPropertyCategoryCodeSequence")
        labels.append(Label(index, name, colour, concept, category))
    return LabelSet(tuple(labels))
