"""`denselens weights`: what there is told, published files in, refusals in one line, and nothing half-written."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
import yaml
from safetensors.torch import load_file

from app.cli import main
from networks.build import build
from networks.configs import DenseNetConfig, DenseUNetConfig
from pipelines.model_store import SHIPPED_FOLDER, load_weights, read_card
from tests.app.small_scans import dicom, result
from tests.networks.checkpoints.foreign_networks import (
    SMALL,
    CheXNet,
    TorchvisionDenseNet,
    arnoweng_file,
    in_parallel,
    lived_in,
    torch_file,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files are written where the caller is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(here: Path) -> Path:
    """A DenseNet of RGB and 1000 classes, narrow."""
    return torch_file(in_parallel(lived_in(TorchvisionDenseNet(SMALL)).state_dict()), here / "small.pth")


def _keys(repository: Path, heading: str) -> set[str]:
    """First column of the table under a heading of docs/interface.md, without keys of keys."""
    text = (repository / "docs" / "interface.md").read_text(encoding="utf-8")
    table = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_0-9]+)` \|", table, re.MULTILINE))


def _json(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def _refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["weights", "import", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert "Traceback" not in told.err
    return told.err


def test_chexnet_from_its_file_to_a_network(here: Path, capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    source = arnoweng_file(lived_in(CheXNet()), here / "model.pth.tar")
    document = _json(capsys, "weights", "import", "model.pth.tar", "--as", "chexnet")
    assert set(document) == _keys(repository, "What `weights import --json` prints")
    assert document["counts"] == {
        "as_it_is": 0,
        "renamed": 606,
        "converted": 0,
        "folded": 0,
        "set": 121,
        "drawn_anew": 0,
        "left_out": 0,
    }
    assert len(document["mapped"]) == 727
    assert document["layout"] == "CheXNet"
    assert (document["out"], document["card"]) == ("chexnet.safetensors", "chexnet.json")
    assert document["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert len(document["labels"]) == 14
    assert document["input"]["mean"] == [0.485, 0.456, 0.406]
    assert sorted(path.name for path in here.iterdir()) == ["chexnet.json", "chexnet.safetensors", "model.pth.tar"]

    config = DenseNetConfig(variant=121, out_channels=14)
    model = load_weights(build(config), config, here / "chexnet.safetensors")
    assert model.name == "chexnet"
    assert "ChestX-ray14" in model.trained_on
    card = read_card(here / "chexnet.safetensors")
    assert card is not None
    assert (card.source, card.source_sha256) == ("model.pth.tar", document["source"]["sha256"])
    assert list(card.labels) == document["labels"]
    assert card.input is not None
    assert card.input.size_px == 224
    assert any("sigmoid" in note for note in card.notes)


def test_the_printed_report_counts_and_names_the_first(
    small: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["weights", "import", "small.pth", "--as", "dense_unet", "--in-channels", "1", "--out", "a.safetensors"])
        == 0
    )
    told = capsys.readouterr().out
    assert "small.pth: a torchvision file, imported as a.safetensors" in told
    state = build(DenseUNetConfig(**_widths(), in_channels=1)).state_dict()
    encoder = sum(name.startswith("encoder.") for name in state)
    assert f"tensors: {encoder - 2} renamed, 1 converted, 1 folded, {len(state) - encoder} drawn anew" in told
    assert "of the file left out: 2" in told
    assert "converted: module.features.conv0.weight -> encoder.conv0.weight (sum over RGB, each by its" in told
    assert "left out: module.classifier.weight (the encoder has no classifier)" in told
    assert told.count("  drawn anew: ") == 4
    assert "--json names all" in told
    assert told.endswith("Research use only, not a medical device.\n")
    assert (here / "a.safetensors").is_file()


def _widths() -> dict[str, Any]:
    blocks, growth, width = SMALL
    return {"block_config": blocks, "growth_rate": growth, "init_features": width}


def test_imported_weights_score(small: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "import", str(small), "--as", "dense_unet", "--trained-on", "nothing of use"]) == 0
    task = {"kind": "liver_ct", "modalities": ["CT"], "network": {"name": "dense_unet", **_widths()}}
    (here / "own.yaml").write_text(yaml.safe_dump(task))
    arguments = ["score", str(dicom(here / "scan")), "--task", "own.yaml", "--out", "out"]
    assert main([*arguments, "--weights", "dense_unet.safetensors"]) == 0
    capsys.readouterr()
    model = result(here / "out")["model"]
    assert (model["name"], model["trained_on"]) == ("dense_unet", "nothing of use")
    assert model["weights_sha256"] == hashlib.sha256((here / "dense_unet.safetensors").read_bytes()).hexdigest()


def test_the_same_import_gives_the_same_bytes(small: Path, here: Path) -> None:
    for name in ("a", "b"):
        assert main(["weights", "import", str(small), "--as", "dense_unet", "--out", f"{name}/w.safetensors"]) == 0
    for name in ("w.safetensors", "w.json"):
        assert (here / "a" / name).read_bytes() == (here / "b" / name).read_bytes()


def test_nothing_is_replaced_unasked(small: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for taken in ("densenet.json", "densenet.safetensors"):
        (here / taken).write_text("mine")
        assert f"{taken}, which exists" in _refused(capsys, "small.pth", "--as", "densenet")
        assert (here / taken).read_text() == "mine"
        (here / taken).unlink()
    (here / "densenet.safetensors").write_text("mine")
    assert main(["weights", "import", "small.pth", "--as", "densenet", "--force"]) == 0
    capsys.readouterr()
    assert len(load_file(here / "densenet.safetensors")) > 50
    before = (here / "densenet.safetensors").read_bytes()
    again = ("densenet.safetensors", "--as", "densenet", "--force")
    assert "another file than the one imported" in _refused(capsys, *again)
    assert (here / "densenet.safetensors").read_bytes() == before


def test_refusals_are_one_line_and_write_nothing(small: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "page.pth").write_text("<html>not found</html>")
    torch.save(torch.nn.Linear(2, 2), here / "whole.pt")
    with h5py.File(here / "keras.h5", "w") as file:
        file.create_dataset("a", data=[1.0])
    cases = {
        ("none.pth", "--as", "chexnet"): "No such file",
        ("page.pth", "--as", "chexnet"): "an HTML page",
        ("whole.pt", "--as", "chexnet"): "torch.nn.modules.linear.Linear",
        ("keras.h5", "--as", "h_dense_unet"): "keras.h5",
        ("small.pth", "--as", "chexnet"): "use --as densenet",
        ("small.pth", "--as", "densenet121"): "use --as densenet",
        ("small.pth", "--as", "resnet"): "one of the networks densenet121",
        ("small.pth", "--as", "densenet", "--in-channels", "2"): "1 input channel in place of 3",
        ("small.pth", "--as", "densenet", "--labels", "a,b"): "1000 labels",
        ("small.pth", "--as", "densenet", "--out", "a.pth"): ".safetensors",
        ("small.pth", "--as", "densenet", "--out", "small.pth/a.safetensors"): "a folder that can be written to",
    }
    there = sorted(here.iterdir())
    for arguments, told in cases.items():
        assert told in _refused(capsys, *arguments), arguments
    assert sorted(here.iterdir()) == there


def test_a_refusal_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = _json(capsys, "weights", "import", "none.pth", "--as", "chexnet", code=2)
    assert set(document) == {"schema", "source", "error"}
    assert document["error"]["code"] == "weights_error"


def test_labels_name_the_outputs_of_a_head_drawn_anew(small: Path, here: Path) -> None:
    arguments = ["weights", "import", str(small), "--as", "dense_unet", "--labels", "background, nucleus"]
    assert main(arguments) == 0
    card = read_card(here / "dense_unet.safetensors")
    assert card is not None
    assert card.labels == ("background", "nucleus")
    assert card.drawn_anew > 0
    assert load_file(here / "dense_unet.safetensors")["head.weight"].shape[0] == 2


def test_what_ships_is_listed(capsys: pytest.CaptureFixture[str], repository: Path) -> None:
    document = _json(capsys, "weights", "list")
    assert set(document) == _keys(repository, "What `weights list --json` prints")
    names = {path.stem for path in SHIPPED_FOLDER.glob("*.safetensors")}
    assert {one["name"] for one in document["weights"]} == names
    for one in document["weights"]:
        file = SHIPPED_FOLDER / f"{one['name']}.safetensors"
        assert one["weights_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert one["card"]["trained_on"]
        assert one["network"]["name"]
        assert (one["shipped"], one["error"]) == (True, None)
    assert main(["weights", "list"]) == 0
    told = capsys.readouterr().out
    assert all(f"{name} (ships)" in told for name in names)


def test_folders_are_listed_with_what_is_wrong(small: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "import", str(small), "--as", "densenet", "--out", "mine/good.safetensors"]) == 0
    (here / "mine" / "bad.safetensors").write_text("no")
    (here / "mine" / "carded.safetensors").write_bytes((here / "mine" / "good.safetensors").read_bytes())
    (here / "mine" / "carded.json").write_text("{")
    capsys.readouterr()
    weights = {one["name"]: one for one in _json(capsys, "weights", "list", "mine")["weights"] if not one["shipped"]}
    assert set(weights) == {"good", "bad", "carded"}
    assert weights["good"]["card"]["layout"] == "torchvision"
    assert weights["good"]["network"]["name"] == "densenet"
    assert weights["good"]["error"] is None
    assert "safetensors" in weights["bad"]["error"]["message"]
    assert "carded.json" in weights["carded"]["error"]["message"]
    assert main(["weights", "list", "mine"]) == 0
    told = capsys.readouterr().out
    assert "imported from: small.pth" in told
    assert told.count("cannot be used: ") == 2
    assert main(["weights", "list", "nowhere"]) == 2
    assert "a folder of weights" in capsys.readouterr().err


def test_a_verb_is_needed_and_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights"]) == 2
    assert main(["weights", "imprt"]) == 2
    assert main(["weights", "import", "x.pth"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert main(["weights", "import", "--help"]) == 0
    told = capsys.readouterr().out
    assert "kimianet" in told
    assert "Args:" not in told
