"""Writes a dataset as nnU-Net (version 2) wants it raw; `datasets.layouts.nnunet` reads it.

Source: nnU-Net, documentation/dataset_format.md of version 2. What is written passes its `verify_dataset_integrity`.
"""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
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
from datasets.io.atomic import atomic_path
from datasets.io.nifti import write_nifti

_VOLUME, _PICTURE = ".nii.gz", ".png"
_COLOURS = ("red", "green", "blue")


def write(dataset: Dataset, folder: Path) -> None:
    """Write images, label maps and `dataset.json`.

    Volumes become NIfTI, one file per channel; pictures become PNG, where colours stay in one file and count as three
    channels. Label values count as `Dataset.labels` does. Examples of the split "test" go to `imagesTs` and
    `labelsTs`, all others are training cases.

    Args:
        dataset: Of label maps.
        folder: Empty or missing; nnU-Net wants it called `Dataset123_Name`.

    Raises:
        ConfigError: The dataset has no label maps, channels differ, pictures and volumes are mixed, or the folder is
            not empty.
        InputRefused: An example cannot be read, or not be written as it is.
        OSError: The folder cannot be written to.
    """
    check_empty(folder)
    examples = mask_examples(dataset)
    channels = common_channels(examples)
    endings: set[str] = set()
    colours: set[bool] = set()
    training = 0
    for example in examples:
        case = prepared(example, dataset.labels)
        endings.add(_write_case(case, folder))
        colours.add(case.channels[0].channels > 1)
        training += not case.is_test
        if len(endings) > 1 or len(colours) > 1:
            raise ConfigError("images of one kind", f"others in {example.name}", "write them as two datasets")
    if True in colours:
        channels = _COLOURS
    description = {
        "name": dataset.name,
        "description": f"{dataset.name}, written by DenseLens from {dataset.layout}",
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {name: value for value, name in enumerate(("background", *dataset.labels))},
        "numTraining": training,
        "file_ending": endings.pop(),
    }
    write_json(folder / "dataset.json", description)


def _write_case(case: Written, folder: Path) -> str:
    """Write one case; returns the ending of its files."""
    part = "Ts" if case.is_test else "Tr"
    is_volume = case.channels[0].affine is not None
    ending = _VOLUME if is_volume else _PICTURE
    write = write_nifti if is_volume else _write_picture
    for number, channel in enumerate(case.channels):
        write(channel, folder / f"images{part}" / f"{case.name}_{number:04d}{ending}")
    write(case.labels, folder / f"labels{part}" / f"{case.name}{ending}")
    return ending


def _write_picture(image: Image, path: Path) -> None:
    array = image.array
    if array.dtype not in (np.uint8, np.uint16) or image.shape[2] != 1 or image.channels not in (1, 3):
        raise InputRefused(
            RefusalCode.UNSUPPORTED_DIMENSIONS,
            "a picture of 8 or 16 bits in grey or colours",
            f"{array.dtype} {array.shape} for {path.name}",
            "volumes need a spacing to be written as NIfTI",
        )
    pixels = np.ascontiguousarray(array[..., 0].transpose(2, 1, 0))
    with atomic_path(path) as temporary:
        Pillow.fromarray(pixels[..., 0] if image.channels == 1 else pixels).save(temporary, format="PNG")
