"""Headers of DICOM files: one pass over the files, everything but the pixels."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.dicom.instance import PARSE_ERRORS, Instance, text_of
from datasets.io.dicom.pixel_element import (
    find_pixels,
    length_problem,
    native_bytes,
    no_pixel_data,
    pixel_problem,
    truncated,
)

_DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
_LARGE_PRIVATE_BYTES = 4096
_ICON_IMAGE_SEQUENCE = 0x00880200
# Objects with pixels or grids that are statements about images, not images: raw data, registrations, segmentations
# (66), radiotherapy (481), parametric maps (30), presentation states (11).
_DERIVED_OBJECTS = tuple(f"1.2.840.10008.5.1.4.1.1.{branch}." for branch in (66, 481, 30, 11))


@dataclass(frozen=True, eq=False)
class Scan:
    """What is in some files.

    Attributes:
        instances: DICOM files, images and other objects.
        not_dicom: Files that are no DICOM at all.
        refused: Files that should be DICOM and cannot be read, with the reason.
    """

    instances: tuple[Instance, ...]
    not_dicom: tuple[Path, ...]
    refused: tuple[tuple[Path, InputRefused], ...]


def scan(files: Iterable[Path]) -> Scan:
    """Read the headers of files, in the order of their paths.

    Args:
        files: Files; symbolic links are followed. None gives an empty scan.
    """
    instances, not_dicom, refused = [], [], []
    for path in sorted(set(files)):
        try:
            instance = _read_instance(path)
        except InputRefused as error:
            refused.append((path, error))
            continue
        if instance is None:
            not_dicom.append(path)
        else:
            instances.append(instance)
    return Scan(tuple(instances), tuple(not_dicom), tuple(refused))


def _read_instance(path: Path) -> Instance | None:
    """The instance in a file; None where it is no DICOM."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
            if _looks_like_dicom(head):
                file.seek(0)
                instance = _parse(path, file, has_mark=head[128:] == b"DICM")
            else:
                instance = None
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__) from error
    if instance is None and path.suffix.lower() in _DICOM_SUFFIXES:
        raise _unreadable(path, "a file without the DICOM mark")
    return instance


def _looks_like_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes carry the mark, or start with an element as files without preamble do."""
    if head[128:] == b"DICM":
        return True
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0") or head[3] != 0:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or 0 < int.from_bytes(head[4:8], "little") <= 128


def _parse(path: Path, file: BinaryIO, *, has_mark: bool) -> Instance | None:
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=not has_mark)
        end = file.tell()
        header = _slim(dataset)
        sop_class = text_of(header, "SOPClassUID") or text_of(header.file_meta, "MediaStorageSOPClassUID")
    except PARSE_ERRORS as error:
        raise _unreadable(path, f"bytes that do not parse ({type(error).__name__})") from error
    if not sop_class and not has_mark:
        return None
    instance = Instance(path, header, is_image=_is_image_class(sop_class))
    if instance.transfer_syntax == DeflatedExplicitVRLittleEndian:
        return _deflated(instance, file)
    file.seek(end)
    element = find_pixels(file, header)
    if element is None:
        return _without_pixels(instance, sop_class)
    if not instance.is_image:
        return instance
    offset = None if instance.is_encapsulated else element.offset
    problem = pixel_problem(instance, element, file)
    return replace(instance, pixel_offset=offset, pixel_keyword=element.keyword, problem=problem)


def _slim(dataset: pydicom.FileDataset) -> Dataset:
    """The header without overlays, icons and large private elements, tied to no file."""
    for tag in list(dataset.keys()):
        group = tag.group
        large = group % 2 == 1 and (getattr(dataset.get_item(tag), "length", 0) or 0) > _LARGE_PRIVATE_BYTES
        if large or 0x6000 <= group <= 0x60FF or group >= 0x7FE0 or int(tag) == _ICON_IMAGE_SEQUENCE:
            del dataset[tag]
    header = Dataset(dataset)
    header.file_meta = dataset.file_meta
    implicit, little = dataset.original_encoding
    header.set_original_encoding(implicit, little, dataset.original_character_set)
    if not text_of(header.file_meta, "TransferSyntaxUID"):
        guess = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        header.file_meta.TransferSyntaxUID = guess
    return header


def _deflated(instance: Instance, file: BinaryIO) -> Instance:
    """A deflated file has no place of its own for pixels: the whole of it is one compressed stream."""
    file.seek(0)
    try:
        whole = pydicom.dcmread(file, specific_tags=["PixelData", "BitsAllocated"])
        there = len(whole.PixelData) if "PixelData" in whole else None
    except PARSE_ERRORS:
        return replace(instance, problem=truncated(instance.path, "a compressed stream that ends early"))
    if there is None:
        return _without_pixels(instance, instance.text("SOPClassUID"))
    needed = native_bytes(instance)
    if needed == 0:
        return replace(instance, problem=no_pixel_data(instance.path))
    return replace(instance, problem=length_problem(instance, there, needed))


def _without_pixels(instance: Instance, sop_class: str) -> Instance:
    """A report, a plan … or an image that has lost its pixels."""
    if _ends_inside_an_element(instance.header):
        problem = truncated(instance.path, "an end inside the header")
        if not instance.text("StudyInstanceUID") or not instance.text("SeriesInstanceUID"):
            raise problem
        return replace(instance, is_image=True, problem=problem)
    if instance.is_image and ("Image Storage" in UID(sop_class).name or "Rows" in instance.header):
        return replace(instance, problem=no_pixel_data(instance.path))
    return replace(instance, is_image=False)


def _ends_inside_an_element(header: Dataset) -> bool:
    for tag in header.keys():  # noqa: SIM118 - iterating over a Dataset would parse every element
        try:
            element = header.get_item(tag)
        except PARSE_ERRORS:
            continue
        value, length = getattr(element, "value", None), getattr(element, "length", None)
        if isinstance(value, bytes) and length is not None and len(value) < length < 0xFFFFFFFF:
            return True
    return False


def _is_image_class(sop_class: str) -> bool:
    return not (sop_class + ".").startswith(_DERIVED_OBJECTS)


def _unreadable(path: Path, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "a readable DICOM file",
        f"{path.name}: {got}",
        "check the file and its permissions, or leave it out",
    )
