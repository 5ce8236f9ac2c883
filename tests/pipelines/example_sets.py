"""Datasets in memory: arrays with what is true of them, as layouts give them."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from datasets.example import ClassTruth, Dataset, Example, FindingsTruth, MaskTruth, Split, Truth
from datasets.geometry import ras_from_lps
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study

LIVER = {1: "liver", 2: "liver_tumor"}


def upright(spacing_mm: Sequence[float]) -> NDArray[np.float64]:
    """An affine in LPS order: i to the left, j to posterior, k to superior, of spacing (i, j, k)."""
    return ras_from_lps(np.diag([*spacing_mm, 1.0]))


def _loaded(image: Image) -> Loaded:
    return Loaded(image)


def _same(image: Image) -> Image:
    return image


def example(
    name: str, image: Image, truth: Truth, *, patient: str = "", split: Split = "", modality: str = "CT"
) -> Example:
    grid = None if image.affine is None else image.grid
    series = Series(name, modality, "", image.shape[2], grid, (), None, partial(_loaded, image))
    return Example(Study(name, name, (series,)), truth, patient or name, split)


def volume(
    name: str,
    values: NDArray[np.generic],
    labels: NDArray[np.generic],
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    names: Mapping[int, str] | None = None,
) -> Example:
    """A CT (I, J, K) with a label map."""
    affine = upright(spacing_mm)
    mask = Image(labels[np.newaxis].astype(np.uint8), Intensity.LABEL, affine)
    truth = MaskTruth(partial(_same, mask), dict(names or LIVER))
    return example(name, Image(values[np.newaxis], Intensity.HOUNSFIELD, affine), truth)


def film(name: str, pixels: NDArray[np.uint8], truth: Truth, *, patient: str = "", split: Split = "") -> Example:
    """A picture (rows, columns) without a spacing."""
    image = Image(pixels.T[np.newaxis, :, :, np.newaxis], Intensity.GREY)
    return example(name, image, truth, patient=patient, split=split, modality="")


def pneumonia(there: bool) -> ClassTruth:
    return ClassTruth(int(there), ("normal", "pneumonia"))


def findings(**values: float) -> FindingsTruth:
    return FindingsTruth(values)


def dataset(*examples: Example, labels: Sequence[str] = (), name: str = "a set") -> Dataset:
    return Dataset(name, "memory", tuple(sorted(examples, key=lambda one: one.name)), tuple(labels))
