"""What lies in a tree of DICOM files: image series, and the segmentation objects that refer to them."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset
from pydicom.filereader import read_file_meta_info

from datasets.errors import InputRefused
from datasets.io.dicom.headers import scan
from datasets.io.dicom.identifiers import fill_identifiers
from datasets.io.dicom.instance import PARSE_ERRORS, Instance, lenient, text_of
from datasets.io.dicom.series import is_localizer
from datasets.io.rtstruct import STORAGE as RTSTRUCT

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_SEG = "1.2.840.10008.5.1.4.1.1.66.7"
KINDS = {SEG: "SEG", LABEL_MAP_SEG: "SEG", RTSTRUCT: "RTSTRUCT"}

# Files of other kinds that are many in folders of others: not worth opening.
_NO_DICOM = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".gz", ".nrrd", ".mha", ".json", ".csv", ".txt", ".svs")


@dataclass(frozen=True, eq=False)
class SegmentationObject:
    """A DICOM SEG or RT Structure Set, by its header.

    Attributes:
        path: The file.
        kind: "SEG" or "RTSTRUCT".
        type: Of a SEG, "BINARY" or another.
        names: Of a SEG, its segments by value, counted from 1 in the order of their numbers.
        series_uids: Image series it refers to.
        instance_uids: Images it refers to.
    """

    path: Path
    kind: str
    type: str
    names: dict[int, str]
    series_uids: frozenset[str]
    instance_uids: frozenset[str]


@dataclass(frozen=True, eq=False)
class Tree:
    """What was found.

    Attributes:
        series: Images by SeriesInstanceUID, without series of localizers alone.
        objects: Segmentation objects by path.
        refused: Files that ought to be DICOM and cannot be read, and why.
    """

    series: dict[str, list[Instance]] = field(default_factory=lambda: defaultdict(list))
    objects: list[SegmentationObject] = field(default_factory=list)
    refused: list[tuple[Path, InputRefused]] = field(default_factory=list)


def holds_segmentations(root: Path) -> bool:
    """Whether there is a segmentation object in a tree; nothing but the first bytes of files is read."""
    return any(_sop_class(file) in KINDS for files in _folders(root) for file in files)


def read_tree(root: Path) -> Tree:
    """Read all headers in a folder and its subfolders, hidden ones aside."""
    tree = Tree()
    with lenient():
        for files in _folders(root):
            found = scan(files)
            tree.refused.extend(found.refused)
            for instance in fill_identifiers(found.instances):
                if instance.is_image:
                    tree.series[instance.text("SeriesInstanceUID")].append(instance)
                elif instance.text("SOPClassUID") in KINDS:
                    tree.objects.append(_object(instance))
    for uid in [uid for uid, some in tree.series.items() if all(is_localizer(instance) for instance in some)]:
        del tree.series[uid]
    return tree


def _folders(root: Path) -> Iterator[list[Path]]:
    """Files of one folder after the other, so that headers of objects are held folder by folder."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        yield [file for file in files if not file.name.lower().endswith(_NO_DICOM)]


def _sop_class(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            if stream.read(132)[128:] != b"DICM":
                return ""
        with lenient():
            return text_of(read_file_meta_info(file), "MediaStorageSOPClassUID")
    except (*PARSE_ERRORS, OSError):
        return ""


def _object(instance: Instance) -> SegmentationObject:
    """An object by its header; what cannot be parsed is left blank, and the reader of its content says why."""
    header = instance.header
    kind = KINDS[instance.text("SOPClassUID")]
    series: set[str] = set()
    instances: set[str] = set()
    names: dict[int, str] = {}
    if kind == "SEG":
        try:
            for item in header.get("ReferencedSeriesSequence") or []:
                series.add(text_of(item, "SeriesInstanceUID"))
                instances |= _instances(item, "ReferencedInstanceSequence")
            instances |= _instances(header, "SourceImageSequence")
            names = _names(header)
        except PARSE_ERRORS:
            names = {}
    type_ = "LABELMAP" if instance.text("SOPClassUID") == LABEL_MAP_SEG else instance.text("SegmentationType")
    return SegmentationObject(instance.path, kind, type_, names, frozenset(series - {""}), frozenset(instances - {""}))


def _instances(item: Dataset, keyword: str) -> set[str]:
    return {text_of(reference, "ReferencedSOPInstanceUID") for reference in item.get(keyword) or []}


def _names(header: Dataset) -> dict[int, str]:
    segments = sorted(header.get("SegmentSequence") or [], key=lambda item: int(item.SegmentNumber))
    return {value: _name(item, value) for value, item in enumerate(segments, start=1)}


def _name(segment: Dataset, value: int) -> str:
    """The label, or where it only counts ("Segment 1") or is blank, what the segment's type means."""
    label = text_of(segment, "SegmentLabel")
    words = label.lower().replace("_", " ").split()
    if label and not (words[0] in ("segment", "segmentation") and all(word.isdigit() for word in words[1:])):
        return label
    types = segment.get("SegmentedPropertyTypeCodeSequence") or []
    meaning = text_of(types[0], "CodeMeaning") if types else ""
    return meaning or label or f"segment {value}"
