"""A dataset of discs and a training of it that takes seconds."""

from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from pipelines.train import Request

NETWORK = "network={name: unet, in_channels: 3, out_channels: 3, features: [4, 8], normalisation: none, dropout: 0.1}"
SMALL = (
    NETWORK,
    "weights=null",
    "training.steps=8",
    "training.batch=2",
    "training.patch=[24,24]",
    "training.averaged_steps=3",
    "training.validation.every=4",
    "training.validation.examples=4",
    "training.logger=[csv]",
)


def write_discs(folder: Path, count: int = 6, edge: int = 40) -> Path:
    """Bright discs on dark ground with their numbers, as `instance_pictures` has them."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        y, x = np.mgrid[:edge, :edge]
        labels = np.zeros((edge, edge), dtype=np.uint16)
        for disc, (cy, cx) in enumerate(((10, 11), (28, 30)), start=1):
            labels[(y - cy) ** 2 + (x - cx) ** 2 < rng.uniform(20, 45)] = disc
        pixels = np.where(labels > 0, 190, 50) + rng.normal(0, 10, labels.shape)
        grey = np.clip(pixels, 0, 255).astype(np.uint8)
        Pillow.fromarray(grey).save(folder / "images" / f"discs-{number}.png")
        Pillow.fromarray(labels).save(folder / "labels" / f"discs-{number}.png")
    return folder


def request(data: Path, out: Path, *more: str, seed: int = 0, resume: bool = False, devices: int = 1) -> Request:
    """A training on one CPU, or several processes on it."""
    return Request(
        "nuclei", data, out, overrides=(*SMALL, *more), device="cpu", devices=devices, seed=seed, resume=resume
    )
