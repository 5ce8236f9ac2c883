"""nnU-Net's raw datasets, version 2: `imagesTr/<case>_0000.nii.gz`, `labelsTr/<case>.nii.gz` and `dataset.json`.

Source: nnU-Net, documentation/dataset_format.md and region_based_training.md of version 2. Labels of `labelsTs` make
the images of `imagesTs` examples of the split "test".

Regions, `"whole tumor": [1, 2, 3]`, overlap; values do not. A value is called after the smallest region that holds it:
with `"tumor core": [2, 3]` and `"enhancing tumor": 3` beside it, 1 is "whole tumor", 2 "tumor core" and 3 "enhancing
tumor". Two regions of one size that both are a value's smallest leave no name to choose; that is an error. "ignore" is
nnU-Net's word for voxels nobody labelled: it stays the name of its value, is no label of the set, and is told.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets.defects import Defect, DefectCode
from datasets.errors import ConfigError
from datasets.example import Dataset, Split
from datasets.layouts._cases import Case, examples_of, labels_in_order, told
from datasets.layouts._described import DESCRIPTION, channel_names, description_of, inside, is_nnunet, read_json, whole
from datasets.layouts._files import LABEL_SUFFIXES

_IGNORE = "ignore"
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
_PARTS: tuple[tuple[str, str, Split], ...] = (("imagesTr", "labelsTr", "train"), ("imagesTs", "labelsTs", "test"))
_FOLDS = "splits_final.json"


@dataclass(frozen=True)
class _Set:
    """What all cases of a set share."""

    root: Path
    ending: str
    names: Mapping[int, str]
    channels: tuple[str, ...]


def recognises(path: Path) -> bool:
    """Whether a folder has a `dataset.json` with `channel_names` or `file_ending`, as version 2 alone has."""
    description = description_of(path)
    return description is not None and is_nnunet(description)


def read(path: Path) -> Dataset:
    """All labelled cases, of training and, where `labelsTs` has them, of test.

    Args:
        path: The folder `Dataset001_Name`. Cases are those of the folders, or those of "dataset" in `dataset.json`
            where it lists them. `splits_final.json`, where it lies here, gives the group "fold": the fold that
            validates on the case.

    Raises:
        ConfigError: A JSON file is none, or labels, channels or file ending cannot be understood.
    """
    file = path / DESCRIPTION
    description = read_json(file)
    if not isinstance(description, dict):
        raise ConfigError("an object with channel_names and labels", f"none in {file}", "check the dataset")
    names, of_labels = _names(description.get("labels"), file)
    channels = channel_names(description.get("channel_names", description.get("modality")), file)
    shared = _Set(path, _ending(description, file), names, channels)
    listed = description.get("dataset")
    cases, defects = _listed(listed, shared) if isinstance(listed, dict) else _found(shared)
    folds = _folds(path / _FOLDS)
    cases = [replace(c, groups={"fold": folds[c.name]}) if c.name in folds else c for c in cases]
    examples, broken = examples_of(cases, path)
    counted = _miscounted(description.get("numTraining"), sum(case.split == "train" for case in cases))
    labels = labels_in_order({value: name for value, name in names.items() if name != _IGNORE})
    name = str(description.get("name") or path.resolve().name)
    return Dataset(name, "nnunet", examples, labels, (*of_labels, *defects, *broken, *counted))


def _ending(description: Mapping[str, Any], file: Path) -> str:
    ending = description.get("file_ending", ".nii.gz")
    if not isinstance(ending, str) or ending.lower() not in LABEL_SUFFIXES:
        raise ConfigError(
            f"a file_ending of {', '.join(LABEL_SUFFIXES)}", f"{ending!r:.40} in {file}", "convert the images"
        )
    return ending


def _names(raw: object, file: Path) -> tuple[dict[int, str], list[Defect]]:
    """Names of values, from single values and regions."""
    if not isinstance(raw, dict) or not raw:
        raise ConfigError("labels", f"{raw!r:.80} in {file}", 'write {"background": 0, "liver": 1}')
    regions: dict[str, frozenset[int]] = {}
    for name, told_values in raw.items():
        some = told_values if isinstance(told_values, list) else [told_values]
        values = [whole(value) for value in some]
        if not values or any(value is None or value < 0 for value in values):
            raise ConfigError(
                "values from 0 for each label", f"{name!r:.60}: {told_values!r:.60} in {file}", "correct it"
            )
        regions[str(name)] = frozenset(value for value in values if value is not None) - {0}
    regions = {name: values for name, values in regions.items() if values}
    names: dict[int, str] = {}
    defects: list[Defect] = []
    for value in sorted(frozenset[int]().union(*regions.values())):
        smallest = min(len(values) for values in regions.values() if value in values)
        candidates = [name for name, values in regions.items() if value in values and len(values) == smallest]
        names[value] = candidates[0] if len(candidates) == 1 else str(value)
        if len(candidates) > 1:
            defects.append(_nameless(value, candidates))
    if any(len(values) > 1 for values in regions.values()):
        defects.append(_told_regions(names))
    defects += [_told_ignored(value) for value, name in names.items() if name == _IGNORE]
    return names, defects


def _found(among: _Set) -> tuple[list[Case], list[Defect]]:
    """Cases by what lies in the folders, each listed once: thousands of files are looked up in no time."""
    cases: list[Case] = []
    defects: list[Defect] = []
    for image_folder, label_folder, split in _PARTS:
        channels = _by_case(among.root / image_folder, among.ending)
        labels = {_stem_of(name, among.ending): name for name in _names_in(among.root / label_folder, among.ending)}
        for name in sorted({*channels, *labels}):
            label = among.root / label_folder / labels.get(name, name + among.ending)
            files = channels.get(name, {})
            images = _in_order(among, among.root / image_folder, name, files)
            if name in labels:
                cases.append(Case(name, images, label, among.names, among.channels, split))
            elif split == "train":
                defects.append(_unlabelled(told(images[0], among.root), told(label, among.root)))
    return cases, defects


def _in_order(among: _Set, folder: Path, name: str, files: Mapping[int, str]) -> tuple[Path, ...]:
    """A file for every channel, those that ought to be there and are not among them."""
    wanted = max([*files, len(among.channels) - 1, 0]) + 1
    if among.ending.lower() in (".png", ".tif", ".tiff") and set(files) == {0}:
        wanted = 1  # A picture has its colours in one file.
    return tuple(folder / files.get(n, f"{name}_{n:04d}{among.ending}") for n in range(wanted))


def _listed(listed: Mapping[str, Any], among: _Set) -> tuple[list[Case], list[Defect]]:
    """Cases as "dataset" of `dataset.json` lists them: {"case": {"images": [...], "label": "..."}}."""
    cases: list[Case] = []
    defects: list[Defect] = []
    for name, entry in sorted(listed.items()):
        texts = [*entry["images"], entry["label"]] if _is_entry(entry) else []
        files = [inside(among.root, text) for text in texts]
        if not files or None in files:
            found = "an entry that leads out of the dataset's folder and was not opened" if files else "no usable entry"
            advice = "list images and label of the case by paths within the folder"
            defects.append(Defect(DefectCode.IMAGE_MISSING, "error", str(name)[:120], found, advice))
            continue
        *images, label = (file for file in files if file is not None)
        cases.append(Case(str(name), tuple(images), label, among.names, among.channels, "train"))
    return cases, defects


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("images"), list) or not entry["images"]:
        return False
    return all(isinstance(text, str) for text in (*entry["images"], entry.get("label")))


def _by_case(folder: Path, ending: str) -> dict[str, dict[int, str]]:
    """File names by case and channel."""
    cases: dict[str, dict[int, str]] = {}
    for name in _names_in(folder, ending):
        match = _CHANNEL.fullmatch(_stem_of(name, ending))
        if match is not None:
            cases.setdefault(match["case"], {})[int(match["channel"])] = name
    return cases


def _names_in(folder: Path, ending: str) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(f.name for f in folder.iterdir() if not f.name.startswith(".") and f.name.endswith(ending))


def _stem_of(name: str, ending: str) -> str:
    """A file's name without the dataset's ending."""
    return name[: -len(ending)]


def _folds(file: Path) -> dict[str, str]:
    """By case, the fold that validates on it."""
    if not file.is_file():
        return {}
    folds = read_json(file)
    if not isinstance(folds, list) or not all(isinstance(fold, dict) for fold in folds):
        raise ConfigError('folds with "train" and "val"', f"something else in {file}", "correct the file")
    return {str(case): str(number) for number, fold in enumerate(folds) for case in _cases_in(fold.get("val"))}


def _cases_in(raw: object) -> Iterable[object]:
    return raw if isinstance(raw, list) else ()


def _miscounted(said: object, found: int) -> Iterator[Defect]:
    if said is not None and whole(said) != found:
        text = f"numTraining is {said!r:.40} and there are {found} cases with labels"
        yield Defect(DefectCode.IMAGE_MISSING, "warning", DESCRIPTION, text, "check that the dataset is whole")


def _unlabelled(image: str, label: str) -> Defect:
    advice = "put the label map there, or take the image out of the training images"
    return Defect(DefectCode.LABELS_MISSING, "error", image, f"there is no label map {label}", advice)


def _nameless(value: int, candidates: list[str]) -> Defect:
    found = f"value {value} is equally much of {' and '.join(candidates)}"
    advice = "give the value a region of its own"
    return Defect(DefectCode.UNKNOWN_LABEL, "error", DESCRIPTION, found, advice)


def _told_regions(names: Mapping[int, str]) -> Defect:
    listed = ", ".join(f"{value} is {name}" for value, name in names.items())
    found = f"regions overlap and values do not: each value is called after the smallest region with it ({listed})"
    return Defect(DefectCode.UNKNOWN_LABEL, "warning", DESCRIPTION, found, "check that this is what you mean")


def _told_ignored(value: int) -> Defect:
    found = f"value {value} marks voxels that nobody labelled ('{_IGNORE}'), which are neither background nor a label"
    advice = "leave these voxels out of losses and figures, or label them"
    return Defect(DefectCode.UNKNOWN_LABEL, "warning", DESCRIPTION, found, advice)
