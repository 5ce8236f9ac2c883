"""DICOM series with what was drawn on them: DICOM SEG or RT Structure Sets, in any tree of folders.

Objects find their series by the UIDs they refer to, never by folders or names. Every series with SEG objects is one
example: several are merged where they do not overlap, and an overlap is an error (only then are pixels read). Every RT
Structure Set is an example of its own. Label maps lie on the grid of the image, also of a tilted series.

Labels are called as their makers called them: SegmentLabel, or the meaning of the segment's type where that is blank or
only counts; ROIName. The patient is the first 16 digits of SHA-256 of PatientID, or the study where there is none.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from datasets.codes import RefusalCode
from datasets.defects import Defect, DefectCode
from datasets.errors import InputRefused
from datasets.example import Dataset, Example, MaskTruth
from datasets.geometry import Grid
from datasets.io.dicom.instance import Instance, lenient
from datasets.io.dicom.series import series_of
from datasets.io.rtstruct import StructureSet, place_roi, read_rtstruct
from datasets.io.study_names import named_apart
from datasets.layouts._cases import labels_in_order, told, unreadable
from datasets.layouts._described import DESCRIPTION
from datasets.layouts._dicom_objects import SegmentationObject, Tree, holds_segmentations, read_tree
from datasets.layouts._dicom_truth import Segmentations, Structures
from datasets.study import Series, Study

# Of a slice's distance: outlines further from their slices are told, for half a slice is what can be wrong unseen.
_ASTRAY = 0.1
_DIGITS = 16


@dataclass(frozen=True, eq=False)
class _Volume:
    """A series that objects refer to."""

    uid: str
    members: Sequence[Instance]
    series: Series
    grid: Grid


def recognises(path: Path) -> bool:
    """Whether there is a SEG or an RT Structure Set anywhere in a folder without a `dataset.json`."""
    return path.is_dir() and not (path / DESCRIPTION).exists() and holds_segmentations(path)


def read(path: Path) -> Dataset:
    """All series with segmentations.

    Headers are read, outlines of structure sets too, and pixels of SEG objects where a series has several.

    Args:
        path: The folder. An object whose series is not there is `image_missing`, a series nothing was drawn on
            `labels_missing` (a warning).
    """
    tree = read_tree(path)
    defects = [unreadable(DefectCode.UNREADABLE_IMAGE, told(file, path), why, path) for file, why in tree.refused]
    structures: dict[Path, StructureSet] = {}
    referred: dict[str, list[SegmentationObject]] = {}
    for one in tree.objects:
        try:
            found = _completed(one, structures)
        except InputRefused as refusal:
            defects.append(unreadable(DefectCode.UNREADABLE_LABELS, told(one.path, path), refusal, path))
            continue
        uid = _series_uid(found, tree)
        if uid is None:
            defects.append(_no_series(found, path))
        else:
            referred.setdefault(uid, []).append(found)
    examples: list[Example] = []
    for uid, objects in sorted(referred.items()):
        made, broken = _examples(uid, objects, tree, path, structures)
        examples += made
        defects += broken
    defects += _undrawn(tree, set(referred))
    named = _named(examples)
    labels = tuple(dict.fromkeys(name for e in named for name in labels_in_order(_names(e))))
    return Dataset(path.resolve().name, "dicom_segmentations", named, labels, tuple(defects))


def _completed(one: SegmentationObject, structures: dict[Path, StructureSet]) -> SegmentationObject:
    """An object with what its kind keeps inside.

    Raises:
        InputRefused: It cannot be used.
    """
    if one.kind == "SEG":
        if one.type != "BINARY" or not one.names:
            got = f"{one.type or 'no type'}, {len(one.names)} segments in {one.path.name}"
            advice = "export the segmentation as BINARY"
            raise InputRefused(RefusalCode.NOT_AN_IMAGE_OBJECT, "a SEG of type BINARY with segments", got, advice)
        return one
    found = read_rtstruct(one.path)
    if not found.rois:
        got = f"none in {one.path.name}"
        raise InputRefused(RefusalCode.EMPTY_IMAGE, "regions with closed outlines", got, "export the structures again")
    structures[one.path] = found
    names = {value: roi.name for value, roi in enumerate(found.rois, start=1)}
    return replace(one, names=names, series_uids=frozenset(found.series_uids), instance_uids=found.instance_uids)


def _series_uid(one: SegmentationObject, tree: Tree) -> str | None:
    """The series an object refers to: by its UID, else by those of its images."""
    known = [uid for uid in sorted(one.series_uids) if uid in tree.series]
    if known:
        return known[0]
    for uid, members in sorted(tree.series.items()):
        if any(member.text("SOPInstanceUID") in one.instance_uids for member in members):
            return uid
    return None


def _examples(
    uid: str, objects: Sequence[SegmentationObject], tree: Tree, root: Path, structures: dict[Path, StructureSet]
) -> tuple[list[Example], list[Defect]]:
    """Examples of one series."""
    volume = _volume(uid, tree.series[uid], objects)
    if isinstance(volume, InputRefused):
        return [], [unreadable(DefectCode.UNREADABLE_IMAGE, uid, volume, root)]
    examples: list[Example] = []
    defects: list[Defect] = []
    segs = [one for one in objects if one.kind == "SEG"]
    if segs:
        truth = Segmentations(tuple(one.path for one in segs), volume.grid)
        try:
            if len(segs) > 1:
                truth()
            names = [name for one in segs for _, name in sorted(one.names.items())]
            examples.append(_example(volume, MaskTruth(truth, dict(enumerate(names, start=1)))))
        except InputRefused as refusal:
            defects.append(unreadable(DefectCode.UNREADABLE_LABELS, uid, refusal, root))
    for one in objects:
        if one.kind == "RTSTRUCT":
            where = told(one.path, root)
            try:
                defects += _misplaced(structures[one.path], volume.grid, where)
                truth_of_one = Structures(one.path, volume.grid)
                examples.append(_example(volume, MaskTruth(truth_of_one, one.names)))
            except InputRefused as refusal:
                defects.append(unreadable(DefectCode.GEOMETRY_MISMATCH, where, refusal, root))
    return examples, defects


def _volume(uid: str, members: Sequence[Instance], objects: Sequence[SegmentationObject]) -> _Volume | InputRefused:
    """The volume of a series; of several in one series that of the images the objects refer to."""
    with lenient():
        series = series_of(uid, members)
        usable = [one for one in series if one.refusal is None and one.grid is not None]
        if len(usable) > 1:
            wanted = frozenset().union(*(one.instance_uids for one in objects))
            some = [member for member in members if member.text("SOPInstanceUID") in wanted]
            usable = [one for one in series_of(uid, some) if one.refusal is None] if some else usable
    if len(usable) == 1 and (grid := usable[0].grid) is not None:
        return _Volume(uid, members, usable[0], grid)
    refusal = series[0].refusal
    if refusal is not None and not usable:
        return refusal
    got = f"{len(usable)} in series {uid}"
    return InputRefused(RefusalCode.INCONSISTENT_FRAMES, "one volume", got, "store each volume as a series of its own")


def _example(volume: _Volume, truth: MaskTruth) -> Example:
    first = volume.members[0]
    study = Study(first.text("StudyInstanceUID"), str(first.path.parent), (volume.series,))
    patient = first.text("PatientID")
    digest = hashlib.sha256(patient.encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return Example(study, truth, digest if patient else study.uid)


def _named(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Examples by name: the study's UID where it has one example, else the series', counted where that has several."""
    often = Counter(example.study.uid for example in examples)
    uids = [e.study.series[0].uid if often[e.study.uid] > 1 else e.study.uid for e in examples]
    studies = named_apart(replace(e.study, uid=uid) for e, uid in zip(examples, uids, strict=True))
    named = (replace(e, study=study) for e, study in zip(examples, studies, strict=True))
    return tuple(sorted(named, key=lambda example: example.name))


