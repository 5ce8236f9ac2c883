"""DICOM in: files are grouped into studies and volumes by their headers; pixels are read on demand.

No file name, no SliceThickness and no order of files decides anything. Where the files are wrong in a way that can be
put right, it is put right and told (`RepairCode`); where not, they are refused (`RefusalCode`).
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import config
from pydicom.uid import UID

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.io.dicom.headers import scan
from datasets.io.dicom.identifiers import fill_identifiers
from datasets.io.dicom.instance import Instance, lenient
from datasets.io.dicom.series import is_localizer, series_of
from datasets.study import Series, Study

_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class DicomFindings:
    """What `read_studies` found.

    Attributes:
        studies: The studies, in a stable order; refused ones too.
        not_dicom: Files that are no DICOM at all, for other readers to try.
    """

    studies: tuple[Study, ...]
    not_dicom: tuple[Path, ...]


def read_studies(files: Sequence[Path], source: str) -> DicomFindings:
    """Find the studies in some files; headers are read once, pixels when a series is loaded.

    Args:
        files: Files, in any order; symbolic links are followed. None gives no study.
        source: Where they come from, as the caller named it.

    Returns:
        All studies, ordered by their identifiers. A study is refused as a whole where nothing in it can be used. Files
        that should be DICOM and cannot be read are refused studies of their own, named after the first of them, for
        what they belong to is unknown.
    """
    with lenient():
        found = scan(files)
        instances = fill_identifiers(found.instances)
        images, others = _by_study(instances, images=True), _by_study(instances, images=False)
        shared = _folders_with_several(images)
        studies: list[Study] = []
        for uid, members in sorted(images.items()):
            beside = others.pop(uid, [])
            if not studies:
                beside += _strays(others, images)
            repairs = (*_ignored(beside), *_told_apart(members, shared))
            studies.append(_study(_name(uid, members, images, source), source, members, repairs))
    studies += [_without_images(_name(uid, o, others, source), source, o) for uid, o in sorted(others.items())]
    return DicomFindings((*studies, *_unreadable(found.refused, source)), found.not_dicom)


def _by_study(instances: Sequence[Instance], *, images: bool) -> dict[str, list[Instance]]:
    groups = defaultdict(list)
    for instance in instances:
        if instance.is_image == images:
            groups[instance.text("StudyInstanceUID")].append(instance)
    return dict(groups)


def _folders_with_several(images: dict[str, list[Instance]]) -> dict[Path, int]:
    """Folders that hold images of more than one study: how many."""
    studies = Counter(folder for members in images.values() for folder in {i.path.parent for i in members})
    return {folder: number for folder, number in studies.items() if number > 1}


def _told_apart(members: Sequence[Instance], shared: dict[Path, int]) -> list[Repair]:
    number = max((shared.get(instance.path.parent, 0) for instance in members), default=0)
    if not number:
        return []
    return [Repair(RepairCode.STUDIES_SPLIT, f"one folder holds {number} studies; each is taken on its own")]


def _strays(others: dict[str, list[Instance]], images: dict[str, list[Instance]]) -> list[Instance]:
    """Objects without images whose study has none, that lie beside images all the same; taken out of `others`."""
    folders = {instance.path.parent for members in images.values() for instance in members}
    taken = []
    for uid in [uid for uid in others if uid not in images]:
        beside = [i for i in others[uid] if i.path.parent in folders or i.text("SOPClassUID") == _MEDIA_DIRECTORY]
        taken += beside
        others[uid] = [instance for instance in others[uid] if instance not in beside]
        if not others[uid]:
            del others[uid]
    return taken


def _ignored(others: Sequence[Instance]) -> list[Repair]:
    if not others:
        return []
    kinds = Counter(_kind(instance) for instance in others)
    listed = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return [Repair(RepairCode.NON_IMAGE_OBJECTS_IGNORED, f"objects that are no images were ignored: {listed}")]


def _kind(instance: Instance) -> str:
    uid = UID(instance.text("SOPClassUID"), validation_mode=config.IGNORE)
    # What damaged files have there is no name of anything, and may be thousands of letters.
    return uid.name if uid.is_valid and uid.name else "of unknown kind"


def _study(uid: str, source: str, members: Sequence[Instance], repairs: Sequence[Repair]) -> Study:
    by_series = defaultdict(list)
    for instance in members:
        by_series[instance.text("SeriesInstanceUID")].append(instance)
    scouts = {series: some for series, some in by_series.items() if all(is_localizer(i) for i in some)}
    if 0 < len(scouts) < len(by_series):
        images = sum(len(some) for some in scouts.values())
        message = f"{images} localizer images in {len(scouts)} series of their own were left out"
        repairs = [*repairs, Repair(RepairCode.LOCALIZER_DROPPED, message)]
        by_series = defaultdict(list, {key: some for key, some in by_series.items() if key not in scouts})
    series = [one for key, some in sorted(by_series.items()) for one in series_of(key, some)]
    return Study(uid, source, tuple(series), tuple(repairs), _common_refusal(series))


def _common_refusal(series: Sequence[Series]) -> InputRefused | None:
    """The refusal of the largest series where none can be used."""
    if any(one.refusal is None for one in series):
        return None
    return max(series, key=lambda one: one.images).refusal


def _without_images(uid: str, source: str, others: Sequence[Instance]) -> Study:
    kinds = ", ".join(sorted({_kind(instance) for instance in others}))
    refusal = InputRefused(
        RefusalCode.NOT_AN_IMAGE_OBJECT, "images", f"{kinds} in {source}", "give the series the object was made from"
    )
    return Study(uid, source, (), (), refusal)


def _name(uid: str, members: Sequence[Instance], studies: dict[str, list[Instance]], source: str) -> str:
    """The StudyInstanceUID, or a folder's name where the files have none."""
    if "StudyInstanceUID" not in members[0].derived:
        return uid
    nameless = sum("StudyInstanceUID" in some[0].derived for some in studies.values())
    given = Path(source)
    own = (given if given.is_dir() else given.with_suffix("")).resolve().name
    return own if nameless == 1 and own else members[0].path.parent.name or uid


def _unreadable(files: Sequence[tuple[Path, InputRefused]], source: str) -> list[Study]:
    """One refused study per folder and reason: what such files belong to is unknown."""
    groups: dict[tuple[Path, RefusalCode], list[tuple[Path, InputRefused]]] = defaultdict(list)
    for path, refusal in files:
        groups[path.parent, refusal.code].append((path, refusal))
    studies = []
    for some in groups.values():
        path, first = some[0]
        more = f" and {len(some) - 1} more such files" if len(some) > 1 else ""
        refusal = InputRefused(first.code, first.expected, first.got + more, first.advice)
        studies.append(Study(path.stem, source, (), (), refusal))
    return studies
