"""Heat maps in: a DICOM Segmentation (FRACTIONAL) of one segment, ours and others', as values from 0 to 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import RLELossless

from datasets.codes import RefusalCode
from datasets.dicom_source import DicomSource, Plane
from datasets.geometry import Affine, ras_from_lps
from datasets.image import Image, Intensity
from datasets.io.seg_placement import concept_of, frames_of, open_segmentation, place_frames, refused, source_uids
from datasets.labels import CodedConcept

_EVEN_MM = 0.01  # planes no farther from their even places are on a grid written with rounding

Frames = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeatMapContent:
    """What a heat map's object holds.

    Attributes:
        heat: (1, I, J, K) float32 from 0 to 1, I = columns, J = rows, K = planes; planes not in the file are 0. Its
            affine is None where the planes have no place (a film) or lie on no grid (uneven spacing).
        title: SegmentLabel.
        text: SegmentDescription; "" where there is none.
        algorithm: Name of the algorithm; "" where there is none.
        concept: What the segment is, coded.
        source_uids: SOPInstanceUIDs the object refers to, sorted.
    """

    heat: Image
    title: str
    text: str
    algorithm: str
    concept: CodedConcept
    source_uids: tuple[str, ...]


def read_dicom_heat_map(path: Path, source: DicomSource | None = None) -> HeatMapContent:
    """Read a DICOM Segmentation of type FRACTIONAL with one segment.

    Args:
        path: The file.
        source: The instances it was written for: the map then has one plane for each of the source's, in their order,
            told by the frames' references, so that planes of any spacing come back. Without it planes are put in place
            by their positions, which must be even, and the map spans those that are in the file.

    Returns:
        The values, to what the object resolves: 1/255 in ours.

    Raises:
        InputRefused: It is no DICOM file, no FRACTIONAL segmentation of one segment, damaged, made of other instances
            than the source's (`different_grids`), or its frames do not lie on one grid.
    """
    dataset = open_segmentation(path, "FRACTIONAL")
    if len(dataset.SegmentSequence) != 1:
        got = f"{len(dataset.SegmentSequence)} segments"
        raise refused(RefusalCode.NOT_AN_IMAGE_OBJECT, "a heat map of one segment", got, path)
    affine, planes, count = _places(dataset, path) if source is None else _on_source(dataset, source, path)
    volume: Frames = np.zeros((count, int(dataset.Rows), int(dataset.Columns)), np.float32)
    try:
        highest = float(dataset.get("MaximumFractionalValue") or 255)
        # What decodes RLE elsewhere in this project does so here.
        plugin = "pylibjpeg" if dataset.file_meta.TransferSyntaxUID == RLELossless else ""
        for plane, stored in zip(planes, iter_pixels(dataset, decoding_plugin=plugin), strict=True):
            volume[plane] = stored.astype(np.float32) / np.float32(highest)
    except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise refused(RefusalCode.TRUNCATED_FILE, "pixels that can be decoded", str(error), path) from error
    (segment,) = dataset.SegmentSequence
    return HeatMapContent(
        Image.from_slices(volume, Intensity.PROBABILITY, affine),
        str(segment.get("SegmentLabel", "")),
        str(segment.get("SegmentDescription", "")),
        str(segment.get("SegmentAlgorithmName", "")),
        concept_of(segment, "SegmentedPropertyTypeCodeSequence"),
        source_uids(dataset),
    )


def _places(dataset: Dataset, path: Path) -> tuple[Affine | None, list[int], int]:
    """(affine to RAS, plane index of each frame, number of planes) by the frames' positions."""
    groups = dataset.PerFrameFunctionalGroupsSequence
    if "FrameOfReferenceUID" not in dataset and len(groups) == 1:
        return None, [0], 1
    affine, planes = place_frames(dataset, frames_of(dataset, path), path)
    return affine, planes, max(planes) + 1


def _on_source(dataset: Dataset, source: DicomSource, path: Path) -> tuple[Affine | None, list[int], int]:
    """The same by the frames' references."""
    uids = [str(header.SOPInstanceUID) for header in source.datasets]
    places = [(uids[p.instance], p.frame) for p in source.planes] or [(uid, 1) for uid in uids]
    index = {place: number for number, place in enumerate(places)}
    size = source.planes[0].size if source.planes else (int(source.datasets[0].Rows), int(source.datasets[0].Columns))
    planes = [index.get(_reference(group), -1) for group in dataset.PerFrameFunctionalGroupsSequence]
    if min(planes) < 0 or size != (int(dataset.Rows), int(dataset.Columns)):
        expected = "a map of the source's instances, on its frames"
        raise refused(RefusalCode.DIFFERENT_GRIDS, expected, "a map of others, or of another size", path)
    return _affine(source.planes), planes, len(places)


def _reference(group: Dataset) -> tuple[str, int]:
    """(SOPInstanceUID, frame number) of the source frame that a frame lies on; ("", 1) where it names none."""
    derivations = group.get("DerivationImageSequence") or [Dataset()]
    sources = derivations[0].get("SourceImageSequence") or [Dataset()]
    return str(sources[0].get("ReferencedSOPInstanceUID", "")), int(sources[0].get("ReferencedFrameNumber") or 1)


def _affine(planes: Sequence[Plane]) -> Affine | None:
    """The grid of a source's planes to RAS mm, sheared where they are; None where they lie on none."""
    if len(planes) < 2:
        return None
    first = planes[0]
    positions = np.array([plane.position_mm for plane in planes])
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    if np.abs(positions - positions[0] - np.arange(len(planes))[:, np.newaxis] * step).max() > _EVEN_MM:
        return None
    affine = np.eye(4)
    affine[:3, 0] = first.along_row * first.spacing_mm[1]
    affine[:3, 1] = first.along_column * first.spacing_mm[0]
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return ras_from_lps(affine)
