"""Measurement reports out as DICOM Structured Reports, by template TID 1500 (DICOM PS3.16).

Everything in the file is a function of the source and of what is said: the same result gives the same bytes. A report
is preliminary and unverified whatever stands in it; nothing but a person can change that.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import highdicom as hd
import pydicom
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr.value_types import ContentItem
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from datasets.dicom_source import DicomSource
from datasets.io import report_concepts as concepts
from datasets.io.atomic import atomic_path
from datasets.io.dicom_uid import content_date_time, derive_uid, is_uid
from datasets.io.report_content import ReportDescription
from datasets.io.report_groups import Setting, empty_group, group_of, text_item
from datasets.io.seg_carriers import identity_of
from datasets.io.seg_object import LONG_STRING, RESEARCH_USE_ONLY, code_of

_CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS
_OF_CONTEXT = hd.sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_NOTICE = f"{RESEARCH_USE_ONLY}, not a medical device: made by software, {{}}, not for diagnosis or treatment."
_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def write_dicom_sr(
    description: ReportDescription, sources: Sequence[DicomSource], path: Path, segmentation: Path | None = None
) -> None:
    """Write a report about images that came as DICOM, whole or not at all.

    Of a series of slices it is a Comprehensive 3D SR, which tells places in the patient; of films and whole slides,
    which have none, a Comprehensive SR.

    Args:
        description: What to say.
        sources: The images it is about, at least one, all of one study; the first is what a segmentation lies on.
        path: File to write.
        segmentation: The DICOM Segmentation that was written beside it, whose segments the statements name.

    Raises:
        ValueError: There is no source, sources are of several studies or have no UIDs to name them by, or a statement
            names a segment that is not there.
        OSError: A file cannot be read or written.
    """
    headers = [header for source in sources for header in source.datasets]
    studies = {str(header.get("StudyInstanceUID")) for header in headers}
    if len(studies) != 1:
        raise ValueError(f"expected sources of one study; got {len(studies)}")
    misnamed = [keyword for source in sources for keyword in source.misnamed]
    if misnamed:
        raise ValueError(f"expected sources with UIDs; got others in {', '.join(dict.fromkeys(misnamed))}")
    seg = None if segmentation is None else pydicom.dcmread(segmentation, stop_before_pixels=True)
    _check_segments(description, seg)
    document = _document(description, sources, headers, seg)
    _settle(document, headers[0])
    with atomic_path(path) as temporary:
        document.save_as(temporary)


def _check_segments(description: ReportDescription, seg: Dataset | None) -> None:
    there = set() if seg is None else {int(segment.SegmentNumber) for segment in seg.SegmentSequence}
    named = {number for statement in description.statements for number in statement.segments}
    if not named <= there:
        raise ValueError(f"expected statements about segments {sorted(there)}; got {sorted(named)}")


def _document(
    description: ReportDescription, sources: Sequence[DicomSource], headers: Sequence[Dataset], seg: Dataset | None
) -> hd.sr.ComprehensiveSR | hd.sr.Comprehensive3DSR:
    made = description.making
    first = headers[0]
    # Patient and study are taken from the first; of the others it counts which they are.
    evidence = [_carrier(first), *(_brief(header) for header in headers[1:]), *([] if seg is None else [_brief(seg)])]
    series = (
        *("report", str(first.SeriesInstanceUID), description.task),
        *(made.algorithm, made.version, made.weights_sha256, made.config_digest),
    )
    # What is said is part of the identity: a reader's decision makes another object.
    said = hashlib.sha256(repr(description).encode()).hexdigest()
    instances = [str(item.SOPInstanceUID) for item in evidence]
    date, time = content_date_time(headers)
    kind = hd.sr.Comprehensive3DSR if sources[0].planes else hd.sr.ComprehensiveSR
    return kind(
        evidence=evidence,
        content=_content(description, sources, headers, seg),
        series_instance_uid=derive_uid("series", *series),
        series_number=description.series_number,
        sop_instance_uid=derive_uid("instance", *series, *instances, said),
        instance_number=1,
        manufacturer="DenseLens",
        is_complete=description.complete,
        is_final=False,
        is_verified=False,
        manufacturer_model_name=made.algorithm[:LONG_STRING],
        software_versions=made.version[:LONG_STRING],
        device_serial_number=made.weights_sha256[:16],
        series_description=f"{RESEARCH_USE_ONLY} Report"[:LONG_STRING],
        content_qualification="RESEARCH",
        coding_schemes=[
            CodingSchemeIdentificationItem(concepts.OWN_SCHEME, name="DenseLens", responsible_organization="DenseLens")
        ],
        # One encoding that can hold any source's text.
        specific_character_set="ISO_IR 192",
        content_date=date,
        content_time=time,
        series_date=date,
        series_time=time,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _content(
    description: ReportDescription, sources: Sequence[DicomSource], headers: Sequence[Dataset], seg: Dataset | None
) -> hd.sr.MeasurementReport:
    first, planes = headers[0], sources[0].planes
    setting = Setting(
        study_uid=str(first.StudyInstanceUID),
        task=description.task,
        making=description.making,
        series_uid=str(first.SeriesInstanceUID),
        images=() if planes else tuple(headers),
        segmentation=seg,
        frame_uid=str(first.get("FrameOfReferenceUID") or "") if planes else "",
    )
    groups = [group_of(statement, setting) for statement in description.statements] or [empty_group(setting)]
    report = hd.sr.MeasurementReport(
        observation_context=_observer(description),
        procedure_reported=code_of(concepts.procedure_concept(str(first.get("Modality") or ""))),
        imaging_measurements=groups,
        title=codes.cid7021.ImagingMeasurementReport,
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(code_of(concepts.LANGUAGE)),
    )
    content = report[0].ContentSequence
    # The library comes before what is said about its images (TID 1500, row 5).
    content.insert(len(content) - 1, _library(headers))
    decided = any(statement.by_reader or statement.decision for statement in description.statements)
    notice = _NOTICE.format("with what a reader decided, verified by nobody" if decided else "read by nobody")
    for remark in (notice, *description.remarks):
        content.append(text_item(code_of(concepts.COMMENT), remark))
    return report


def _observer(description: ReportDescription) -> hd.sr.ObservationContext:
    made = description.making
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=derive_uid("device", made.version, made.weights_sha256),
        name="DenseLens",
        manufacturer_name="DenseLens",
        model_name=made.algorithm,
        serial_number=made.weights_sha256[:16],
    )
    return hd.sr.ObservationContext(observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device))


def _library(headers: Sequence[Dataset]) -> ContentItem:
    """The image library (TID 1600): what images share is told once for all of them.

    highdicom's own tells position and orientation with every image, ten thousand items for a long scan, and cannot be
    made for films that lack a spacing.
    """
    library = hd.sr.ContainerContentItem(name=codes.DCM.ImageLibrary, relationship_type=_CONTAINS, template_id="1600")
    library.ContentSequence = hd.sr.ContentSequence()
    for shared, images in groupby(headers, key=_shared):
        group = hd.sr.ContainerContentItem(name=codes.DCM.ImageLibraryGroup, relationship_type=_CONTAINS)
        group.ContentSequence = hd.sr.ContentSequence(list(_descriptors(*shared)))
        for image in images:
            group.ContentSequence.append(
                hd.sr.ImageContentItem(
                    name=code_of(concepts.SOURCE),
                    referenced_sop_class_uid=image.SOPClassUID,
                    referenced_sop_instance_uid=image.SOPInstanceUID,
                    relationship_type=_CONTAINS,
                )
            )
        library.ContentSequence.append(group)
    return library


def _shared(header: Dataset) -> tuple[str, str, int, int]:
    """Modality, frame of reference, rows, columns."""
    modality, frame = (str(header.get(keyword) or "") for keyword in ("Modality", "FrameOfReferenceUID"))
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    return modality, frame if is_uid(frame) else "", rows, columns


def _descriptors(modality: str, frame_uid: str, rows: int, columns: int) -> Iterator[ContentItem]:
    yield hd.sr.CodeContentItem(codes.DCM.Modality, code_of(concepts.modality_concept(modality)), _OF_CONTEXT)
    if frame_uid:
        yield hd.sr.UIDRefContentItem(codes.DCM.FrameOfReferenceUID, frame_uid, _OF_CONTEXT)
    pixels = code_of(concepts.unit_concept("{pixels}"))
    for name, size in ((codes.DCM.PixelDataRows, rows), (codes.DCM.PixelDataColumns, columns)):
        if size:
            yield hd.sr.NumContentItem(name, size, pixels, relationship_type=_OF_CONTEXT)


def _carrier(header: Dataset) -> Dataset:
    """Patient and study of a header, without values that the standard forbids."""
    carrier = identity_of(header)
    carrier.update(_brief(header))
    # Patient and study are of one form in all classes, and highdicom does not know them all.
    carrier.SOPClassUID = SecondaryCaptureImageStorage
    return carrier


def _brief(header: Dataset) -> Dataset:
    """Which instance it is."""
    brief = Dataset()
    for keyword in _UIDS:
        setattr(brief, keyword, str(header[keyword].value))
    return brief


def _settle(document: Dataset, header: Dataset) -> None:
    """Put right what highdicom fills with the clock, what stood in, and the name that it would log."""
    document.PatientName = header.get("PatientName") or ""
    for study in document.CurrentRequestedProcedureEvidenceSequence:
        for item in (item for series in study.ReferencedSeriesSequence for item in series.ReferencedSOPSequence):
            if item.ReferencedSOPInstanceUID == header.SOPInstanceUID:
                item.ReferencedSOPClassUID = str(header.SOPClassUID)
    document.InstanceCreationDate = document.ContentDate
    document.InstanceCreationTime = document.ContentTime
    for equipment in document.get("ContributingEquipmentSequence") or ():
        equipment.pop("ContributionDateTime", None)
