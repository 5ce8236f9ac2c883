"""Images and masks of the same names, in folders or side by side."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from datasets.defects import DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, MaskTruth
from datasets.layouts import open_dataset
from datasets.layouts.image_mask_pairs import read, recognises
from tests.datasets.layouts.mask_files import decathlon, labels, nifti, numbers, png

PIXELS = (9, 8)


def truth(found: Dataset, number: int = 0) -> MaskTruth:
    one = found.examples[number].truth
    assert isinstance(one, MaskTruth)
    return one


def told(found: Dataset) -> list[tuple[DefectCode, str, str]]:
    return sorted((defect.code, defect.gravity, defect.where) for defect in found.defects)


def picture(path: Path, seed: int = 0) -> Path:
    return png(path, np.random.default_rng(seed).integers(0, 255, (*PIXELS, 3)).astype(np.uint8))


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("images", "labels"), ("imagesTr", "labelsTr")])
def test_volumes_in_two_folders_are_pairs(tmp_path: Path, images: str, masks: str) -> None:
    for n in range(2):
        nifti(tmp_path / images / f"v{n}.nii.gz", numbers(n))
        nifti(tmp_path / masks / f"v{n}.nii", labels(n).astype(np.float32))
    (tmp_path / "labels.json").write_text(json.dumps({"liver": 1, "2": "tumor"}))
    found = open_dataset(tmp_path)
    assert (found.layout, found.labels, found.defects) == ("image_mask_pairs", ("liver", "tumor"), ())
    assert [(e.name, e.split) for e in found.examples] == [("v0", ""), ("v1", "")]
    example = pickle.loads(pickle.dumps(found.examples[1]))  # noqa: S301 - what a worker process is handed
    np.testing.assert_array_equal(example.study.series[0].load().image.array[0], numbers(1))
    np.testing.assert_array_equal(example.truth.read().array[0], labels(1))
    assert example.truth.names == {1: "liver", 2: "tumor"}


def test_files_side_by_side_are_pairs_by_their_names(tmp_path: Path) -> None:
    nifti(tmp_path / "a_image.nii.gz", numbers(0))
    nifti(tmp_path / "a_mask.nii.gz", labels(0))
    picture(tmp_path / "b (1).png", 1)
    png(tmp_path / "b (1)_mask.png", labels(4, 1, PIXELS))
    found = open_dataset(tmp_path)
    assert (found.layout, [e.name for e in found.examples]) == ("image_mask_pairs", ["a", "b (1)"])
    # Nobody named the labels: digits, of all masks.
    assert (found.labels, truth(found, 1).names) == (("1", "2"), {1: "1", 2: "2"})
    np.testing.assert_array_equal(truth(found, 1).read().array[0, :, :, 0].T, labels(4, 1, PIXELS))


def test_masks_of_0_and_255_are_masks_of_0_and_1(tmp_path: Path) -> None:
    for n in range(2):
        picture(tmp_path / "images" / f"{n}.jpg.png", n)
        png(tmp_path / "masks" / f"{n}.jpg.png", labels(n, 1, PIXELS) * np.uint8(255 * n))
    found = read(tmp_path)
    assert (found.labels, truth(found).names) == (("1",), {1: "1"})
    np.testing.assert_array_equal(truth(found, 1).read().array[0, :, :, 0].T, labels(1, 1, PIXELS))
    assert not truth(found, 0).read().array.any()
    (tmp_path / "labels.json").write_text('{"1": "polyp"}')
    found = read(tmp_path)
    assert truth(found, 1).names == {1: "polyp"}
    assert truth(found, 1).read().array.max() == 1
    (tmp_path / "labels.json").write_text('{"255": "polyp"}')
    assert truth(read(tmp_path), 1).read().array.max() == 255


def test_255_among_other_labels_stays_what_it_is(tmp_path: Path) -> None:
    for n, values in enumerate((labels(0, 2, PIXELS), labels(1, 1, PIXELS) * np.uint8(255))):
        picture(tmp_path / "images" / f"{n}.png", n)
        png(tmp_path / "masks" / f"{n}.png", values)
    found = read(tmp_path)
    assert found.labels == ("1", "2", "255")
    assert truth(found, 1).read().array.max() == 255


def test_palettes_and_greys_in_colour_are_read_as_numbers_and_colours_refused(tmp_path: Path) -> None:
    values = labels(2, 2, PIXELS)
    for name in ("palette", "grey", "bits", "colour"):
        picture(tmp_path / "images" / f"{name}.png")
    palette = Pillow.fromarray(values, mode="L").convert("P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [7] * 759)
    palette.putdata(values.ravel().tolist())
    (tmp_path / "masks").mkdir()
    palette.save(tmp_path / "masks" / "palette.png")
    png(tmp_path / "masks" / "grey.png", np.stack([values] * 3, -1))
    png(tmp_path / "masks" / "bits.png", values > 0)
    picture(tmp_path / "masks" / "colour.png")
    found = read(tmp_path)
    assert told(found) == [(DefectCode.UNREADABLE_LABELS, "error", "colour")]
    masks = {e.name: truth(found, n).read().array[0, :, :, 0].T for n, e in enumerate(found.examples)}
    np.testing.assert_array_equal(masks["palette"], values)
    np.testing.assert_array_equal(masks["grey"], values)
    np.testing.assert_array_equal(masks["bits"], values > 0)


def test_partners_that_are_missing_or_of_no_use_are_told(tmp_path: Path) -> None:
    for name in ("alone", "twice", "lossy"):
        picture(tmp_path / "images" / f"{name}.png")
    picture(tmp_path / "images" / "twice.jpg")
    png(tmp_path / "masks" / "twice.png", labels(0, 1, PIXELS))
    png(tmp_path / "masks" / "nothing.png", labels(0, 1, PIXELS))
    png(tmp_path / "masks" / "lossy.jpg", labels(0, 1, PIXELS))
    (tmp_path / "masks" / "._alone.png").write_bytes(b"of a Mac")
    found = read(tmp_path)
    assert found.examples == ()
    assert told(found) == sorted(
        [
            (DefectCode.LABELS_MISSING, "error", "images/alone.png"),
            (DefectCode.IMAGE_MISSING, "error", "masks/nothing.png"),
            (DefectCode.NAME_TWICE, "error", "images/twice.jpg"),
            (DefectCode.UNREADABLE_LABELS, "error", "masks/lossy.jpg"),
        ]
    )


def test_channels_and_parts_are_those_of_names(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for channel in range(2):
            nifti(tmp_path / part / "images" / f"{part}_{channel:04d}.nii.gz", numbers(channel))
        nifti(tmp_path / part / "masks" / f"{part}.nii.gz", labels(0))
    found = open_dataset(tmp_path)
    assert [(e.name, e.split) for e in found.examples] == [("train", "train"), ("val", "validation")]
    assert found.defects == ()
    second = found.examples[0].study.series[1]
    np.testing.assert_array_equal(second.load().image.array[0], numbers(1))


def test_numbered_objects_are_another_layout(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    png(tmp_path / "labels" / "a.png", labels(0, 40, PIXELS).astype(np.uint16))
    assert not recognises(tmp_path)
    assert open_dataset(tmp_path).layout == "instance_pictures"
    (tmp_path / "labels.json").write_text('{"1": "nucleus"}')
    assert open_dataset(tmp_path).layout == "image_mask_pairs"
    (tmp_path / "labels.json").unlink()
    (tmp_path / "labels").rename(tmp_path / "masks")
    assert open_dataset(tmp_path).layout == "image_mask_pairs"
    (tmp_path / "masks").rename(tmp_path / "labels")
    png(tmp_path / "labels" / "a.png", labels(0, 2, PIXELS))
    assert open_dataset(tmp_path).layout == "image_mask_pairs"


def test_many_values_without_names_are_told(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    png(tmp_path / "masks" / "a.png", np.arange(72, dtype=np.uint8).reshape(PIXELS))
    found = read(tmp_path)
    assert told(found) == [(DefectCode.UNKNOWN_LABEL, "warning", "")]


def test_other_folders_are_not_recognised(tmp_path: Path) -> None:
    assert not recognises(tmp_path)
    assert not recognises(decathlon(tmp_path / "d"))
    picture(tmp_path / "plain" / "a.png")
    assert not recognises(tmp_path / "plain")
    (tmp_path / "empty" / "images").mkdir(parents=True)
    (tmp_path / "empty" / "masks").mkdir()
    assert not recognises(tmp_path / "empty")
    with pytest.raises(ConfigError):
        read(tmp_path / "empty")


def test_a_truncated_mask_is_a_defect_and_a_later_one_a_refusal(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "a.png")
    whole = png(tmp_path / "masks" / "a.png", labels(0, 1, PIXELS))
    found = read(tmp_path)
    whole.write_bytes(whole.read_bytes()[:-40])
    assert told(read(tmp_path)) == [(DefectCode.UNREADABLE_LABELS, "error", "a")]
    with pytest.raises(InputRefused):
        truth(found).read()


@pytest.mark.real_data
def test_the_nuclei_are_numbered_objects(shared_data: Path) -> None:
    assert not recognises(shared_data / "nuclei")
