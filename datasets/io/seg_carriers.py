"""The headers from which a DICOM Segmentation is built: a source's patient and study, and geometry as it was measured.

Handing highdicom the source's own headers would let a wrong SliceThickness through: where the pixel spacings agree it
takes all pixel measures from them. Each carrier is named by a handle, which whoever uses them replaces.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.uid import ComputedRadiographyImageStorage, CTImageStorage
from pydicom.valuerep import format_number_as_ds, validate_value

from datasets.dicom_source import DicomSource, Plane
from datasets.io.dicom_uid import valid_date, valid_time

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
_CHECKED_ALONE = ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ContentDate", "ContentTime")
# What of a header is looked at, for those who need not keep the rest.
IDENTITY = (*_COPIED, *_CHECKED_ALONE, "PatientName", "AcquisitionDate", "AcquisitionTime", "SeriesDate", "SeriesTime")


def carriers_of(source: DicomSource, slice_mm: float) -> list[Dataset]:
    """One single-frame header per frame of the source, for highdicom to build upon.

    Args:
        source: All planes of one size, spacing and orientation; or a film, one instance without planes, whose carrier
            has no place.
        slice_mm: Distance between slices where there is one plane.

    Returns:
        One per plane, in their order, named by `handle`.

    Raises:
        ValueError: The planes do not belong together, or there is neither a plane nor one film.
    """
    if source.planes:
        return _carriers(source, *_slice_distances(source.planes, slice_mm))
    if len(source.datasets) != 1:
        raise ValueError(f"expected planes, or one film; got {len(source.datasets)} instances without planes")
    return [_film_carrier(source.datasets[0])]


def handle(number: int) -> str:
    """The SOPInstanceUID of the carrier of a frame, counted from 1."""
    return f"2.25.{number}"


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
    """One header per plane, stating the geometry that was measured."""
    first = source.planes[0]
    header = identity_of(source.datasets[first.instance])
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
        carrier.SOPInstanceUID = handle(number)
        carrier.Rows, carrier.Columns = plane.size
        carrier.ImageOrientationPatient = _decimals(orientation)
        carrier.ImagePositionPatient = _decimals(plane.position_mm)
        carrier.PixelSpacing = _decimals(first.spacing_mm)
        carrier.SliceThickness = format_number_as_ds(thickness_mm)
        if spacing_mm is not None:
            carrier.SpacingBetweenSlices = format_number_as_ds(spacing_mm)
        carriers.append(carrier)
    return carriers


def _film_carrier(header: Dataset) -> Dataset:
    """The header of a film, without any place."""
    carrier = identity_of(header)
    # A frame of reference without a position would promise geometry that nobody measured.
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        carrier.pop(keyword, None)
    carrier.SOPClassUID = ComputedRadiographyImageStorage
    carrier.SOPInstanceUID = handle(1)
    carrier.Rows, carrier.Columns = header.Rows, header.Columns
    return carrier


def identity_of(header: Dataset) -> Dataset:
    """Patient, study and equipment of a header, without values that the standard forbids."""
    identity = Dataset()
    for keyword in _COPIED:
        element = _readable(header, keyword)
        if element is not None:
            identity[keyword] = element
    for keyword in _NEVER_ABSENT:
        if identity.get(keyword) is None:
            setattr(identity, keyword, "")
    # The name is filled in at the end: highdicom warns, naming the patient, about names without a caret.
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


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    return [format_number_as_ds(float(value)) for value in values]
