"""`denselens train` as somebody types it, and `denselens evaluate` after it."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from app.cli import main
from datasets.layouts import open_dataset
from pipelines.fingerprint import fingerprint
from pipelines.model_card import card_text
from pipelines.model_store import read_card
from pipelines.task import load_task
from tests.pipelines.training.small_training import SMALL, write_discs


def words(*overrides: str) -> list[str]:
    return [word for one in (*SMALL, *overrides) for word in ("--set", one)]


def test_what_is_printed_is_what_evaluate_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_discs(tmp_path / "set", 8), tmp_path / "run"
    sets = words("training.validation.share=0.4")
    assert main(["train", "nuclei", "--data", str(data), "--out", str(out), "--json", *sets]) == 0
    (trial,) = json.loads(capsys.readouterr().out)["trials"]
    assert (trial["learnt"], trial["held"], trial["looked_at"]) == (5, 3, 3)
    card = read_card(Path(trial["weights"]))
    assert card is not None
    assert card.held_out["examples"] == 3
    # Not the YAML's weights and settings but those of the training, on what it held back.
    again = ["evaluate", str(out / "task.yaml"), "--data", str(data), "--weights", trial["weights"]]
    assert main([*again, "--out", str(tmp_path / "figures"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data"]["split"] == "validation"
    assert told["data"]["examples"] == 3
    figures = {"_".join(filter(None, (one["metric"], one["label"]))): one["value"] for one in told["figures"]}
    assert figures.keys() == trial["figures"].keys()
    defined = {name: value for name, value in trial["figures"].items() if value is not None}
    assert {name: value for name, value in figures.items() if value is not None} == pytest.approx(defined, rel=1e-9)
    assert {name for name in card.held_out if name != "examples"} == {n for n, v in figures.items() if v is not None}
    assert card.evaluation is not None
    assert {name: figure.value for name, figure in card.evaluation.figures.items()} == pytest.approx(defined)


def test_the_card_tells_on_what_and_how(tmp_path: Path) -> None:
    data, out = write_discs(tmp_path / "set", 8), tmp_path / "run"
    assert main(["train", "nuclei", "--data", str(data), "--out", str(out), "--seed", "3", *words()]) == 0
    card = read_card(out / "weights.safetensors")
    assert card is not None
    assert card.data is not None
    learnt = json.loads((out / "parts.json").read_text())["train"]
    dataset = open_dataset(data)
    own = replace(dataset, examples=tuple(one for one in dataset.examples if one.name in learnt))
    seen = fingerprint(own, load_task("nuclei"))
    assert (card.data.cases, card.data.patients) == (len(learnt), seen.patients)
    assert (card.data.sha256, card.data.fingerprint) == (seen.data_sha256, seen.summary)
    assert card.training is not None
    assert card.training.seed == 3
    assert card.training.settings["steps"] == card.training.steps
    assert card.training.environment["torch"] == version("torch")
    assert card.settings is not None
    assert card.settings["threshold"] == load_task("nuclei").model_dump()["threshold"]
    text = card_text(card)
    assert seen.data_sha256 in text


def test_a_folder_is_gone_on_with_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_discs(tmp_path / "set"), tmp_path / "run"
    command = ["train", "nuclei", "--data", str(data), "--out", str(out), *words()]
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 2
    assert "--resume" in capsys.readouterr().err


def test_folds_one_after_the_other_and_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_discs(tmp_path / "set"), tmp_path / "run"
    command = ["train", "nuclei", "--data", str(data), "--out", str(out), "--fold", "all", "--folds", "2", *words()]
    assert main([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [trial["held"] for trial in first["trials"]] == [3, 3]
    parts = [json.loads((out / f"fold-{fold}" / "parts.json").read_text())["validation"] for fold in (0, 1)]
    assert sorted(parts[0] + parts[1]) == [f"discs-{n}" for n in range(6)]
    # Done folds are left alone; one by itself is the same as one of all.
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == []
    alone = ["train", "nuclei", "--data", str(data), "--out", str(tmp_path / "alone"), "--fold", "1", "--folds", "2"]
    assert main([*alone, *words()]) == 0
    expected = (out / "fold-1" / "weights.safetensors").read_bytes()
    assert (tmp_path / "alone" / "weights.safetensors").read_bytes() == expected
    capsys.readouterr()
    scored = ["score", str(data / "images"), "--task", str(out / "fold-0" / "task.yaml"), "--weights", str(out)]
    assert main([*scored, "--out", str(tmp_path / "scored")]) == 0
    assert "2 folds" in (tmp_path / "scored" / "discs-0" / "result.json").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--fold", "x"], "a fold"),
        (["--set", "training.steps=0"], "training.steps"),
        (["--set", "training.colour=1"], "training.colour"),
        (["--device", "tpu"], "--device"),
    ],
)
def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str) -> None:
    data = write_discs(tmp_path / "set")
    sets = words() if "--device" in options else []
    assert main(["train", "nuclei", "--data", str(data), "--out", str(tmp_path / "run"), *sets, *options]) == 2
    assert told in capsys.readouterr().err
