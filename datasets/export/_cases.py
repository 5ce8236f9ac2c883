"""What every layout needs before an example is written: channels and labels on one grid, labels renumbered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, Example, MaskTruth
from datasets.geometry import Grid
from datasets.image import Array, Image, Intensity
from datasets.io.atomic import write_text

# Voxel centres nearer than this part of a voxel are the same.
_SAME_VOXEL = 0.02


@dataclass(frozen=True, eq=False)
class Written:
    """What is written of one example.

    Attributes:
        name: Of the case.
        channels: Images of one channel each on one grid; a picture in colours is one of three.
        labels: The label map on that grid, with values that count as `Dataset.labels` does, from 1.
        is_test: Whether the dataset keeps it for tests.
    """

    name: str
    channels: tuple[Image, ...]
    labels: Image
    is_test: bool


def check_empty(folder: Path) -> None:
    """Refuse a folder with something in it: what lay there would become part of the dataset.

    Raises:
        ConfigError: It is not empty.
    """
    if folder.is_dir() and next(folder.iterdir(), None) is not None:
        raise ConfigError("an empty folder to write to", f"files in {folder}", "name another folder")


def mask_examples(dataset: Dataset) -> tuple[Example, ...]:
    """The examples of a dataset whose truths are label maps.

    Raises:
        ConfigError: Others are among them, or there is none.
    """
    if not dataset.examples or not all(isinstance(example.truth, MaskTruth) for example in dataset.examples):
        raise ConfigError("a dataset of images with label maps", f"{dataset.name} ({dataset.layout})", "choose another")
    return dataset.examples


def prepared(example: Example, labels: Sequence[str]) -> Written:
    """Load an example.

    A label map in another order of axes than its image (the same voxels, permuted or flipped) is put into the image's
    order; nothing is interpolated.

    Args:
        example: With a `MaskTruth`.
        labels: Names in the order of the values they get.

    Raises:
        InputRefused: Pixels cannot be read; `different_grids`: channels and labels do not lie on the same voxels;
            `unreadable_file`: a value of the label map has no name among the labels.
    """
    truth = example.truth
    if not isinstance(truth, MaskTruth):
        raise ConfigError("an image with a label map", f"{example.name} with another truth", "choose another dataset")
    channels = tuple(series.load().image for series in example.study.series)
    for other in channels[1:]:
        if not _on_same_grid(channels[0], other):
            raise _apart(example, "channels")
    moved = _onto(channels[0], truth.read(), example)
    renumbered = _renumbered(moved.array, truth.names, labels, example)
    return Written(example.name, channels, channels[0].like(renumbered, Intensity.LABEL), example.split == "test")


def channel_names(example: Example) -> tuple[str, ...]:
    """What the channels of an example are called: by modality, else by name, each once.

    What a scanner calls its series is left out, because people type into it.
    """
    told = [series.modality or series.name or "image" for series in example.study.series]
    return tuple(name if told.count(name) == 1 else f"{name}_{number}" for number, name in enumerate(told))


def common_channels(examples: Sequence[Example]) -> tuple[str, ...]:
    """The channels that all examples have.

    Raises:
        ConfigError: They differ from example to example.
    """
    found = {channel_names(example): example.name for example in examples}
    if len(found) != 1:
        listed = "; ".join(f"{', '.join(names)} in {example}" for names, example in sorted(found.items())[:4])
        raise ConfigError("the same channels in every example", listed, "leave out those that lack some")
    return next(iter(found))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a description, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _onto(image: Image, labels: Image, example: Example) -> Image:
    if labels.affine is None or image.affine is None:
        if labels.affine is not None or image.affine is not None or labels.shape != image.shape:
            raise _apart(example, "image and labels")
        return labels
    # Corner voxels of the image in indices of the labels tell whether axes are permuted and flipped, and no more.
    steps = np.linalg.inv(labels.affine) @ image.affine
    turned = np.rint(steps[:3, :3])
    is_turn = np.abs(turned).sum(axis=0).tolist() == [1, 1, 1] and np.abs(turned).sum(axis=1).tolist() == [1, 1, 1]
    if not is_turn:
        raise _apart(example, "image and labels")
    axes = [int(axis) for axis in np.argmax(np.abs(turned), axis=0)]
    array = labels.array[0].transpose(axes)
    flips = tuple(slice(None, None, -1 if turned[axis, n] < 0 else 1) for n, axis in enumerate(axes))
    affine = _turned_affine(labels.grid, axes, turned)
    moved = Image(array[flips][np.newaxis], Intensity.LABEL, affine)
    if not _on_same_grid(image, moved):
        raise _apart(example, "image and labels")
    return moved


def _turned_affine(grid: Grid, axes: Sequence[int], turned: Array) -> Array:
    """The affine of a grid after its axes were put in another order and some turned round."""
    affine = np.eye(4)
    first = np.zeros(3)
    for n, axis in enumerate(axes):
        sign = float(turned[axis, n])
        affine[:3, n] = sign * grid.affine[:3, axis]
        first[axis] = grid.shape[axis] - 1 if sign < 0 else 0
    affine[:3, 3] = grid.points_mm(first)
    return affine


def _on_same_grid(one: Image, other: Image) -> bool:
    if one.affine is None or other.affine is None:
        return one.affine is other.affine and one.shape == other.shape
    return one.grid.matches(other.grid, _SAME_VOXEL * min(one.grid.spacing_mm))


def _renumbered(values: Array, names: Mapping[int, str], labels: Sequence[str], example: Example) -> Array:
    """(1, I, J, K) uint8 or int32 with values as `labels` counts."""
    present = [int(value) for value in np.unique(values)]
    nameless = [value for value in present if value != 0 and names.get(value) not in labels]
    if nameless:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            f"labels of the set ({', '.join(labels)})",
            f"the values {', '.join(map(str, nameless[:8]))} in the label map of {example.name}",
            "name them, or leave the example out",
        )
    result = np.zeros(values.shape, np.uint8 if len(labels) <= np.iinfo(np.uint8).max else np.int32)
    for value in present:
        if value != 0:
            result[values == value] = labels.index(names[value]) + 1
    return result


def _apart(example: Example, what: str) -> InputRefused:
    return InputRefused(
        RefusalCode.DIFFERENT_GRIDS,
        f"{what} on the same voxels",
        f"others in {example.name}",
        "resample one onto the other first, and look at the result",
    )
