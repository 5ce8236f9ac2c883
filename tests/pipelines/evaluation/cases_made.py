"""Cases and datasets made up for tests of evaluations."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.example import ClassTruth, Dataset, Example, FindingsTruth, MaskTruth, Truth
from datasets.image import Image, Intensity
from datasets.io.nifti import write_nifti
from datasets.study import Study

AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])
SHAPE = (20, 18, 8)


def label_map(liver: int = 12, tumors: tuple[int, ...] = (4,)) -> NDArray[np.uint8]:
    """A liver `liver` voxels long, with cubes of 2 voxels in it that start at the places named."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2 : 2 + liver, 3:15, 1:7] = 1
    for start in tumors:
        labels[start : start + 2, 6:8, 3:5] = 2
    return labels


def image_of(labels: NDArray[np.uint8], affine: NDArray[np.float64] | None = AFFINE) -> Image:
    return Image(labels[np.newaxis], Intensity.LABEL, affine)


def study(name: str) -> Study:
    return Study(uid=name, source=name, series=())


def example(name: str, truth: Truth, patient: str = "", **groups: str) -> Example:
    return Example(study(name), truth, patient or name, "test", groups)


def mask_truth(labels: NDArray[np.uint8], names: dict[int, str] | None = None) -> MaskTruth:
    return MaskTruth(partial(image_of, labels), {1: "liver", 2: "liver_tumor"} if names is None else names)


def dataset(*examples: Example) -> Dataset:
    return Dataset("made", "memory", tuple(examples), ("liver", "liver_tumor"))


def findings(**values: float) -> FindingsTruth:
    return FindingsTruth(values)


def one_of(index: int, *classes: str) -> ClassTruth:
    return ClassTruth(index, classes)


def write_labels(folder: Path, name: str, labels: NDArray[np.uint8], affine: NDArray[np.float64] = AFFINE) -> None:
    write_nifti(image_of(labels, affine), folder / f"{name}.nii.gz")
