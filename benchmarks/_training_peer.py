"""A plain training loop, its pixels from MONAI: `python -m benchmarks._training_peer CONFIG DATA STEPS`.

The same files, network, loss, patch and batch as the config's own training, with the transforms of MONAI that do what
the config asks for. Prints one JSON object.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai import transforms as mt
from monai.data import CacheDataset, DataLoader, Dataset

from networks.build import build
from pipelines.micrographs import CHANNELS
from pipelines.nuclei_augmentation import classes_of
from pipelines.task import load_task
from pipelines.training.losses import voxel_loss

_KEYS = ["image", "label"]


def files(data: Path, images: str, labels: str) -> list[dict[str, str]]:
    """Images and their label maps, by name."""
    return [{"image": str(path), "label": str(data / labels / path.name)} for path in sorted((data / images).iterdir())]


def of_volumes(settings: Any) -> mt.Compose:
    """Slices of 1.5 mm with their neighbours, mostly about a tumour or the liver."""
    rows, columns = settings.training.patch
    low, high = settings.window_hu
    slices = settings.network.in_channels
    return mt.Compose(
        [
            mt.LoadImaged(_KEYS, ensure_channel_first=True),
            mt.Orientationd(_KEYS, axcodes="LPS", labels=None),
            mt.Spacingd(_KEYS, pixdim=settings.spacing_mm, mode=("bilinear", "nearest")),
            mt.ScaleIntensityRanged(["image"], low, high, low - settings.mean_hu, high - settings.mean_hu, clip=True),
            mt.RandCropByLabelClassesd(
                _KEYS,
                label_key="label",
                spatial_size=(columns, rows, slices),
                ratios=[0.4, 0.25, 0.35],
                num_classes=3,
                allow_smaller=True,
                warn=False,
            ),
            mt.SpatialPadd(_KEYS, (columns, rows, slices), mode="edge"),
            mt.RandAffined(
                _KEYS,
                prob=0.5,
                rotate_range=(0.0, 0.0, 0.26),
                scale_range=(0.17, 0.17, 0.0),
                mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
            mt.RandScaleIntensityd(["image"], factors=0.1, prob=0.2),
            mt.RandShiftIntensityd(["image"], offsets=10.0, prob=0.2),
            mt.RandGaussianNoised(["image"], prob=0.2, std=10.0),
        ]
    )


def of_micrographs(settings: Any) -> mt.Compose:
    """Squares in three channels, and the three classes of their nuclei."""
    rows, columns = settings.training.patch
    return mt.Compose(
        [
            mt.LoadImaged(_KEYS, reader="PILReader", ensure_channel_first=True),
            mt.Lambdad(["label"], lambda label: classes_of(np.asarray(label[0]).astype(np.int64))[np.newaxis]),
            mt.EnsureTyped(_KEYS),
            mt.ScaleIntensityRangePercentilesd(["image"], 0.5, 99.8, 0.0, 1.0, clip=True),
            mt.RandSpatialCropd(_KEYS, (rows, columns), random_size=False),
            mt.RandAffined(
                _KEYS,
                prob=0.5,
                rotate_range=np.pi,
                scale_range=(0.4, 0.4),
                mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
            mt.RandFlipd(_KEYS, prob=0.5, spatial_axis=0),
            mt.RandScaleIntensityd(["image"], factors=0.25, prob=0.2),
            mt.RandGaussianNoised(["image"], prob=0.2, std=0.05),
        ]
    )


def for_ever(loader: DataLoader) -> Iterator[dict[str, torch.Tensor]]:
    """Epoch after epoch."""
    for _ in itertools.count():
        yield from loader


def main() -> None:
    """Train, and say how long data was waited for in all steps after the first third."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("data", type=Path)
    parser.add_argument("steps", type=int)
    parser.add_argument("--cached", action="store_true")
    options = parser.parse_args()
    task = load_task(options.config)
    volumes = options.config == "liver_ct"
    told = files(options.data, "imagesTr" if volumes else "images", "labelsTr" if volumes else "labels")
    transform = of_volumes(task) if volumes else of_micrographs(task)
    data = CacheDataset(told, transform, progress=False) if options.cached else Dataset(told, transform)
    batch = task.training.batch
    loader = DataLoader(data, batch_size=min(batch, len(told)), shuffle=True, num_workers=0, drop_last=True)
    network = build(task.network).train().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=task.training.optimiser.rate)
    batches, pending = for_ever(loader), list[Any]()
    waited = spent = 0.0
    learnt = 0
    for step in range(options.steps):
        start = time.perf_counter()
        inputs, wanted = _whole(batches, batch, pending, volumes)
        there = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        voxel_loss(network(inputs), wanted, task.training.loss).backward()
        optimiser.step()
        if step >= options.steps // 3:
            waited += there - start
            spent += time.perf_counter() - start
            learnt += len(inputs)
    print(json.dumps({"waiting_share": waited / spent, "examples_per_s": learnt / spent}))


def _whole(
    batches: Iterator[dict[str, torch.Tensor]], batch: int, pending: list[Any], volumes: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of the wanted size, also where the set is smaller than that."""
    while sum(len(images) for images, _ in pending) < batch:
        drawn = next(batches)
        pending.append((_plain(drawn["image"]), _plain(drawn["label"])))
    images = torch.cat([image for image, _ in pending])
    labels = torch.cat([label for _, label in pending])
    pending[:] = [(images[batch:], labels[batch:])]
    images, labels = images[:batch].float(), labels[:batch].long()
    if volumes:  # (N, 1, x, y, z): slices become channels, and the middle one is told.
        return images[:, 0].permute(0, 3, 2, 1), labels[:, 0].permute(0, 3, 2, 1)[:, labels.shape[-1] // 2]
    if images.shape[1] != CHANNELS:
        images = images[:, :1].expand(-1, CHANNELS, -1, -1)
    return images, labels[:, 0]


def _plain(values: Any) -> torch.Tensor:
    plain = values.as_tensor() if hasattr(values, "as_tensor") else torch.as_tensor(values)
    assert isinstance(plain, torch.Tensor)
    return plain


if __name__ == "__main__":
    main()
