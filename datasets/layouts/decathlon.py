"""The Medical Segmentation Decathlon: `dataset.json` lists images and label maps by name.

Source: Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13 (2022) 4128, and the files of
its tasks. Read as well: lists of this form with "validation" or with labelled "test" cases (as MONAI reads them), and
nnU-Net's version 1, whose lists name `case.nii.gz` where `case_0000.nii.gz`, `case_0001.nii.gz` … lie.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets.defects import Defect, DefectCode
from datasets.errors import ConfigError
from datasets.example import Dataset, Split
from datasets.io.nifti import SUFFIXES as NIFTI_SUFFIXES
from datasets.layouts._cases import Case, examples_of, labels_in_order, told
from datasets.layouts._described import (
    DESCRIPTION,
    channel_names,
    description_of,
    inside,
    is_nnunet,
    label_names,
    read_json,
    whole,
)
from datasets.layouts._files import stem, visible

_LISTS: tuple[tuple[str, Split], ...] = (("training", "train"), ("validation", "validation"), ("test", "test"))


@dataclass(frozen=True)
class _Set:
    """What all cases of a set share."""

    root: Path
    names: Mapping[int, str]
    channels: tuple[str, ...]


def recognises(path: Path) -> bool:
    """Whether a folder has a `dataset.json` with a list of cases that is not nnU-Net's version 2.

    A `dataset.json` that cannot be read, beside an `imagesTr`, is taken for one, so that somebody says what is wrong.
    """
    description = description_of(path)
    if description is None:
        return (path / DESCRIPTION).is_file() and (path / "imagesTr").is_dir()
    return isinstance(description.get("training"), list) and not is_nnunet(description)


def read(path: Path) -> Dataset:
    """All labelled cases; test images without labels are no examples and no defects.

    Args:
        path: The folder with `dataset.json`. An image with a fourth axis becomes one series per channel, named as
            "modality" (or "channel_names") says.

    Raises:
        ConfigError: `dataset.json` is no JSON, lists no cases, or its labels or channels cannot be understood.
    """
    file = path / DESCRIPTION
    description = read_json(file)
    if not isinstance(description, dict) or not isinstance(description.get("training"), list):
        raise ConfigError('a list "training"', f"none in {file}", "check that it is a Decathlon dataset")
    names = label_names(description.get("labels"), file)
    channels = channel_names(description.get("modality", description.get("channel_names")), file)
    cases: list[Case] = []
    defects: list[Defect] = []
    for key, split in _LISTS:
        entries = description.get(key) or []
        if not isinstance(entries, list):
            raise ConfigError(f'a list "{key}"', f"{type(entries).__name__} in {file}", "correct it")
        for entry in entries:
            made = _case(entry, split, _Set(path, names, channels))
            if isinstance(made, Case):
                cases.append(made)
            elif made is not None:
                defects.append(made)
    cases, twice = _once(cases, path)
    examples, broken = examples_of(cases, path)
    counted = (*_miscounted(description), *_unlisted(cases, path))
    name = str(description.get("name") or path.resolve().name)
    return Dataset(name, "decathlon", examples, labels_in_order(names), (*defects, *twice, *broken, *counted))


def _case(entry: object, split: Split, among: _Set) -> Case | Defect | None:
    """One entry of a list; None for a test image without labels."""
    if isinstance(entry, str) and split == "test":
        image = inside(among.root, entry)
        beside = None if image is None else image.parent.parent / "labelsTs" / image.name
        if beside is None or not beside.is_file():
            return None
        entry = {"image": entry, "label": beside.relative_to(among.root).as_posix()}
    if not isinstance(entry, dict):
        return _odd(f"{entry!r:.80}")
    image_texts, label_text = entry.get("image"), entry.get("label")
    listed = image_texts if isinstance(image_texts, list) else [image_texts]
    texts = [text for text in listed if isinstance(text, str)]
    if not texts or texts != listed:
        return _odd(f"{entry!r:.80}")
    if label_text is None:
        return None if split == "test" else _unlabelled(texts[0])
    if not isinstance(label_text, str):
        return _odd(f"{entry!r:.80}")
    files = [inside(among.root, text) for text in (*texts, label_text)]
    for text, file in zip((*texts, label_text), files, strict=True):
        if file is None:
            code = DefectCode.LABELS_MISSING if text is label_text else DefectCode.IMAGE_MISSING
            return _outside(code, text)
    *images, label = (file for file in files if file is not None)
    fold = whole(entry.get("fold"))
    groups = {} if fold is None else {"fold": str(fold)}
    return Case(stem(label), _present(images), label, among.names, among.channels, split, groups)


def _present(images: list[Path]) -> tuple[Path, ...]:
    """The files as listed; of one that is not there, its channels as nnU-Net's version 1 names them."""
    if len(images) == 1 and not images[0].is_file():
        image, name = images[0], stem(images[0])
        ending = image.name[len(name) :]
        channels: list[Path] = []
        while (file := image.with_name(f"{name}_{len(channels):04d}{ending}")).is_file():
            channels.append(file)
        return tuple(channels) or tuple(images)
    return tuple(images)


def _once(cases: list[Case], root: Path) -> tuple[list[Case], list[Defect]]:
    often = Counter(case.label for case in cases)
    defects = [
        Defect(
            DefectCode.NAME_TWICE,
            "error",
            told(label, root),
            f"the label map is listed {number} times; the first entry was kept",
            "list every case once: a case in two lists would be learnt from and judged by",
        )
        for label, number in often.items()
        if number > 1
    ]
    first: dict[Path, Case] = {}
    for case in cases:
        first.setdefault(case.label, case)
    return list(first.values()), defects


def _miscounted(description: Mapping[str, Any]) -> Iterator[Defect]:
    for key, count_key in (("training", "numTraining"), ("test", "numTest")):
        if count_key not in description:
            continue
        listed, said = len(description.get(key) or []), whole(description[count_key])
        if said != listed:
            found = f"{count_key} is {description[count_key]!r:.40} and {listed} cases are listed"
            advice = "check that the list is whole"
            yield Defect(DefectCode.IMAGE_MISSING, "warning", DESCRIPTION, found, advice)


def _unlisted(cases: list[Case], root: Path) -> Iterator[Defect]:
    """Label maps that lie there and that nobody lists."""
    listed = {case.label for case in cases}
    for folder in sorted({case.label.parent for case in cases}):
        found = [file for file in visible(folder, NIFTI_SUFFIXES) if file not in listed] if folder.is_dir() else []
        if found:
            text = f"{len(found)} label maps lie in {told(folder, root)} and are not listed, such as {found[0].name}"
            yield Defect(DefectCode.IMAGE_MISSING, "warning", DESCRIPTION, text, "list them, or take them away")


def _odd(got: str) -> Defect:
    found = f"an entry that is no image with a label: {got}"
    return Defect(DefectCode.IMAGE_MISSING, "error", DESCRIPTION, found, 'write {"image": …, "label": …}')


def _unlabelled(text: str) -> Defect:
    found = f"{text:.120} is listed without a label"
    return Defect(DefectCode.LABELS_MISSING, "error", DESCRIPTION, found, "name its label map, or take it out")


def _outside(code: DefectCode, text: str) -> Defect:
    found = f"{text!r:.120} leads out of the dataset's folder and was not opened"
    return Defect(code, "error", DESCRIPTION, found, "put the file into the folder and correct the list")
