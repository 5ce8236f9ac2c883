"""What every DICOM Segmentation of this project shares: its place on the source's frames, and its identity.

Frames of the object are frames of the source, in place and in size, so that every reader can lay one over the other;
geometry comes from positions, never from the header's slice thickness. Everything in the file is a function of the
source, the pixels and what is said about them: the same result gives the same bytes.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from datasets.dicom_source import DicomSource
from datasets.image import Array
from datasets.io.atomic import atomic_path
from datasets.io.dicom_uid import content_date_time, derive_uid
from datasets.io.seg_carriers import carriers_of, handle
from datasets.labels import CodedConcept

RESEARCH_USE_ONLY = "RESEARCH USE ONLY"
LONG_STRING = 64  # characters a value of VR LO may have (DICOM PS3.5, table 6.2-1)


@dataclass(frozen=True)
class Making:
    """What made the pixels of an object.

    Attributes:
        algorithm: Name of the algorithm, such as the model's.
        version: Version of the software.
        weights_sha256: Hash of the weights, hexadecimal.
        config_digest: Hash of the settings.
    """

    algorithm: str
    version: str
    weights_sha256: str
    config_digest: str

    def identification(self, name: str, **parameters: str) -> hd.AlgorithmIdentificationSequence:
        """The algorithm as segments name it, with further parameters in front of the hashes."""
        return hd.AlgorithmIdentificationSequence(
            name=name[:LONG_STRING],
            family=codes.cid7162.ArtificialIntelligence,
            version=self.version[:LONG_STRING],
            source="DenseLens",
            parameters={**parameters, "weights_sha256": self.weights_sha256, "config": self.config_digest},
        )


@dataclass(frozen=True, eq=False)
class SegObject:
    """What an object says about its pixels.

    Attributes:
        kind: What sort of object it is; with the source series, the making and `identity`, its series derives from it.
        making: What made it.
        segments: The segments, numbered 1, 2, 3 …
        content_label: ContentLabel.
        series_description: What a person reads in a list of series; "RESEARCH USE ONLY" is put in front.
        series_number: Number of the new series within the study, positive.
        encoding: How pixels are stored, in the words of `highdicom.seg.Segmentation`.
        identity: What else tells the series from others of the same making.
        rle: Whether pixels, which are then of whole bytes, are compressed (RLE Lossless).
    """

    kind: str
    making: Making
    segments: tuple[hd.seg.SegmentDescription, ...]
    content_label: str
    series_description: str
    series_number: int
    encoding: Mapping[str, Any]
    identity: tuple[str, ...] = ()
    rle: bool = False


def write_seg_object(frames: Array, source: DicomSource, slice_mm: float, what: SegObject, path: Path) -> None:
    """Write pixels on the frames of their source as a DICOM Segmentation that references it, whole or not at all.

    Frames without a pixel above 0 are left out, as readers expect; without any such pixel all frames are written.

    Args:
        frames: (planes, rows, columns) in the order of the source's planes, in the type `what.encoding` asks for; a
            film, which has no planes, is one frame.
        source: All planes of one size, spacing and orientation; or a film, one instance without planes. A film's
            object has no frame of reference: pixel lies on pixel (DICOM PS3.3, A.51.5.1).
        slice_mm: Distance between slices where there is one plane.
        what: What to say about them.
        path: File to write.

    Raises:
        ValueError: The source's frames do not belong together.
        OSError: The file cannot be written.
    """
    segmentation = _segmentation(frames, carriers_of(source, slice_mm), source, what)
    _settle(segmentation, source)
    if what.rle:
        # Named, for GDCM's encoder comes first otherwise, and aborts the process over rows that do not get smaller.
        segmentation.compress(RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    with atomic_path(path) as temporary:
        segmentation.save_as(temporary)


def code_of(concept: CodedConcept) -> hd.sr.CodedConcept:
    """A concept as highdicom takes it."""
    return hd.sr.CodedConcept(concept.value, concept.scheme, concept.meaning)


def _segmentation(frames: Array, carriers: list[Dataset], source: DicomSource, what: SegObject) -> hd.seg.Segmentation:
    date, time = content_date_time(source.datasets)
    made = what.making
    making = (made.algorithm, made.version, made.weights_sha256, made.config_digest)
    series = (what.kind, str(carriers[0].SeriesInstanceUID), *making, *what.identity)
    instances = [f"{source.datasets[n].SOPInstanceUID}#{frame}" for n, frame in _places(source)]
    # The pixels are part of the identity: an edited mask, or the last bits of another device, make another object.
    content = hashlib.sha256(frames.tobytes()).hexdigest()
    return hd.seg.Segmentation(
        source_images=carriers,
        pixel_array=frames,
        segment_descriptions=what.segments,
        series_instance_uid=derive_uid("series", *series),
        series_number=what.series_number,
        sop_instance_uid=derive_uid("instance", *series, *instances, content),
        instance_number=1,
        manufacturer="DenseLens",
        manufacturer_model_name=made.algorithm[:LONG_STRING],
        software_versions=made.version[:LONG_STRING],
        device_serial_number=made.weights_sha256[:16],
        omit_empty_frames=bool(frames.any()),
        content_label=what.content_label,
        content_description=f"{RESEARCH_USE_ONLY}, not a medical device",
        series_description=f"{RESEARCH_USE_ONLY} {what.series_description}"[:LONG_STRING],
        # One encoding that can hold any source's text.
        specific_character_set="ISO_IR 192",
        content_date=date,
        content_time=time,
        series_date=date,
        series_time=time,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **what.encoding,
    )


def _places(source: DicomSource) -> list[tuple[int, int]]:
    """(instance, frame number) of each frame of the object; a film is the first frame of its instance."""
    return [(plane.instance, plane.frame) for plane in source.planes] or [(0, 1)]


def _settle(segmentation: Dataset, source: DicomSource) -> None:
    """Put right what highdicom fills with clocks, random numbers and the carriers' handles."""
    places = _places(source)
    segmentation.PatientName = source.datasets[places[0][0]].get("PatientName") or ""
    if not source.planes:
        # What has no orientation in the patient has to tell this, if only as unknown.
        segmentation.PatientOrientation = _directions(source.datasets[0])
    segmentation.InstanceCreationDate = segmentation.ContentDate
    segmentation.InstanceCreationTime = segmentation.ContentTime
    for equipment in segmentation.ContributingEquipmentSequence:
        equipment.pop("ContributionDateTime", None)
    organization = derive_uid("dimensions", str(segmentation.SOPInstanceUID))
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    references = _references(source)
    segmentation.SourceImageSequence = references
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = references
    handles = {handle(number): place for number, place in enumerate(places, start=1)}
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        # Frames of several segments share one item.
        place = handles.get(str(item.ReferencedSOPInstanceUID))
        if place is not None:
            _refer(item, source.datasets[place[0]], [place[1]])


def _directions(film: Dataset) -> list[str] | str:
    """PatientOrientation, where it holds the letters of two directions."""
    try:
        letters = [str(value) for value in film.get("PatientOrientation") or ()]
    except (ValueError, TypeError, NotImplementedError):
        return ""
    return letters if len(letters) == 2 and all(re.fullmatch("[A-Z]{1,16}", text) for text in letters) else ""


def _references(source: DicomSource) -> list[Dataset]:
    """One item per source instance, in the order of the planes; frames are named where not all are meant."""
    frames: dict[int, list[int]] = {}
    for number, frame in _places(source):
        frames.setdefault(number, []).append(frame)
    items = []
    for instance, used in frames.items():
        header = source.datasets[instance]
        all_frames = len(used) == int(header.get("NumberOfFrames") or 1)
        items.append(_refer(Dataset(), header, [] if all_frames else sorted(used)))
    return items


def _refer(item: Dataset, header: Dataset, frames: list[int]) -> Dataset:
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    if frames and "NumberOfFrames" in header:
        item.ReferencedFrameNumber = frames if len(frames) > 1 else frames[0]
    return item
