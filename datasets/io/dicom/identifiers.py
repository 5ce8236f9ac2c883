"""Identifiers that files lack: derived from what is stable, so that the same files always get the same ones."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import dictionary_VR

from datasets.io.dicom.instance import Instance, numbers_of, text_of
from datasets.io.dicom_uid import derive_uid

# Attributes that DICOM wants present though they may be blank (type 2), and that objects made from the series copy.
_BLANK_ALLOWED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
    "SeriesNumber",
    "InstanceNumber",
)


def fill_identifiers(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Fill in identifiers that are blank in the files.

    SOP class and instance come from the file meta information where it has them. Files of one folder without a
    StudyInstanceUID become one study; those without a SeriesInstanceUID one series per modality, frame of reference
    and orientation.

    Args:
        instances: What was read; their headers, which nobody else holds yet, are filled in place.

    Returns:
        The instances in the same order; `derived` names the identifiers that the files did not have.
    """
    instances = [_fill_sop(instance) for instance in instances]
    studies = _study_uids(instances)
    return tuple(_filled(instance, studies[instance.path.parent]) for instance in instances)


def _fill_sop(instance: Instance) -> Instance:
    meta = instance.header.file_meta
    if not instance.text("SOPClassUID"):
        _set(instance.header, "SOPClassUID", text_of(meta, "MediaStorageSOPClassUID"))
    if instance.text("SOPInstanceUID"):
        return instance
    named = text_of(meta, "MediaStorageSOPInstanceUID")
    _set(instance.header, "SOPInstanceUID", named or _content_uid(instance.path))
    return instance if named else replace(instance, derived=frozenset({"SOPInstanceUID"}))


def _set(header: Dataset, keyword: str, value: str) -> None:
    """Replace an element whatever stands there, even where that cannot be parsed."""
    header.add_new(keyword, dictionary_VR(keyword), value)


def _content_uid(path: Path) -> str:
    with path.open("rb") as file:
        return derive_uid("instance", hashlib.file_digest(file, "sha256").hexdigest())


def _study_uids(instances: Sequence[Instance]) -> dict[Path, str]:
    """The identifier that the files of each folder get where they have none of their own."""
    stable: dict[Path, list[str]] = defaultdict(list)
    for instance in instances:
        if not instance.text("StudyInstanceUID"):
            # A frame of reference is shared by the slices of an examination; a slice may come or go.
            frame = instance.text("FrameOfReferenceUID")
            stable[instance.path.parent].append("0" + frame if frame else "1" + instance.text("SOPInstanceUID"))
    seeds = defaultdict(str, {folder: min(found) for folder, found in stable.items()})
    return {i.path.parent: derive_uid("study", seeds[i.path.parent]) for i in instances}


def _filled(instance: Instance, study_uid: str) -> Instance:
    header = instance.header
    derived = set(instance.derived)
    if not instance.text("StudyInstanceUID"):
        _set(header, "StudyInstanceUID", study_uid)
        derived.add("StudyInstanceUID")
    if not instance.text("SeriesInstanceUID"):
        cosines = numbers_of(header, "ImageOrientationPatient", 6) or ()
        orientation = ",".join(f"{round(c, 3) + 0.0:.3f}" for c in cosines)
        parts = (instance.text("Modality"), instance.text("FrameOfReferenceUID"), orientation)
        _set(header, "SeriesInstanceUID", derive_uid("series", instance.text("StudyInstanceUID"), *parts))
        derived.add("SeriesInstanceUID")
    if not instance.text("FrameOfReferenceUID"):
        # Not told: it names a coordinate system of the series' own and decides nothing.
        _set(header, "FrameOfReferenceUID", derive_uid("frame of reference", instance.text("SeriesInstanceUID")))
    for keyword in _BLANK_ALLOWED:
        if keyword not in header:
            _set(header, keyword, "")
    return replace(instance, derived=frozenset(derived))
