"""Datasets out as the Decathlon: what is kept, put in order, and refused."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import ClassTruth
from datasets.export.decathlon import write
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.layouts.decathlon import read
from datasets.resampling import reorient
from tests.datasets.export.memory_set import GRID, dataset, example, mask, picture, scan, series


def test_a_label_map_in_another_order_of_axes_is_put_on_its_voxels(tmp_path: Path) -> None:
    """nibabel is the referee: the file's labels lie voxel by voxel on the file's image."""
    orders = ("RAS", "ASL", "IPR", "LPS", "SLA")
    examples = [example(order, reorient(mask(n), order)) for n, order in enumerate(orders)]
    write(dataset(*examples), tmp_path)
    for n, order in enumerate(orders):
        image, labels = (nib.load(tmp_path / f"{kind}Tr" / f"{order}.nii.gz") for kind in ("images", "labels"))
        np.testing.assert_allclose(image.affine, labels.affine, atol=1e-5)
        np.testing.assert_allclose(image.affine, GRID.affine, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(labels.dataobj), mask(n).array[0])


@pytest.mark.parametrize("change", ["shifted", "smaller", "oblique", "without"])
def test_labels_on_other_voxels_are_refused(tmp_path: Path, change: str) -> None:
    labels = mask()
    affine = GRID.affine.copy()
    if change == "shifted":
        affine[0, 3] += 0.1
    elif change == "oblique":
        affine[0, 1] += 0.05
    array = labels.array[:, :-1] if change == "smaller" else labels.array
    moved = Image(array, Intensity.LABEL, None if change == "without" else affine)
    with pytest.raises(InputRefused) as caught:
        write(dataset(example("a", moved)), tmp_path)
    assert caught.value.code is RefusalCode.DIFFERENT_GRIDS


def test_values_count_as_the_sets_labels_do(tmp_path: Path) -> None:
    """Two examples whose values mean different things."""
    other = {1: "tumor", 2: "liver"}
    write(dataset(example("a", mask(1)), example("b", mask(1), names=other)), tmp_path)
    first, second = (np.asarray(nib.load(tmp_path / "labelsTr" / f"{name}.nii.gz").dataobj) for name in "ab")
    np.testing.assert_array_equal(first, mask(1).array[0])
    np.testing.assert_array_equal(second, np.array([0, 2, 1])[mask(1).array[0]])


def test_a_value_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="the values 2"):
        write(dataset(example("a", mask(), names={1: "liver"})), tmp_path)
    with pytest.raises(InputRefused, match="the values 2"):
        write(dataset(example("a", mask()), labels=("liver",)), tmp_path / "other")


def test_channels_become_a_fourth_axis_and_come_back(tmp_path: Path) -> None:
    channels = [series(scan(n, np.float32, Intensity.GREY), "", name) for n, name in enumerate(("FLAIR", "T2"))]
    write(dataset(example("a", mask(), *channels)), tmp_path)
    described = json.loads((tmp_path / "dataset.json").read_text())
    assert (described["tensorImageSize"], described["modality"]) == ("4D", {"0": "FLAIR", "1": "T2"})
    stored = np.asarray(nib.load(tmp_path / "imagesTr" / "a.nii.gz").dataobj)
    back = read(tmp_path).examples[0].study.series
    for n, one in enumerate(back):
        np.testing.assert_array_equal(stored[..., n], scan(n).array[0])
        np.testing.assert_array_equal(one.load().image.array, scan(n).array)
    assert [one.name for one in back] == ["FLAIR", "T2"]


def test_channels_on_other_grids_are_refused(tmp_path: Path) -> None:
    moved = Image(scan().array, Intensity.GREY, GRID.affine + np.eye(4, k=3))
    with pytest.raises(InputRefused) as caught:
        write(dataset(example("a", mask(), series(scan(), "", "a"), series(moved, "", "b"))), tmp_path)
    assert caught.value.code is RefusalCode.DIFFERENT_GRIDS


def test_what_a_scanner_calls_a_series_is_not_written(tmp_path: Path) -> None:
    write(dataset(example("a", mask(), series(scan(), "CT", "Doe^Jane abdomen"))), tmp_path)
    assert "Doe" not in (tmp_path / "dataset.json").read_text()


def test_examples_for_tests_are_kept_apart_and_come_back(tmp_path: Path) -> None:
    write(dataset(example("a", mask(1), split="train"), example("b", mask(2), split="test")), tmp_path)
    found = read(tmp_path)
    assert [(e.name, e.split) for e in found.examples] == [("a", "train"), ("b", "test")]
    assert found.defects == ()
    assert json.loads((tmp_path / "dataset.json").read_text())["test"] == ["./imagesTs/b.nii.gz"]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    flat = picture(np.zeros((6, 7, 1), np.uint8))
    no_masks = replace(example("a", mask()), truth=ClassTruth(0, ("a", "b")))
    picture_example = example("a", Image(flat.array, Intensity.LABEL), series(flat, "", ""))
    two = (example("a", mask()), example("b", mask(), series(scan(), "MR")))
    for folder, examples in (("there", two[:1]), ("a", ()), ("b", (no_masks,)), ("c", (picture_example,)), ("d", two)):
        with pytest.raises(ConfigError):
            write(dataset(*examples), tmp_path / folder)


def test_a_grid_that_is_no_multiple_keeps_its_affine(tmp_path: Path) -> None:
    sheared = Grid(GRID.shape, GRID.affine @ np.array([[1, 0, 0.2, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    image, labels = (Image(one.array, one.intensity, sheared.affine) for one in (scan(), mask()))
    write(dataset(example("a", labels, series(image))), tmp_path)
    (back,) = read(tmp_path).examples
    assert back.study.series[0].load().image.grid.matches(sheared, 1e-3)
