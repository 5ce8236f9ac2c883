"""Images and masks of the same names: `images/` + `masks/` (or `labels/`), `imagesTr` + `labelsTr`, or one folder.

In one folder a mask is called after its image: `x_image.nii.gz` and `x_mask.nii.gz`, or `x.png` and `x_mask.png`. All
this may lie in folders called train, val and test. Images are NIfTI, NRRD, MetaImage, TIFF, PNG or JPEG; masks the same
but JPEG, which changes values. Several channels are `x_0000`, `x_0001` … as nnU-Net writes them.

What the values of the masks mean says `labels.json` at the top, {"1": "liver"} or {"liver": 1}. Without it labels are
called by their digits, and every mask is read once to know which there are. Masks of nothing but 0 and 255, as painting
programs save them, are masks of 0 and 1, unless `labels.json` names 255 or another mask of the set has other values.

`images/` + `labels/` with PNGs of 16 bits and without `labels.json` hold numbers of objects: `instance_pictures`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.defects import Defect, DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, Split
from datasets.layouts import instance_pictures
from datasets.layouts._cases import Case, examples_of, labels_in_order, told, unreadable
from datasets.layouts._described import DESCRIPTION, label_names, read_json
from datasets.layouts._files import IMAGE_SUFFIXES, LABEL_SUFFIXES, LabelFile, stem, visible
from datasets.layouts._names import split_of

LABELS = "labels.json"

_FOLDERS = (("images", "masks"), ("images", "labels"), ("imagesTr", "labelsTr"))
_MASK = re.compile(r"(?P<name>.+)[_-](?:mask|masks|label|labels|seg|segmentation)", re.IGNORECASE)
_IMAGE = re.compile(r"(?P<name>.+)[_-](?:image|img)", re.IGNORECASE)
_CHANNEL = re.compile(r"(?P<name>.+)_(?P<channel>\d{4})")
# As many values are labels somebody drew; more come from smoothed edges, or from numbers of objects.
_MOST_LABELS = 64


@dataclass(frozen=True)
class _Place:
    """A folder of images and one of masks, which may be the same."""

    images: Path
    masks: Path
    split: Split


@dataclass(frozen=True)
class _Pair:
    images: tuple[Path, ...]
    mask: Path
    split: Split


def recognises(path: Path) -> bool:
    """Whether a folder holds images and masks in one of these ways, and no `dataset.json` and no numbered objects."""
    if not path.is_dir() or (path / DESCRIPTION).exists():
        return False
    return bool(_places(path)) and not instance_pictures.recognises(path)


def read(path: Path) -> Dataset:
    """All pairs; a file without its partner is a defect.

    Args:
        path: The folder.

    Raises:
        ConfigError: There are no such folders, or `labels.json` is no JSON or names no labels.
    """
    places = _places(path)
    if not places:
        raise ConfigError(
            "images/ with masks/ or labels/, or files x_image and x_mask", f"none in {path}", "see --data"
        )
    pairs: list[_Pair] = []
    defects: list[Defect] = []
    for place in places:
        for found in _pairs(place, path):
            if isinstance(found, Defect):
                defects.append(found)
            else:
                pairs.append(found)
    if (path / LABELS).is_file():
        names = label_names(read_json(path / LABELS), path / LABELS)
        from_255 = 255 not in names
    else:
        values, pairs, broken = _values(pairs, path)
        from_255 = values == {255}
        names = {value: str(value) for value in sorted({1} if from_255 else values)}
        defects += [*broken, *_too_many(names)]
    cases = (Case(_plain(pair.mask), pair.images, pair.mask, names, (), pair.split, {}, from_255) for pair in pairs)
    examples, more = examples_of(cases, path)
    return Dataset(path.resolve().name, "image_mask_pairs", examples, labels_in_order(names), (*defects, *more))


def _places(path: Path) -> list[_Place]:
    parts = [(folder, split_of(folder.name)) for folder in sorted(path.iterdir()) if folder.is_dir()]
    here: Split = ""
    roots = [(path, here), *((folder, split) for folder, split in parts if split)]
    return [place for root, split in roots if (place := _place(root, split)) is not None]


def _place(root: Path, split: Split) -> _Place | None:
    for images, masks in _FOLDERS:
        folders = _Place(root / images, root / masks, split)
        if folders.images.is_dir() and folders.masks.is_dir() and visible(folders.masks, IMAGE_SUFFIXES):
            return folders
    files = visible(root, IMAGE_SUFFIXES)
    images_there = {_plain(file) for file in files if _MASK.fullmatch(stem(file)) is None}
    masks_there = {_plain(file) for file in files if _MASK.fullmatch(stem(file)) is not None}
    return _Place(root, root, split) if images_there & masks_there else None


def _pairs(place: _Place, root: Path) -> Iterator[_Pair | Defect]:
    """Files of one name, or what lacks a partner."""
    in_one = place.images == place.masks
    files = visible(place.images, IMAGE_SUFFIXES)
    images = _by_name([f for f in files if not (in_one and _MASK.fullmatch(stem(f)))])
    masks = _by_name([f for f in visible(place.masks, IMAGE_SUFFIXES) if not in_one or _MASK.fullmatch(stem(f))])
    channels = _channels(images, masks)
    for name in sorted({*masks, *images} - {own for group in channels.values() for own in group}):
        own_masks, own_images = masks.get(name, []), images.get(name, [])
        several = [files for files in (own_masks, own_images) if len(files) > 1]
        if several:
            yield _twice(several[0], root)
        elif not own_masks:
            yield _alone(DefectCode.LABELS_MISSING, own_images[0], "mask", root)
        elif not own_masks[0].name.lower().endswith(LABEL_SUFFIXES):
            yield _lossy(own_masks[0], root)
        elif own_images or name in channels:
            found = own_images or [images[own][0] for own in channels[name]]
            yield _Pair(tuple(found), own_masks[0], place.split)
        else:
            yield _alone(DefectCode.IMAGE_MISSING, own_masks[0], "image", root)


def _by_name(files: list[Path]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(_plain(file), []).append(file)
    return found


def _channels(images: Mapping[str, list[Path]], masks: Mapping[str, list[Path]]) -> dict[str, list[str]]:
    """By name of a mask without an image of its name, those of its channels in order."""
    found: dict[str, list[str]] = {}
    for name in sorted(images):
        match = _CHANNEL.fullmatch(name)
        if match is not None and match["name"] in masks and match["name"] not in images and name not in masks:
            found.setdefault(match["name"], []).append(name)
    return found


def _plain(file: Path) -> str:
    """A name without its ending and without what says that it is a mask or an image."""
    name = stem(file)
    match = _MASK.fullmatch(name) or _IMAGE.fullmatch(name)
    return match["name"] if match is not None else name


def _values(pairs: list[_Pair], root: Path) -> tuple[set[int], list[_Pair], list[Defect]]:
    """The values of all masks but 0, the pairs whose masks can be read, and defects of the others."""
    values: set[int] = set()
    sound: list[_Pair] = []
    defects: list[Defect] = []
    for pair in pairs:
        try:
            here = np.unique(LabelFile(pair.mask)().array)
        except InputRefused as refusal:
            defects.append(unreadable(DefectCode.UNREADABLE_LABELS, _plain(pair.mask), refusal, root))
            continue
        values |= {int(value) for value in here} - {0}
        sound.append(pair)
    return values, sound, defects


def _too_many(names: Mapping[int, str]) -> Iterator[Defect]:
    if len(names) > _MOST_LABELS:
        found = f"{len(names)} different values in masks that nobody named"
        advice = f"smoothed edges? Save masks without; or name the values in {LABELS}; numbers of objects are no masks"
        yield Defect(DefectCode.UNKNOWN_LABEL, "warning", "", found, advice)


def _alone(code: DefectCode, file: Path, partner: str, root: Path) -> Defect:
    where = told(file, root)
    return Defect(code, "error", where, f"there is no {partner} of this name", f"add the {partner}, or take it out")


def _twice(files: list[Path], root: Path) -> Defect:
    listed = " and ".join(file.name for file in files)
    return Defect(DefectCode.NAME_TWICE, "error", told(files[0], root), f"{listed} are of one name", "keep one of them")


def _lossy(file: Path, root: Path) -> Defect:
    found = "a mask in JPEG, which changes values along every edge"
    return Defect(DefectCode.UNREADABLE_LABELS, "error", told(file, root), found, "save it as PNG from its source")
