"""`denselens evaluate` from the command line: files left, exit codes, what is printed."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.cli import main
from app.commands import evaluate
from datasets.example import Dataset
from tests.pipelines.evaluation.cases_made import dataset, example, label_map, mask_truth, write_labels


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of three studies, whatever lies at its path."""

    def opened(path: Path) -> Dataset:
        assert path == tmp_path
        return dataset(*(example(f"s{n}", mask_truth(label_map()), site="AB"[n % 2]) for n in range(3)))

    monkeypatch.setattr(evaluate, "open_dataset", opened)
    return tmp_path


def _predictions(folder: Path, count: int = 3, length: int = 13) -> Path:
    for number in range(count):
        write_labels(folder, f"s{number}", label_map(length))
    return folder


def _call(data: Path, *more: str) -> int:
    return main(["evaluate", "liver_ct", "--data", str(data), "--replicates", "200", *more])


def test_files_and_figures(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = data / "out"
    assert _call(data, "--predictions", str(_predictions(data / "said")), "--out", str(out)) == 0
    told = capsys.readouterr()
    assert "Research use only" in told.out
    assert f"dice {24 / 25:.4f}" in " ".join(told.out.split())
    assert sorted(path.name for path in out.iterdir()) == ["cases.csv", "cases.jsonl", "evaluation.json", "report.html"]
    document = json.loads((out / "evaluation.json").read_text())
    figures = {(one["label"], one["metric"]): one["value"] for one in document["figures"]}
    assert figures["liver", "dice"] == pytest.approx(np.round(24 / 25, 10))
    assert len((out / "cases.csv").read_text().splitlines()) == 4
    before = (out / "evaluation.json").read_bytes()
    assert _call(data, "--predictions", str(data / "said"), "--out", str(out)) == 0
    assert "compared before" in capsys.readouterr().err
    assert (out / "evaluation.json").read_bytes() == before


def test_some_that_failed_are_3_and_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _call(data, "--predictions", str(_predictions(data / "said", 2)), "--out", str(data / "out")) == 3
    told = capsys.readouterr()
    assert "s2: labels_missing" in told.err
    assert "1 could not be compared" in told.out


def test_json_is_one_document(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said, other = _predictions(data / "a"), _predictions(data / "b", length=14)
    more = ["--predictions", str(said), "--compare", str(other), "--out", str(data / "out"), "--json"]
    assert _call(data, *more) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["comparison"]["cases"] == 3
    assert told.err == ""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--split", "dev"], "expected --split"),
        (["--label", "cancer"], "expected --label NAME=LABEL"),
        (["--tolerance", "-1"], "expected --tolerance of at least 0"),
        (["--replicates", "10"], "expected --replicates of at least 100"),
        (["--split", "train"], "examples of the split train"),
        (["--weights", "x"], "--weights or --predictions"),
    ],
)
def test_wrong_calls_are_2(data: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str) -> None:
    said = ["--predictions", str(_predictions(data / "said")), "--out", str(data / "out")]
    assert _call(data, *said, *more) == 2
    assert told in capsys.readouterr().err
    assert not (data / "out" / "evaluation.json").exists()


def test_no_study_that_can_be_compared_is_2_and_json_says_why(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "empty").mkdir()
    assert _call(data, "--predictions", str(data / "empty"), "--out", str(data / "out"), "--json") == 2
    assert "at least one study" in json.loads(capsys.readouterr().out)["error"]["message"]
