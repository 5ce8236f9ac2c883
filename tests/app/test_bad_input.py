"""`denselens score` on what cannot be scored: one clear line, the right exit code, nothing left behind."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file

from app.cli import main
from datasets.errors import ConfigError, DenseLensError, WeightsError
from datasets.study import Study
from networks.build import build
from networks.configs import DenseUNetConfig
from pipelines.model_store import Card, save_weights
from pipelines.results import Result
from pipelines.run import Pipeline
from tests.app.small_scans import GRID, dicom, files, know_everything, nifti, open_to_all, result, score, unprivileged

Make = Callable[[Path], Path]
VOXELS = np.full((6, 5, 4), 40, np.int16)
RGB = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


def _volume(path: Path, array: Any = VOXELS, affine: Any = GRID.affine) -> Path:
    nib.save(nib.Nifti1Image(array, affine, dtype=array.dtype), path)
    return path


def _cut(path: Path, keep: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def _text(path: Path, content: str = "a text file") -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _zip(path: Path, name: str = "../a.nii") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"x")
    return path


def _without(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).unlink()
    return folder


def _film(path: Path) -> Path:
    Pillow.fromarray(np.zeros((20, 30), np.uint8)).save(path)
    return path


# Nothing that could be scored: the input as a whole is refused.
AS_A_WHOLE: dict[str, tuple[str, Make]] = {
    "empty folder": ("empty_input", lambda p: _folder(p / "empty")),
    "folder of documents": ("empty_input", lambda p: _text(_folder(p / "papers") / "a.txt").parent),
    "empty list": ("empty_input", lambda p: _text(p / "list.txt", "# nothing\n")),
    "text named .dcm": ("unreadable_file", lambda p: _text(p / "text.dcm")),
    "truncated NIfTI, compressed": ("truncated_file", lambda p: _cut(nifti(p / "cut.nii.gz"))),
    "truncated NIfTI": ("truncated_file", lambda p: _cut(nifti(p / "cut.nii"))),
    "4D NIfTI": ("unsupported_dimensions", lambda p: _volume(p / "four.nii", np.zeros((3, 3, 3, 2), np.int16))),
    "RGB NIfTI": ("unsupported_dimensions", lambda p: _volume(p / "rgb.nii", RGB)),
    "NIfTI without a place": ("missing_orientation", lambda p: _volume(p / "nowhere.nii", affine=None)),
    "zip that leads outside": ("unsafe_archive", lambda p: _zip(p / "a.zip")),
    "zip that is none": ("truncated_file", lambda p: _text(p / "b.zip", "PK\x03\x04 and no more")),
    "missing path": ("unreadable_file", lambda p: p / "gone"),
}


@pytest.mark.parametrize("name", AS_A_WHOLE)
def test_an_input_refused_as_a_whole_is_one_clear_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, make = AS_A_WHOLE[name]
    path = make(tmp_path)
    before = files(tmp_path)
    assert score(path, tmp_path / "out") == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert told.err.startswith(f"denselens: refused ({code}): expected ")
    assert path.name in told.err
    assert files(tmp_path) == before
    assert not (tmp_path / "out").exists()


# A study that was found and cannot be scored: a run of one failed study.
AS_A_STUDY: dict[str, tuple[str, Make]] = {
    "NaN volume": ("not_finite", lambda p: _volume(p / "nan.nii.gz", np.full((6, 5, 4), np.nan, np.float32))),
    "one slice": ("single_slice", lambda p: _volume(p / "flat.nii", VOXELS[:, :, :1])),
    "missing slice": ("missing_slice", lambda p: _without(dicom(p / "gap"), "IM0008.dcm")),
    "one DICOM slice": ("single_slice", lambda p: dicom(p / "one") / "IM0003.dcm"),
    "truncated DICOM slice": ("truncated_file", lambda p: _cut(dicom(p / "cut") / "IM0004.dcm", 0.8).parent),
    "a film": ("single_slice", lambda p: _film(p / "film.png")),
}


@pytest.mark.parametrize("name", AS_A_STUDY)
def test_a_refused_study_is_one_clear_line_and_3(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, make = AS_A_STUDY[name]
    path, out = make(tmp_path), tmp_path / "out"
    assert score(path, out) == 3
    told = capsys.readouterr()
    assert told.err == ""
    line, *rest = told.out.splitlines()
    assert f": failed ({code}): expected " in line
    assert len(rest) == 2
    assert rest[0].startswith("0 of 1 studies scored, 1 failed; ")
    document = result(out)
    assert (document["error"]["code"], document["findings"], document["outputs"]) == (code, [], {})
    assert document["error"]["advice"]
    study = document["study"]["uid"]
    assert files(out) == {"manifest.json", "results.csv", "journal.jsonl", f"{study}/result.json"}


@pytest.mark.parametrize("kind", ["file", "folder", "file in a list"])
def test_forbidden_input_is_one_clear_line_and_2(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    know_everything(monkeypatch)
    base = open_to_all(tmp_path_factory.mktemp("allowed"))
    path = _folder(base / "closed") if kind == "folder" else nifti(base / "closed.nii.gz")
    given = _text(base / "list.txt", "closed.nii.gz\n") if kind == "file in a list" else path
    path.chmod(0)
    try:
        with unprivileged():
            code = score(given, base / "out")
    finally:
        path.chmod(0o755)
    told = capsys.readouterr().err
    assert (code, len(told.splitlines())) == (2, 1)
    assert told.startswith("denselens: refused (unreadable_file): ")
    assert "Permission denied" in told
    assert not (base / "out").exists()


OTHER = DenseUNetConfig(block_config=(1, 1, 1, 1), growth_rate=8, init_features=8, feature_channels=8, in_channels=3)
CARD = Card(name="other", task="liver_ct", trained_on="nothing", limits="tests", phantom=True)


def _other_network(path: Path) -> Path:
    save_weights(build(OTHER, seed=0), OTHER, CARD, path)
    return path


def _other_tensors(path: Path) -> Path:
    save_file({"somebody.elses": torch.zeros(3)}, path)
    return path


SETTINGS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "unknown task": ("'livr'", lambda p: ["--task", "livr"]),
    "task file that is gone": ("gone.yaml", lambda p: ["--task", str(p / "gone.yaml")]),
    "YAML that is none": ("bad.yaml", lambda p: ["--task", str(_text(p / "bad.yaml", "a: [1,"))]),
    "YAML that is a list": ("list in ", lambda p: ["--task", str(_text(p / "list.yaml", "- a\n- b\n"))]),
    "task of an unknown kind": ("'spleen'", lambda p: ["--task", str(_text(p / "t.yaml", "kind: spleen\n"))]),
    "unknown key": ("window", lambda p: ["--set", "window.hu=3"]),
    "value out of range": ("liver_threshold", lambda p: ["--set", "liver_threshold=2"]),
    "--set without a value": ("'liver_threshold'", lambda p: ["--set", "liver_threshold"]),
    "unknown weights": ("'nobody'", lambda p: ["--weights", "nobody"]),
    "weights that are gone": ("gone.safetensors", lambda p: ["--weights", str(p / "gone.safetensors")]),
    "a pickle": ("w.pt", lambda p: ["--weights", str(_text(p / "w.pt"))]),
    "damaged weights": ("w.safetensors", lambda p: ["--weights", str(_text(p / "w.safetensors"))]),
    "weights of another network": ("growth_rate", lambda p: ["--weights", str(_other_network(p / "o.safetensors"))]),
    "weights of somebody else's": ("somebody.elses", lambda p: ["--weights", str(_other_tensors(p / "o.safetensors"))]),
    "unknown device": ("'tpu'", lambda p: ["--device", "tpu"]),
    "device of another kind": ("meta", lambda p: ["--device", "meta"]),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_wrong_settings_are_one_clear_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    said, make = SETTINGS[name]
    path, options = nifti(tmp_path / "scan.nii.gz"), make(tmp_path)
    task = [] if "--task" in options else ["--task", "liver_ct"]
    before = files(tmp_path)
    assert main(["score", str(path), *task, *options, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert told.err.startswith("denselens: expected ")
    assert said.strip("'") in told.err
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--task", "liver_ct"], "INPUT"), (["x"], "--task"), (["x", "--task"], "--task")]
)
def test_wrong_usage_is_one_clear_line_and_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["score", *arguments]) == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert said in told.err


def _one_line_about(out: Path, told: str) -> None:
    assert len(told.splitlines()) == 1
    assert told.startswith("denselens: expected an output folder ")
    assert str(out) in told


def test_an_output_folder_that_is_a_file_is_one_clear_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = _text(tmp_path / "out")
    for place in (out, out / "below"):
        assert score(nifti(tmp_path / "scan.nii.gz"), place) == 2
        _one_line_about(place, capsys.readouterr().err)
    assert out.read_text(encoding="utf-8") == "a text file"


@pytest.mark.parametrize("place", [".", "below"])
def test_a_forbidden_output_folder_is_one_clear_line_and_2(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    know_everything(monkeypatch)
    base = open_to_all(tmp_path_factory.mktemp("allowed"))
    scan, out = nifti(base / "scan.nii.gz"), _folder(base / "closed") / place
    out.parent.chmod(0o555) if place == "below" else out.chmod(0o555)
    with unprivileged():
        assert score(scan, out) == 2
    _one_line_about(out, capsys.readouterr().err)
    assert files(base) == {"scan.nii.gz"}
    assert list((base / "closed").iterdir()) == []


def test_an_output_folder_of_another_run_is_one_clear_line_and_2_and_stays_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = nifti(tmp_path / "scan.nii.gz"), tmp_path / "out"
    assert score(path, out) == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    capsys.readouterr()
    assert score(path, out, "--set", "tumor_threshold=0.9") == 2
    _one_line_about(out, capsys.readouterr().err)
    assert {name: (out / name).read_bytes() for name in files(out)} == before
    assert score(path, out, "--set", "tumor_threshold=0.9", "--fresh") == 0


@pytest.mark.parametrize(
    ("error", "code"), [(ConfigError("a", "b", "c"), "config_error"), (WeightsError("a", "b", "c"), "weights_error")]
)
def test_settings_that_do_not_fit_one_study_fail_that_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: DenseLensError, code: str
) -> None:
    run = Pipeline.run

    def refuse_one(self: Pipeline, study: Study) -> Result:
        if study.uid == "odd":
            raise error
        return run(self, study)

    monkeypatch.setattr(Pipeline, "run", refuse_one)
    out = tmp_path / "out"
    assert score([nifti(tmp_path / "odd.nii.gz"), nifti(tmp_path / "plain.nii.gz")], out) == 3
    assert result(out, "odd")["error"] == {"code": code, "message": "expected a; got b", "advice": "c"}
    assert "error" not in result(out, "plain")