def _names(example: Example) -> Mapping[int, str]:
    return example.truth.names if isinstance(example.truth, MaskTruth) else {}


def _misplaced(structures: StructureSet, grid: Grid, where: str) -> Iterator[Defect]:
    """What about outlines can be used and ought to be known.

    Raises:
        InputRefused: Outlines are tilted against the slices, or lie beyond them.
    """
    for roi in structures.rois:
        placed = place_roi(roi, grid)
        found = []
        if placed.astray > _ASTRAY:
            found.append(f"outlines lie up to {placed.astray:.2f} slices beside the slices they were given to")
        if placed.empty_between:
            found.append(f"{placed.empty_between} slices between its first and last have no outline and stay empty")
        if placed.dropped:
            found.append(f"{placed.dropped} outlines share a slice with nearer ones and were left out")
        if found:
            text = f"{roi.name}: {'; '.join(found)}"
            advice = "draw on every slice of this series, or give the series it was drawn on"
            yield Defect(DefectCode.GEOMETRY_MISMATCH, "warning", where, text, advice)


def _undrawn(tree: Tree, referred: set[str]) -> Iterator[Defect]:
    for uid, members in sorted(tree.series.items()):
        if uid not in referred:
            found = f"nothing was drawn on this {members[0].text('Modality')} series of {len(members)} images"
            yield Defect(DefectCode.LABELS_MISSING, "warning", uid, found, "add its segmentation, or leave it out")


def _no_series(one: SegmentationObject, root: Path) -> Defect:
    listed = ", ".join(sorted(one.series_uids)) or "unnamed"
    found = f"a {one.kind} whose series ({listed}) is not in the folder"
    return Defect(DefectCode.IMAGE_MISSING, "error", told(one.path, root), found, "add the series, or take it out")
