"""Bad data stops a training before its first step, with all that is wrong told at once."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from datasets.geometry import grid_from_axes
from datasets.image import Image, Intensity
from datasets.io.nifti import write_nifti
from pipelines.train import Request, train
from pipelines.training import loop
from pipelines.training.preflight import DatasetRefused

SMALL = (
    "network={name: unet, in_channels: 1, out_channels: 3, features: [4, 8]}",
    "weights=null",
    "training.steps=4",
    "training.patch=[16,16]",
    "training.logger=[csv]",
)


def write_set(folder: Path, cases: int = 8) -> Path:
    """Boxes of liver with a tumour in fat, as image and mask pairs."""
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    (folder / "labels.json").write_text('{"1": "liver", "2": "liver_tumor"}')
    for number in range(cases):
        rng = np.random.default_rng(number)
        grid = grid_from_axes((32, 32, 6), (2.0, 2.0, 3.0), np.eye(3), (0.0, 0.0, 10.0 * number))
        labels = np.zeros(grid.shape, np.uint8)
        labels[6 + number % 3 : 24, 5:25, 1:5] = 1
        labels[10:14, 10 + number % 4 : 16, 2:4] = 2
        values = np.array([-100, 60, 20])[labels] + rng.normal(0, 8, grid.shape)
        write(folder, number, values, labels, grid.affine)
    return folder


def write(folder: Path, number: int, values: np.ndarray, labels: np.ndarray, affine: np.ndarray) -> None:
    image = Image(values[None].astype(np.float32), Intensity.HOUNSFIELD, affine)
    write_nifti(image, folder / "images" / f"case{number}.nii.gz")
    write_nifti(Image(labels[None], Intensity.LABEL, affine), folder / "masks" / f"case{number}.nii.gz")


def request(data: Path, out: Path) -> Request:
    return Request("liver_ct", data, out, overrides=SMALL, device="cpu")


def test_a_sound_set_is_trained_on(tmp_path: Path) -> None:
    assert train(request(write_set(tmp_path / "set"), tmp_path / "out")).weights.is_file()


def test_all_defects_are_told_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_set(tmp_path / "set", 12)
    grid = grid_from_axes((32, 32, 6), (2.0, 2.0, 3.0), np.eye(3), (0.0, 0.0, 0.0))
    rng = np.random.default_rng(0)
    labels = np.zeros(grid.shape, np.uint8)
    labels[6:24, 5:25, 1:5] = 1
    values = np.where(labels > 0, 60.0, -100.0) + rng.normal(0, 8, grid.shape)
    nan = values.copy()
    nan[3, 3, 3] = np.nan
    write(data, 2, nan, labels, grid.affine)
    strange = labels.copy()
    strange[8, 8, 3] = 9
    write(data, 5, values, strange, grid.affine)
    shifted = grid.affine.copy()
    shifted[0, 3] += 40.0
    write_nifti(Image(labels[None], Intensity.LABEL, shifted), data / "masks" / "case7.nii.gz")
    whole = (data / "images" / "case9.nii.gz").read_bytes()
    (data / "images" / "case9.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole)[:4000]))
    monkeypatch.setattr(loop, "_step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(DatasetRefused) as refused:
        train(request(data, tmp_path / "out"))
    told = "\n".join(refused.value.reasons)
    for case in ("case2", "case5", "case7", "case9"):
        assert case in told
    for case in ("case0", "case1", "case3", "case4", "case6", "case8", "case10", "case11"):
        assert case not in told, told
    assert not (tmp_path / "out" / "manifest.json").exists()
