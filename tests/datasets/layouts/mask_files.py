"""Folders of images and masks for tests, written by nibabel and pillow: what these readers must understand."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

LAS = np.array([[-2.0, 0, 0, 30], [0, 1.5, 0, -20], [0, 0, 3.0, 5], [0, 0, 0, 1]])
SHAPE = (7, 6, 5)


def numbers(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-1000, 1500, shape).astype(np.int16)


def labels(seed: int = 0, highest: int = 2, shape: tuple[int, ...] = SHAPE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, highest + 1, shape).astype(np.uint8)


def nifti(path: Path, array: NDArray[Any], affine: NDArray[np.float64] = LAS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def png(path: Path, pixels: NDArray[Any]) -> Path:
    """(rows, columns) or (rows, columns, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)
    return path


def describe(folder: Path, **content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def decathlon(folder: Path, cases: int = 2, **more: Any) -> Path:
    """A sound set; `more` goes into `dataset.json` over what stands there."""
    for n in range(cases):
        nifti(folder / f"imagesTr/case_{n}.nii.gz", numbers(n))
        nifti(folder / f"labelsTr/case_{n}.nii.gz", labels(n))
    listed = [{"image": f"./imagesTr/case_{n}.nii.gz", "label": f"./labelsTr/case_{n}.nii.gz"} for n in range(cases)]
    usual = {"name": "Liver", "modality": {"0": "CT"}, "numTraining": cases, "training": listed, "test": []}
    return describe(folder, **{**usual, "labels": {"0": "background", "1": "liver", "2": "cancer"}, **more})


def nnunet(folder: Path, cases: int = 2, channels: int = 1, **more: Any) -> Path:
    """A sound set; `more` goes into `dataset.json` over what stands there."""
    for n in range(cases):
        for channel in range(channels):
            nifti(folder / f"imagesTr/case_{n}_{channel:04d}.nii.gz", numbers(10 * channel + n))
        nifti(folder / f"labelsTr/case_{n}.nii.gz", labels(n))
    names = {str(channel): name for channel, name in zip(range(channels), ("CT", "FLAIR", "T2"), strict=False)}
    usual = {"channel_names": names, "labels": {"background": 0, "liver": 1, "tumor": 2}, "numTraining": cases}
    return describe(folder, **{**usual, "file_ending": ".nii.gz", **more})
