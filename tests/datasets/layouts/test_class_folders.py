"""Films by class: what a class is called, whose film it is, and to which part it belongs."""

from pathlib import Path

import pytest

from datasets.defects import DefectCode
from datasets.errors import ConfigError
from datasets.example import ClassTruth
from datasets.layouts import class_folders
from tests.datasets.layouts.small_sets import class_folders as kermany
from tests.datasets.layouts.small_sets import picture


def test_kermanys_films(tmp_path: Path) -> None:
    found = class_folders.read(kermany(tmp_path))
    assert (found.labels, found.defects, len(found.examples)) == (("normal", "pneumonia"), (), 12)
    for example in found.examples:
        split, folder, file = Path(example.study.source).parts[-3:]
        assert example.split == {"train": "train", "val": "validation", "test": "test"}[split]
        assert example.truth == ClassTruth(int(folder == "PNEUMONIA"), ("normal", "pneumonia"))
        own = f"person{len(split)}_bacteria" if folder == "PNEUMONIA" else example.name
        assert example.patient == own, file
    assert len({example.name for example in found.examples}) == 12
    assert found.examples[0].study.series[0].load().image.shape == (6, 4, 1)


def test_classes_without_parts(tmp_path: Path) -> None:
    for film in ("Grade 2/a.png", "Grade 10/b.jpg", "Grade 10/patient07_3.png", "grade_2/c.png"):
        picture(tmp_path / film)
    found = class_folders.read(tmp_path)
    assert found.labels == ("grade_10", "grade_2")
    assert {e.name: (e.truth.index, e.patient, e.split) for e in found.examples if isinstance(e.truth, ClassTruth)} == {
        "a": (1, "a", ""),
        "b": (0, "b", ""),
        "c": (1, "c", ""),
        "patient07_3": (0, "patient07", ""),
    }


def test_a_class_may_be_missing_in_a_part(tmp_path: Path) -> None:
    root = kermany(tmp_path)
    for film in (root / "val" / "NORMAL").iterdir():
        film.unlink()
    found = class_folders.read(root)
    assert [(d.code, d.gravity, d.where) for d in found.defects] == [
        (DefectCode.IMAGE_MISSING, "warning", "val/NORMAL")
    ]
    assert {e.truth for e in found.examples if e.split == "validation"} == {ClassTruth(1, ("normal", "pneumonia"))}


@pytest.mark.parametrize("beside", ["dataset.json", "images", "labels"])
def test_halves_of_another_layout_are_no_classes(beside: str, tmp_path: Path) -> None:
    for name in ("images", "labels", "a"):
        picture(tmp_path / name / "1.png")
    if beside == "dataset.json":
        (tmp_path / beside).write_text("{}")
    assert not class_folders.recognises(tmp_path)


def test_fewer_than_two_classes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "normal" / "1.png")
    (tmp_path / "empty").mkdir()
    assert not class_folders.recognises(tmp_path)
    with pytest.raises(ConfigError, match="got normal in"):
        class_folders.read(tmp_path)
    assert not class_folders.recognises(tmp_path / "normal" / "1.png")
