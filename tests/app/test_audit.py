"""`denselens audit`: what it prints, how it ends, what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from app.cli import main
from datasets.phantoms.nuclei import nuclei_phantom


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    root = tmp_path / "fields"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for seed in range(3):
        phantom = nuclei_phantom(seed, count=25, shape_px=(160, 128), stain="fluorescence")
        Pillow.fromarray(phantom.image().array[0, :, :, 0].T.copy()).save(root / "images" / f"{seed}.png")
        Pillow.fromarray(phantom.instances()).save(root / "labels" / f"{seed}.png")
    return root


def _mirror(root: Path) -> None:
    path = root / "labels" / "1.png"
    with Pillow.open(path) as picture:
        values = np.asarray(picture)[::-1].copy()
    Pillow.fromarray(values).save(path)


def test_a_sound_dataset(fields: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(fields)]) == 0
    assert "3 examples (instance_pictures): 0 errors, 0 warnings" in capsys.readouterr().out


def test_errors_are_told_with_code_place_and_fix(fields: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _mirror(fields)
    assert main(["audit", str(fields)]) == 3
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("error labels_flipped 1: ")
    assert first.endswith("[fix: flip_labels_j]")
    assert "1 errors, 0 warnings" in last


def test_as_json(fields: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _mirror(fields)
    assert main(["audit", str(fields), "--json", "--layout", "instance_pictures"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"error": 1, "warning": 0}
    assert [(one["code"], one["where"], one["fix"]) for one in told["defects"]] == [
        ("labels_flipped", "1", "flip_labels_j")
    ]


def test_a_fixed_copy_is_sound(fields: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _mirror(fields)
    copy = tmp_path / "copy"
    assert main(["audit", str(fields), "--fix", "all", "--out", str(copy)]) == 3
    assert "1: flip_labels_j: the labels were mirrored along j" in capsys.readouterr().out
    assert main(["audit", str(copy)]) == 0
    assert main(["audit", str(fields)]) == 3


def test_a_task_looks_for_its_labels(fields: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(fields), "--task", "nuclei"]) == 0
    assert main(["audit", str(fields), "--task", "liver_ct"]) == 3
    assert "liver_tumor" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["--fix", "all"], ["--out", "somewhere"], ["--layout", "nothing"], ["--workers", "0"]]
)
def test_wrong_usage(fields: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(fields), *wrong]) == 2
    assert capsys.readouterr().err


def test_nothing_there(tmp_path: Path) -> None:
    assert main(["audit", str(tmp_path / "nothing")]) == 2
