"""Writes a dataset as the Medical Segmentation Decathlon lays its tasks out; `datasets.layouts.decathlon` reads it."""

from pathlib import Path

import numpy as np

from datasets.errors import ConfigError
from datasets.example import Dataset
from datasets.export._cases import (
    Written,
    check_empty,
    common_channels,
    mask_examples,
    prepared,
    write_json,
)
from datasets.image import Image
from datasets.io.nifti import write_nifti


def write(dataset: Dataset, folder: Path) -> None:
    """Write images, label maps and `dataset.json`.

    Several channels become the fourth axis of one file. Label values count as `Dataset.labels` does. Examples of the
    split "test" go to `imagesTs` and `labelsTs`, all others are training cases.

    Args:
        dataset: Of label maps.
        folder: Empty or missing.

    Raises:
        ConfigError: The dataset has no label maps, channels differ, images are pictures without a spacing, or the
            folder is not empty.
        InputRefused: An example cannot be read, or not be written as it is.
        OSError: The folder cannot be written to.
    """
    check_empty(folder)
    examples = mask_examples(dataset)
    channels = common_channels(examples)
    listed: dict[bool, list[str]] = {False: [], True: []}
    for example in examples:
        listed[_write_case(prepared(example, dataset.labels), folder)].append(example.name)
    description = {
        "name": dataset.name,
        "description": f"{dataset.name}, written by DenseLens from {dataset.layout}",
        "tensorImageSize": "3D" if len(channels) == 1 else "4D",
        "modality": {str(number): name for number, name in enumerate(channels)},
        "labels": {str(value): name for value, name in enumerate(("background", *dataset.labels))},
        "numTraining": len(listed[False]),
        "numTest": len(listed[True]),
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in listed[False]
        ],
        "test": [f"./imagesTs/{name}.nii.gz" for name in listed[True]],
    }
    write_json(folder / "dataset.json", description)


def _write_case(case: Written, folder: Path) -> bool:
    """Write one case; returns whether it is one for tests."""
    first = case.channels[0]
    if first.affine is None:
        raise ConfigError("volumes with a spacing", f"{case.name}, a picture without one", "write it as nnU-Net")
    image = first
    if len(case.channels) > 1:
        image = Image(np.concatenate([channel.array for channel in case.channels]), first.intensity, first.affine)
    part = "Ts" if case.is_test else "Tr"
    write_nifti(image, folder / f"images{part}" / f"{case.name}.nii.gz")
    write_nifti(case.labels, folder / f"labels{part}" / f"{case.name}.nii.gz")
    return case.is_test
