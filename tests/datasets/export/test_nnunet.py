"""Datasets out as nnU-Net wants them raw; nnU-Net itself is asked in test_nnunet_referee."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow

from datasets.errors import ConfigError, InputRefused
from datasets.example import MaskTruth
from datasets.export.nnunet import write
from datasets.image import Image, Intensity
from datasets.layouts import open_dataset
from datasets.resampling import reorient
from tests.datasets.export.memory_set import GRID, dataset, example, mask, picture, scan, series


def test_files_and_description_are_those_of_the_format(tmp_path: Path) -> None:
    channels = [series(scan(n), "", name) for n, name in enumerate(("T1", "T2"))]
    labels = reorient(mask(3), "SPR")
    write(dataset(example("a", labels, *channels), example("b", mask(2), *channels, split="test")), tmp_path)
    files = sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*"))
    assert files == [
        "dataset.json",
        *(f"imagesTr/a_000{n}.nii.gz" for n in range(2)),
        *(f"imagesTs/b_000{n}.nii.gz" for n in range(2)),
        "labelsTr/a.nii.gz",
        "labelsTs/b.nii.gz",
    ]
    described = json.loads((tmp_path / "dataset.json").read_text())
    assert described["channel_names"] == {"0": "T1", "1": "T2"}
    assert described["labels"] == {"background": 0, "liver": 1, "tumor": 2}
    assert (described["numTraining"], described["file_ending"]) == (1, ".nii.gz")
    for n in range(2):
        stored = nib.load(tmp_path / f"imagesTr/a_000{n}.nii.gz")
        np.testing.assert_array_equal(np.asarray(stored.dataobj), scan(n).array[0])
        np.testing.assert_allclose(stored.affine, GRID.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "labelsTr/a.nii.gz").dataobj), mask(3).array[0])
    found = open_dataset(tmp_path)
    assert (found.layout, found.defects) == ("nnunet", ())
    assert [(e.name, e.split) for e in found.examples] == [("a", "train"), ("b", "test")]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_written_as_they_are(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (9, 8, channels)).astype(np.uint8)
    labels = (pixels[..., :1] > 99).astype(np.uint8)
    one = example(
        "a", Image(picture(labels).array, Intensity.LABEL), series(picture(pixels), "", ""), names={1: "cell"}
    )
    write(dataset(one, labels=("cell",)), tmp_path)
    with Pillow.open(tmp_path / "imagesTr" / "a_0000.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored).reshape(pixels.shape), pixels)
    assert len(json.loads((tmp_path / "dataset.json").read_text())["channel_names"]) == channels
    found = open_dataset(tmp_path)
    assert found.defects == ()
    truth = found.examples[0].truth
    assert isinstance(truth, MaskTruth)
    np.testing.assert_array_equal(truth.read().array[0, :, :, 0].T, labels[..., 0])


def test_what_a_picture_cannot_hold_is_refused(tmp_path: Path) -> None:
    flat = Image(np.zeros((1, 6, 5, 1), np.float32), Intensity.GREY)
    labels = Image(np.zeros((1, 6, 5, 1), np.uint8), Intensity.LABEL)
    with pytest.raises(InputRefused, match="float32"):
        write(dataset(example("a", labels, series(flat, "", ""))), tmp_path)


def test_pictures_among_volumes_are_refused(tmp_path: Path) -> None:
    flat = picture(np.zeros((6, 5, 1), np.uint8))
    other = example("b", Image(flat.array, Intensity.LABEL), series(flat, "", "image"))
    with pytest.raises(ConfigError):
        write(dataset(example("a", mask(), series(scan(), "", "image")), other), tmp_path)
