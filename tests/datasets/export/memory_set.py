"""Small examples in memory, of any array."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.example import Dataset, Example, MaskTruth, Split
from datasets.geometry import grid_from_axes
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study

GRID = grid_from_axes((7, 6, 5), (0.8, 1.2, 2.5), np.diag([-1.0, -1.0, 1.0]), (10.0, -20.0, 33.0))
NAMES = {1: "liver", 2: "tumor"}


@dataclass(frozen=True)
class Held:
    image: Image

    def __call__(self) -> Image:
        return self.image


@dataclass(frozen=True)
class HeldScan:
    image: Image

    def __call__(self) -> Loaded:
        return Loaded(self.image)


def scan(seed: int = 0, dtype: Any = np.int16, intensity: Intensity = Intensity.HOUNSFIELD) -> Image:
    values = np.random.default_rng(seed).integers(0, 200, (1, *GRID.shape)).astype(dtype)
    return Image(values, intensity, GRID.affine)


def mask(seed: int = 0, highest: int = 2) -> Image:
    values = np.random.default_rng(seed).integers(0, highest + 1, (1, *GRID.shape)).astype(np.uint8)
    return Image(values, Intensity.LABEL, GRID.affine)


def series(image: Image, modality: str = "CT", name: str = "") -> Series:
    return Series(
        "s", modality, "memory", 5, image.grid if image.affine is not None else None, (), None, HeldScan(image), name
    )


def example(name: str, labels: Image, *of: Series, names: dict[int, str] | None = None, split: Split = "") -> Example:
    truth = MaskTruth(Held(labels), names or NAMES)
    return Example(Study(name, "memory", of or (series(scan()),)), truth, name, split)


def dataset(*examples: Example, labels: tuple[str, ...] = ("liver", "tumor")) -> Dataset:
    return Dataset("Memory", "memory", examples, labels)


def picture(pixels: NDArray[Any]) -> Image:
    """(rows, columns, channels)."""
    kind = Intensity.GREY if pixels.shape[-1] == 1 else Intensity.COLOUR
    return Image(pixels.transpose(2, 1, 0)[..., np.newaxis], kind)
