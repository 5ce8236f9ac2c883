"""Datasets of phantoms on disk and in memory, sound ones, for defects to be planted in."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.example import ClassTruth, Dataset, Example, InstanceTruth, MaskTruth, Split, Truth
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.nifti import read_nifti, write_nifti
from datasets.phantoms import ct_phantom, default_grid
from datasets.study import Loaded, Series, Study

NAMES = {1: "liver", 2: "liver_tumor"}
ORIENTATIONS = ("LPS", "RAS", "PIR", "LIP", "RPI")


def grid_of(number: int) -> Grid:
    """Every third case 5 x 5 x 6 mm, the others 3.5 to 7 mm in any orientation, some oblique, as hospitals mix them."""
    if number % 3 == 0:
        return default_grid((5.0, 5.0, 6.0))
    rng = np.random.default_rng(number)
    across, along = rng.uniform(3.5, 7.0, 2)
    turned = tuple(rng.uniform(-15, 15, 3)) if number % 5 == 1 else (0.0, 0.0, 0.0)
    return default_grid((across, across, along), ORIENTATIONS[number % 5], turned)


def image_of(root: Path, number: int) -> Path:
    return root / "imagesTr" / f"liver_{number:02d}.nii.gz"


def labels_of(root: Path, number: int) -> Path:
    return root / "labelsTr" / f"liver_{number:02d}.nii.gz"


def write_liver_set(root: Path, count: int) -> None:
    """CT torsos with liver and tumours, as the Medical Segmentation Decathlon lays them out."""
    for number in range(count):
        phantom, grid = ct_phantom(number, None), grid_of(number)
        write_nifti(phantom.image(grid), image_of(root, number))
        write_nifti(phantom.labels(grid), labels_of(root, number))
    pairs = [
        {"image": f"./imagesTr/{image_of(root, n).name}", "label": f"./labelsTr/{labels_of(root, n).name}"}
        for n in range(count)
    ]
    told = {
        "name": "phantom livers",
        "modality": {"0": "CT"},
        "labels": {"0": "background"} | {str(value): name for value, name in NAMES.items()},
        "numTraining": count,
        "numTest": 0,
        "training": pairs,
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(told), encoding="utf-8")


def rewrite(path: Path, change: Callable[[Image], Image], intensity: Intensity = Intensity.LABEL) -> None:
    """Read a volume, change it, write it back."""
    write_nifti(change(read_nifti(path, intensity).image), path)


@dataclass(frozen=True)
class Held:
    """A reader of what is in memory; picklable."""

    image: Image

    def __call__(self) -> Image:
        return self.image

    def load(self) -> Loaded:
        return Loaded(self.image)


def example(name: str, image: Image, truth: Truth, split: Split = "", patient: str = "") -> Example:
    """An example of one series in memory."""
    grid = None if image.affine is None else image.grid
    series = Series(name, "", "memory", image.shape[2], grid, (), None, Held(image).load)
    return Example(Study(name, name, (series,)), truth, patient or name, split)


def masked(name: str, image: Image, labels: Image, split: Split = "") -> Example:
    """An example with a label map in memory."""
    return example(name, image, MaskTruth(Held(labels), NAMES), split)


def numbered(name: str, image: Image, labels: Image) -> Example:
    """An example with numbered objects in memory."""
    return example(name, image, InstanceTruth(Held(labels), "nucleus"))


def classed(name: str, image: Image, index: int = 0, split: Split = "", patient: str = "") -> Example:
    """An example of one of two classes."""
    return example(name, image, ClassTruth(index, ("normal", "abnormal")), split, patient)


def dataset(examples: Sequence[Example], labels: tuple[str, ...] = tuple(NAMES.values())) -> Dataset:
    """A dataset in memory."""
    return Dataset("memory", "memory", tuple(examples), labels)
