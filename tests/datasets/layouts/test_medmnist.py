"""MedMNIST: pictures, volumes and labels in one archive, and how the labels come by their names."""

import json
from pathlib import Path

import numpy as np
import pytest

from datasets.defects import DefectCode
from datasets.downloads.medmnist import MEDMNIST
from datasets.errors import ConfigError
from datasets.example import ClassTruth, Dataset, FindingsTruth
from datasets.layouts import medmnist
from tests.datasets.layouts.small_sets import medmnist as archive

LABELS = np.array([[0], [1], [1]], np.uint8)


def _classes(found: Dataset) -> list[int]:
    return [e.truth.index for e in found.examples if isinstance(e.truth, ClassTruth)]


@pytest.mark.parametrize("name", ["pneumoniamnist", "pneumoniamnist_64", "PneumoniaMNIST_224"])
def test_a_published_file_has_published_names(name: str, tmp_path: Path) -> None:
    found = medmnist.read(archive(tmp_path / f"{name}.npz", LABELS, LABELS[:2]))
    assert (found.labels, found.defects) == (("normal", "pneumonia"), ())
    assert [e.name for e in found.examples] == [
        f"{name}-{part}" for part in ("test-0", "test-1", "train-0", "train-1", "train-2")
    ]
    assert [e.split for e in found.examples] == ["test"] * 2 + ["train"] * 3
    assert _classes(found) == [0, 1, 0, 1, 1]
    image = found.examples[-1].study.series[0].load().image
    assert (image.shape, int(image.array.max())) == ((5, 3, 1), 2)


def test_a_repacked_file_keeps_its_names_and_another_does_not_get_them(tmp_path: Path) -> None:
    train, _, test = MEDMNIST["breastmnist"].samples
    same = archive(tmp_path / "breast_both.npz", np.zeros((train, 1), int), np.ones((test, 1), int), (2, 2))
    assert medmnist.read(same).labels == ("malignant", "normal_benign")
    other = archive(tmp_path / "breast_new.npz", np.zeros((train + 1, 1), int), np.ones((test, 1), int), (2, 2))
    assert medmnist.read(other).labels == ("0", "1")
    renamed = archive(tmp_path / "ultrasound.npz", np.zeros((train, 1), int), np.ones((test, 1), int), (2, 2))
    assert medmnist.read(renamed).labels == ("0", "1")


@pytest.mark.parametrize("names", [["Well", "Not well"], {"0": "Well", "1": "Not well"}])
def test_names_may_be_told(names: object, tmp_path: Path) -> None:
    path = archive(tmp_path / "pneumoniamnist.npz", LABELS, LABELS)
    (tmp_path / "labels.json").write_text(json.dumps(names))
    assert medmnist.read(path).labels == ("well", "not_well")
    assert medmnist.read(tmp_path).labels == ("well", "not_well")


@pytest.mark.parametrize("text", ["", "3", '"normal"', "[1, 2]", '["a", "a"]', '{"1": "a"}', '["a", ""]', "[null]"])
def test_names_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", LABELS, LABELS)
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(ConfigError, match=r"labels\.json"):
        medmnist.read(path)


def test_several_labels_are_findings(tmp_path: Path) -> None:
    rows = np.eye(14, dtype=np.uint8)[:3] | np.eye(14, dtype=np.uint8)[12]
    found = medmnist.read(archive(tmp_path / "chestmnist.npz", rows, rows[:1]))
    assert found.labels == MEDMNIST["chestmnist"].classes
    there = [{n for n, v in e.truth.values.items() if v} for e in found.examples if isinstance(e.truth, FindingsTruth)]
    assert there == [
        {"atelectasis", "pleural_thickening"},
        {"atelectasis", "pleural_thickening"},
        {"cardiomegaly", "pleural_thickening"},
        {"effusion", "pleural_thickening"},
    ]


def test_fractions_are_scores(tmp_path: Path) -> None:
    found = medmnist.read(archive(tmp_path / "a.npz", np.array([[0.5], [2.0]]), np.array([1.0])))
    assert found.labels == ("score",)
    assert [e.truth for e in found.examples] == [FindingsTruth({"score": v}) for v in (1.0, 0.5, 2.0)]


def test_volumes_are_read_slice_by_slice(tmp_path: Path) -> None:
    volumes = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6), np.uint8)
    np.savez(tmp_path / "nodulemnist3d.npz", val_images=volumes, val_labels=LABELS)
    assert medmnist.recognises(tmp_path)
    found = medmnist.read(tmp_path)
    assert (found.labels, _classes(found)) == (("benign", "malignant"), [0, 1, 1])
    assert {e.split for e in found.examples} == {"validation"}
    image = found.examples[1].study.series[0].load().image
    assert (image.slices() == volumes[1]).all()
    assert (image.shape, image.affine, image.channels) == ((6, 5, 4), None, 1)
    assert found.examples[1].study.series[0].images == 4


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    images = np.zeros((3, 2, 2), np.uint8)
    np.savez(
        tmp_path / "pneumoniamnist.npz",
        train_images=images,
        train_labels=np.array([[0], [2], [-1]]),
        val_images=images,
        val_labels=LABELS[:2],
        test_images=images,
        extra_images=images,
        extra_labels=LABELS,
    )
    found = medmnist.read(tmp_path)
    assert [(d.code, d.gravity, d.where) for d in found.defects] == [
        (DefectCode.UNREADABLE_LABELS, "error", "val_images"),
        (DefectCode.LABELS_MISSING, "warning", "test_images"),
        (DefectCode.UNKNOWN_LABEL, "error", "pneumoniamnist-train-1"),
        (DefectCode.UNKNOWN_LABEL, "error", "pneumoniamnist-train-2"),
    ]
    assert [(e.name, e.split) for e in found.examples] == [
        *((f"pneumoniamnist-extra-{i}", "") for i in range(3)),
        ("pneumoniamnist-train-0", "train"),
    ]


def test_python_objects_are_not_read(tmp_path: Path) -> None:
    images = np.zeros((2, 2, 2), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=images, train_labels=np.array([{}, {}], dtype=object))
    with pytest.raises(ConfigError, match="allow_pickle"):
        medmnist.read(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive"])
def test_damage_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert not medmnist.recognises(tmp_path)
    with pytest.raises(ConfigError):
        medmnist.read(tmp_path / "a.npz")


def test_what_has_no_labels_or_no_single_file_is_not_known(tmp_path: Path) -> None:
    assert not medmnist.recognises(tmp_path)
    np.savez(tmp_path / "a.npz", train_images=np.zeros((2, 2, 2), np.uint8))
    assert not medmnist.recognises(tmp_path)
    archive(tmp_path / "b.npz", LABELS, LABELS)
    assert not medmnist.recognises(tmp_path)
    assert medmnist.recognises(tmp_path / "b.npz")
    with pytest.raises(ConfigError, match="name the file"):
        medmnist.read(tmp_path)


@pytest.mark.real_data
def test_real_pneumonia(shared_data: Path) -> None:
    found = medmnist.read(shared_data / "chest_pneumonia_28px")
    assert (found.labels, found.defects) == (("normal", "pneumonia"), ())
    counted = {part: [e.truth for e in found.examples if e.split == part] for part in ("train", "validation")}
    assert [len(truths) for truths in counted.values()] == [4708, 524]
    assert [truths.count(ClassTruth(0, found.labels)) for truths in counted.values()] == [1214, 135]
