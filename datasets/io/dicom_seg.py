"""DICOM Segmentation out: a label map written on the frames of the series it was found in.

Frames of the object are frames of the source, in place and in size, so that every reader can lay one over the other;
geometry comes from positions, never from the header's slice thickness. Everything in the file is a function of the
source, the labels and the description: the same result gives the same bytes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds, validate_value

from datasets.dicom_source import DicomSource, Plane
from datasets.image import Image
from datasets.io.atomic import atomic_path
from datasets.io.dicom_uid import content_date_time, derive_uid, valid_date, valid_time
from datasets.labels import CodedConcept, Label, LabelSet
from datasets.plane_sampling import labels_on_planes

RESEARCH_USE_ONLY = "RESEARCH USE ONLY"
_LONG_STRING = 64  # characters a value of VR LO may have (DICOM PS3.5, table 6.2-1)
_EVEN_MM = 0.01  # gaps between planes that differ by no more are one spacing written with rounding

# What the object says about patient and study is what its source says.
_COPIED = (
    *("PatientID", "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved"),
    *("DeidentificationMethod", "DeidentificationMethodCodeSequence", "StudyInstanceUID", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyDescription", "SeriesInstanceUID", "Modality", "FrameOfReferenceUID"),
    *("PositionReferenceIndicator", "LossyImageCompression", "LossyImageCompressionRatio"),
    *("LossyImageCompressionMethod", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber"),
    *("SoftwareVersions", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"),
    *("ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialTimePointID"),
)
_CHECKED_VR = ("DS", "AS", "CS")
# Attributes that must be present, if only empty.
_NEVER_ABSENT = ("PatientID", "StudyID", "AccessionNumber", "ReferringPhysicianName")


@dataclass(frozen=True)
class SegDescription:
    """What a segmentation object says about how it was made.

    Attributes:
        label_set: The labels; all are declared, also those that were not found.
        algorithm: Name of the algorithm, such as the model's.
        version: Version of the software.
        weights_sha256: Hash of the weights, hexadecimal.
        config_digest: Hash of the settings.
        series_description: What a person reads in a list of series; "RESEARCH USE ONLY" is put in front.
        series_number: Number of the new series within the study, positive.
        algorithm_type: "MANUAL" for what people drew: no algorithm is named then.
    """

    label_set: LabelSet
    algorithm: str
    version: str
    weights_sha256: str
    config_digest: str
    series_description: str = "Segmentation"
    series_number: int = 9001
    algorithm_type: Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"] = "AUTOMATIC"


def write_dicom_seg(labels: Image, source: DicomSource, path: Path, description: SegDescription) -> None:
    """Write a label map as a DICOM Segmentation (BINARY) that references its source instances.

    Frames without a label are left out, as readers expect; a result without any label is written with all frames, so
    that it says "looked everywhere, found nothing" and can still be placed. The file is complete or absent.

    Args:
        labels: (1, I, J, K) uint8 with an affine, 0 for background. It may lie on the source's grid or on another
            (a rectified series): see `datasets.plane_sampling.labels_on_planes`.
        source: The instances the image came from; all frames have one size, spacing and orientation.
        path: File to write.
        description: What to say about it.

    Raises:
        ValueError: A label is not in the label set, or the source's frames do not belong together.
        OSError: The file cannot be written.
    """
    highest = int(labels.array.max())
    if highest > len(description.label_set.labels):
        raise ValueError(f"expected labels up to {len(description.label_set.labels)}; got {highest}")
    frames = labels_on_planes(labels, source.planes)
    thickness_mm, spacing_mm = _slice_distances(source.planes, labels.grid.spacing_mm[2])
    carriers = _carriers(source, thickness_mm, spacing_mm)
    segmentation = _segmentation(frames, carriers, source, description)
    _settle(segmentation, source, description)
    with atomic_path(path) as temporary:
        segmentation.save_as(temporary)


def _slice_distances(planes: Sequence[Plane], otherwise_mm: float) -> tuple[float, float | None]:
    """(slice thickness, spacing between slices or None where it is uneven), from positions alone."""
    if len(planes) == 1:
        # Left out, highdicom would invent a spacing of 1 mm.
        return otherwise_mm, otherwise_mm
    offsets = np.sort([float(plane.position_mm @ planes[0].normal) for plane in planes])
    gaps = np.diff(offsets)
    if gaps.min() < 1e-3:
        raise ValueError(f"expected frames at different places; got frames {gaps.min():.6f} mm apart")
    if np.ptp(gaps) > _EVEN_MM:
        return round(float(np.median(gaps)), 6), None
    spacing_mm = round(float(gaps.mean()), 6)
    return spacing_mm, spacing_mm


def _carriers(source: DicomSource, thickness_mm: float, spacing_mm: float | None) -> list[Dataset]:
    """One single-frame header per plane, stating the geometry that was measured, for highdicom to build upon.

    Handing highdicom the source's own headers would let a wrong SliceThickness through: where the pixel spacings agree
    it takes all pixel measures from them. Each carrier is named by a handle; `_settle` puts the references right.
    """
    first = source.planes[0]
    header = _identity(source.datasets[first.instance])
    # One orientation for all, in the decimals DICOM has room for.
    orientation = [*first.along_row, *first.along_column]
    carriers = []
    for number, plane in enumerate(source.planes, start=1):
        alike = np.allclose([*plane.along_row, *plane.along_column], orientation, atol=1e-4)
        if not alike or not np.allclose(plane.spacing_mm, first.spacing_mm, rtol=1e-4):
            raise ValueError(f"expected frames of one orientation and spacing; got plane {number} unlike the first")
        carrier = Dataset()
        carrier.update(header)
        carrier.SOPClassUID = CTImageStorage
        carrier.SOPInstanceUID = _handle(number)
        carrier.Rows, carrier.Columns = plane.size
        carrier.ImageOrientationPatient = _decimals(orientation)
        carrier.ImagePositionPatient = _decimals(plane.position_mm)
        carrier.PixelSpacing = _decimals(first.spacing_mm)
        carrier.SliceThickness = format_number_as_ds(thickness_mm)
        if spacing_mm is not None:
            carrier.SpacingBetweenSlices = format_number_as_ds(spacing_mm)
        carriers.append(carrier)
    return carriers


def _identity(header: Dataset) -> Dataset:
    """Patient, study and equipment of a header, without values that the standard forbids."""
    identity = Dataset()
    for keyword in _COPIED:
        element = _readable(header, keyword)
        if element is not None:
            identity[keyword] = element
    for keyword in _NEVER_ABSENT:
        if identity.get(keyword) is None:
            setattr(identity, keyword, "")
    # The name is filled in by `_settle`: highdicom warns, naming the patient, about names without a caret.
    identity.PatientName = ""
    identity.PatientBirthDate = valid_date(header.get("PatientBirthDate"))
    sex = str(header.get("PatientSex") or "").strip()
    identity.PatientSex = sex if sex in ("M", "F", "O") else ""
    identity.StudyDate = valid_date(header.get("StudyDate"))
    identity.StudyTime = valid_time(header.get("StudyTime"))
    if identity.get("LossyImageCompression") != "01":
        # Absent, it is written as "00"; blank, it would be copied.
        identity.pop("LossyImageCompression", None)
    return identity


def _readable(header: Dataset, keyword: str) -> DataElement | None:
    """An attribute as it stands; None where it is absent or holds no value of its kind (a weight of "70,5").

    Identifiers and names are kept even where they are longer than the standard allows: cut, they would be others.
    """
    if keyword not in header:
        return None
    try:
        element = header[keyword]
        if element.VR in _CHECKED_VR:
            validate_value(element.VR, str(element.value or ""), RAISE)
    except (ValueError, TypeError, NotImplementedError):
        return None
    return element


def _segmentation(
    frames: NDArray[np.uint8], carriers: list[Dataset], source: DicomSource, description: SegDescription
) -> hd.seg.Segmentation:
    date, time = content_date_time(source.datasets)
    making = (description.algorithm, description.version, description.weights_sha256, description.config_digest)
    series = ("segmentation", str(carriers[0].SeriesInstanceUID), *making)
    instances = [f"{source.datasets[p.instance].SOPInstanceUID}#{p.frame}" for p in source.planes]
    # The labels are part of the identity: an edited mask, or the last bits of another device, make another object.
    content = hashlib.sha256(frames.tobytes()).hexdigest()
    return hd.seg.Segmentation(
        source_images=carriers,
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(label, description) for label in description.label_set.labels],
        series_instance_uid=derive_uid("series", *series),
        series_number=description.series_number,
        sop_instance_uid=derive_uid("instance", *series, *instances, content),
        instance_number=1,
        manufacturer="DenseLens",
        manufacturer_model_name=description.algorithm[:_LONG_STRING],
        software_versions=description.version[:_LONG_STRING],
        device_serial_number=description.weights_sha256[:16],
        omit_empty_frames=bool(frames.any()),
        content_label="SEGMENTATION",
        content_description=f"{RESEARCH_USE_ONLY}, not a medical device",
        series_description=f"{RESEARCH_USE_ONLY} {description.series_description}"[:_LONG_STRING],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        # One encoding that can hold any source's text.
        specific_character_set="ISO_IR 192",
        content_date=date,
        content_time=time,
        series_date=date,
        series_time=time,
    )


def _segment(label: Label, description: SegDescription) -> hd.seg.SegmentDescription:
    algorithm = hd.AlgorithmIdentificationSequence(
        name=description.algorithm[:_LONG_STRING],
        family=codes.cid7162.ArtificialIntelligence,
        version=description.version[:_LONG_STRING],
        source="DenseLens",
        parameters={"weights_sha256": description.weights_sha256, "config": description.config_digest},
    )
    return hd.seg.SegmentDescription(
        segment_number=label.index,
        segment_label=label.name,
        segmented_property_category=_code(label.category),
        segmented_property_type=_code(label.concept),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues[description.algorithm_type],
        algorithm_identification=None if description.algorithm_type == "MANUAL" else algorithm,
        display_color=CIELabColor.from_rgb(*label.colour),
    )


def _settle(segmentation: Dataset, source: DicomSource, description: SegDescription) -> None:
    """Put right what highdicom fills with clocks, random numbers and the carriers' handles."""
    segmentation.PatientName = source.datasets[source.planes[0].instance].get("PatientName") or ""
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
    handles = {_handle(number): plane for number, plane in enumerate(source.planes, start=1)}
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        item = group.DerivationImageSequence[0].SourceImageSequence[0]
        # Frames of several segments share one item.
        plane = handles.get(str(item.ReferencedSOPInstanceUID))
        if plane is not None:
            _refer(item, source.datasets[plane.instance], [plane.frame])


def _references(source: DicomSource) -> list[Dataset]:
    """One item per source instance, in the order of the planes; frames are named where not all are meant."""
    frames: dict[int, list[int]] = {}
    for plane in source.planes:
        frames.setdefault(plane.instance, []).append(plane.frame)
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


def _handle(number: int) -> str:
    return f"2.25.{number}"


def _code(concept: CodedConcept) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(concept.value, concept.scheme, concept.meaning)


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]
