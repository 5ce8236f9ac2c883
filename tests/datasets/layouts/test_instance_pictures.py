"""Numbered objects: one picture of numbers, or a picture for each; what does not fit is told."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage.measure import regionprops

from datasets.codes import RefusalCode
from datasets.defects import DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Example, InstanceTruth
from datasets.image import Intensity
from datasets.layouts import instance_pictures
from tests.datasets.layouts.small_sets import data_science_bowl, instances, numbers, picture


def _numbers(example: Example) -> np.ndarray:
    """(rows, columns)."""
    truth = pickle.loads(pickle.dumps(example.truth))  # noqa: S301 - our own, as a worker gets it
    assert isinstance(truth, InstanceTruth)
    assert truth.name == "nucleus"
    image = truth.read()
    assert image.intensity is Intensity.LABEL
    assert image.shape == example.study.series[0].load().image.shape
    values: np.ndarray = image.slices()[0]
    return values


def test_numbered_objects(tmp_path: Path) -> None:
    found = instance_pictures.read(instances(tmp_path))
    assert ([e.name for e in found.examples], found.labels, found.defects) == (["a", "b"], ("nucleus",), ())
    values = _numbers(found.examples[0])
    assert [(r.label, r.bbox) for r in regionprops(values.astype(int))] == [(1, (0, 0, 1, 2)), (300, (2, 4, 4, 5))]
    assert [e.patient for e in found.examples] == ["a", "b"]


def test_a_picture_for_each_object(tmp_path: Path) -> None:
    found = instance_pictures.read(data_science_bowl(tmp_path / "stage1_train"))
    assert ([e.name for e in found.examples], found.defects) == (["0a", "0b"], ())
    # The second object lies on one pixel of the first, which keeps it.
    assert _numbers(found.examples[0]).tolist() == [
        [1, 0, 0, 0, 3, 3],
        [1, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 0, 0],
        [2, 0, 0, 0, 0, 0],
    ]


def test_parts_of_the_set(tmp_path: Path) -> None:
    instances(tmp_path / "train", ("a",))
    instances(tmp_path / "test", ("a", "c"))
    assert instance_pictures.recognises(tmp_path)
    found = instance_pictures.read(tmp_path)
    assert {(e.name, e.split) for e in found.examples} == {
        ("test-images-a", "test"),
        ("train-images-a", "train"),
        ("c", "test"),
    }


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    root = instances(tmp_path, ("a", "b", "c", "d", "e"))
    (root / "labels" / "b.png").unlink()
    (root / "images" / "c.png").unlink()
    numbers(root / "labels" / "d.png", np.ones((3, 3)))
    (root / "labels" / "e.png").write_bytes(b"no picture")
    found = instance_pictures.read(root)
    assert [e.name for e in found.examples] == ["a"]
    assert {(d.code, d.where, d.gravity) for d in found.defects} == {
        (DefectCode.LABELS_MISSING, "b", "error"),
        (DefectCode.IMAGE_MISSING, "c", "error"),
        (DefectCode.GEOMETRY_MISMATCH, "d", "error"),
        (DefectCode.UNREADABLE_LABELS, "e", "error"),
    }
    assert "3 x 3 pixels for a picture of 6 x 4" in next(d.found for d in found.defects if d.where == "d")


def test_samples_that_lack_something_are_told(tmp_path: Path) -> None:
    root = data_science_bowl(tmp_path)
    picture(root / "0c" / "images" / "0c.png")
    (root / "0d" / "images").mkdir(parents=True)
    picture(root / "0e" / "images" / "0e.png", size=(9, 9))
    picture(root / "0e" / "masks" / "0.png")
    found = instance_pictures.read(root)
    assert {(d.code, d.where) for d in found.defects} == {
        (DefectCode.LABELS_MISSING, "0c"),
        (DefectCode.IMAGE_MISSING, "0d"),
        (DefectCode.GEOMETRY_MISMATCH, "0e"),
    }
    assert len(found.examples) == 2


def test_masks_of_different_sizes_are_refused_when_read(tmp_path: Path) -> None:
    root = data_science_bowl(tmp_path)
    picture(root / "0a" / "masks" / "9.png", size=(3, 3))
    truth = instance_pictures.read(root).examples[0].truth
    assert isinstance(truth, InstanceTruth)
    with pytest.raises(InputRefused) as caught:
        truth.read()
    assert caught.value.code is RefusalCode.UNSUPPORTED_DIMENSIONS


def test_numbers_in_colour_are_refused_when_read(tmp_path: Path) -> None:
    root = instances(tmp_path, ("a",))
    Pillow.new("RGB", (6, 4)).save(root / "labels" / "a.png")
    truth = instance_pictures.read(root).examples[0].truth
    assert isinstance(truth, InstanceTruth)
    with pytest.raises(InputRefused, match="3 channels"):
        truth.read()


@pytest.mark.parametrize("change", ["labels.json", "dataset.json", "8 bits", "masks"])
def test_label_maps_of_classes_are_another_layouts(change: str, tmp_path: Path) -> None:
    root = instances(tmp_path)
    assert instance_pictures.recognises(root)
    if change == "8 bits":
        picture(root / "labels" / "a.png")
    elif change == "masks":
        (root / "masks").mkdir()
    else:
        (root / change).write_text("{}")
    assert not instance_pictures.recognises(root)


def test_nothing_is_refused(tmp_path: Path) -> None:
    assert not instance_pictures.recognises(tmp_path)
    assert not instance_pictures.recognises(tmp_path / "none")
    with pytest.raises(ConfigError, match="none in"):
        instance_pictures.read(tmp_path)


@pytest.mark.real_data
def test_real_nuclei(shared_data: Path) -> None:
    found = instance_pictures.read(shared_data / "nuclei")
    assert (len(found.examples), found.defects) == (519, ())
    example = found.examples[0]
    with Pillow.open(shared_data / "nuclei" / "labels" / f"{example.name}.png") as labels:
        assert (_numbers(example) == np.asarray(labels)).all()
