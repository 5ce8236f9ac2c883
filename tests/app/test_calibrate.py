"""`denselens calibrate`: figures told, a card written, refusals in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.cli import main


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A MedMNIST-like file: 24 films, half of them with pneumonia, all in the validation split."""
    rng, truths = np.random.default_rng(0), np.arange(24) % 2
    pixels = np.clip(rng.normal(100 + 40 * truths[:, None, None], 40, (24, 28, 28)), 0, 255).astype(np.uint8)
    path = tmp_path / "pneumoniamnist.npz"
    np.savez(path, val_images=pixels, val_labels=truths[:, None].astype(np.uint8))
    return path


def _calibrate(films: Path, *more: str) -> int:
    return main(["calibrate", "chest_pneumonia", "--data", str(films), "--weights", "chest_pneumonia", *more])


def test_it_tells_and_writes(films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new.safetensors"
    arguments = (
        "--out",
        str(out),
        "--min-cases",
        "5",
        "--method",
        "temperature",
        "--rule",
        "sensitivity=0.9",
        "--json",
    )
    assert _calibrate(films, *arguments) == 0
    told = json.loads(capsys.readouterr().out)
    card = json.loads(out.with_suffix(".json").read_bytes())
    assert told["calibration"] == card["calibration"]
    assert card["calibrated"]["split"] == "validation"
    assert card["calibrated"]["labels"]["pneumonia"]["at_point"]["sensitivity"] >= 0.9
    assert told["research_use_only"]
    assert _calibrate(films, *arguments[:-1]) == 2, "it exists"
    assert "--force" in capsys.readouterr().err
    assert _calibrate(films, *arguments[:-1], "--force") == 0
    assert "before" in capsys.readouterr().out


def test_refusals_are_one_line(films: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "new.safetensors")
    assert _calibrate(films, "--out", out) == 2
    assert "12 without, where 20" in capsys.readouterr().err
    assert _calibrate(films, "--out", out, "--rule", "best") == 2
    assert capsys.readouterr().err.count("\n") == 1
