"""`denselens weights export-bundle`, `import` of what it wrote, and `card`."""

import json
from pathlib import Path

import pytest

from app.cli import main
from pipelines.model_store import SHIPPED_FOLDER

WEIGHTS = "chest_pneumonia"


def test_out_and_in_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, back = tmp_path / "bundle", tmp_path / "back.safetensors"
    arguments = ["weights", "export-bundle", WEIGHTS, "--task", WEIGHTS, "--out", str(bundle)]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["task"], told["error"]) == (WEIGHTS, None)
    assert main(arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
    assert "MONAI bundle" in capsys.readouterr().out
    assert main(["weights", "import", str(bundle), "--as", "densenet", "--out", str(back)]) == 0
    assert back.read_bytes() == (SHIPPED_FOLDER / f"{WEIGHTS}.safetensors").read_bytes()


def test_a_refusal_is_a_document_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "no")
    assert main(["weights", "export-bundle", WEIGHTS, "--task", "nuclei", "--out", out, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "weights_error"
    assert not (tmp_path / "no").exists()


def test_a_card_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "card", WEIGHTS]) == 0
    assert capsys.readouterr().out.startswith(f"# {WEIGHTS}\n")
    assert main(["weights", "card", "nobody"]) == 2
