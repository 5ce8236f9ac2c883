"""From the files of a case to its example, the same for every layout of images and label maps in files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets.defects import Defect, DefectCode
from datasets.errors import InputRefused
from datasets.example import Example, MaskTruth, Split
from datasets.io.picture import SUFFIXES as PICTURE_SUFFIXES
from datasets.io.study_names import named_apart
from datasets.layouts._files import LabelFile, check_label_header, image_series
from datasets.layouts._other_volumes import TIFF_SUFFIXES
from datasets.study import Series, Study


@dataclass(frozen=True)
class Case:
    """Files that belong together.

    Attributes:
        name: What the dataset calls the case.
        images: One file per channel, or one with all channels.
        label: The label map.
        names: What its values mean.
        channels: What the dataset calls the channels; none where it does not say.
        split: To which part the dataset gives it.
        groups: Further columns.
        from_255: As `LabelFile.from_255`.
    """

    name: str
    images: tuple[Path, ...]
    label: Path
    names: Mapping[int, str]
    channels: tuple[str, ...] = ()
    split: Split = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    from_255: bool = False


def examples_of(cases: Iterable[Case], root: Path) -> tuple[tuple[Example, ...], list[Defect]]:
    """Examples by name, and what is wrong with the cases that are none.

    Only headers are read. A file that is not there is `image_missing` or `labels_missing`, one that cannot be read
    `unreadable_image` or `unreadable_labels`; a name that several cases share is told apart by `named_apart`.

    Args:
        cases: In any order.
        root: The dataset's folder, which defects do not repeat.
    """
    examples, defects = [], []
    for case in cases:
        made = _example(case, root)
        if isinstance(made, Defect):
            defects.append(made)
        else:
            examples.append(made)
    studies = named_apart(example.study for example in examples)
    named = (replace(e, study=s, patient=s.uid) for e, s in zip(examples, studies, strict=True))
    return tuple(sorted(named, key=lambda example: example.name)), defects


def labels_in_order(names: Mapping[int, str]) -> tuple[str, ...]:
    """Names of labels in the order of their values, each once."""
    return tuple(dict.fromkeys(names[value] for value in sorted(names) if value != 0))


def told(path: Path, root: Path) -> str:
    """A file as defects name it: from the dataset's folder on."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def unreadable(code: DefectCode, where: str, refusal: InputRefused, root: Path) -> Defect:
    """The defect of a file that a reader refused."""
    found = f"{refusal.code}: {refusal.message}".replace(f"{root}/", "")
    return Defect(code, "error", where, found, refusal.advice)


def missing(code: DefectCode, path: Path, root: Path) -> Defect:
    """The defect of a file that is not there."""
    where = told(path, root)
    return Defect(code, "error", where, f"there is no file {where}", "put it there, or take its partner out of the set")


def _example(case: Case, root: Path) -> Example | Defect:
    for image in case.images:
        if not image.is_file():
            return missing(DefectCode.IMAGE_MISSING, image, root)
    if not case.label.is_file():
        return missing(DefectCode.LABELS_MISSING, case.label, root)
    try:
        series = _series(case)
    except InputRefused as refusal:
        return unreadable(DefectCode.UNREADABLE_IMAGE, case.name, refusal, root)
    if _lacks_channels(case, series):
        found = f"{len(series)} channels where {len(case.channels)} are named: {', '.join(case.channels)}"
        advice = "correct the description, or complete the case"
        return Defect(DefectCode.UNREADABLE_IMAGE, "error", case.name, found, advice)
    try:
        check_label_header(case.label)
    except InputRefused as refusal:
        return unreadable(DefectCode.UNREADABLE_LABELS, case.name, refusal, root)
    study = Study(case.name, str(case.images[0]), series)
    truth = MaskTruth(LabelFile(case.label, case.from_255), dict(case.names))
    return Example(study, truth, case.name, case.split, dict(case.groups))


def _series(case: Case) -> tuple[Series, ...]:
    if len(case.images) == 1:
        return image_series(case.images[0], case.name, case.channels)
    found: list[Series] = []
    for number, path in enumerate(case.images):
        found += image_series(path, f"{case.name}_{number:04d}", case.channels[number : number + 1])
    return tuple(found)


def _lacks_channels(case: Case, series: Sequence[Series]) -> bool:
    if not case.channels or len(series) == len(case.channels):
        return False
    # A picture in colours is one file and one series for three named channels.
    is_picture = case.images[0].name.lower().endswith((*PICTURE_SUFFIXES, *TIFF_SUFFIXES))
    return not (is_picture and len(series) == 1 and len(case.channels) == 3)
