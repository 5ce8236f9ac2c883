"""`denselens inspect` tells what is there."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow

from app.cli import main
from app.commands.inspect import wanted_by_tasks
from pipelines.task import load_task

AFFINE = np.array([[-0.75, 0, 0, 90], [0, 0.75, 0, -120], [0, 0, 2.5, 33], [0, 0, 0, 1.0]])


def _nifti(path: Path, array: Any = None, affine: Any = AFFINE) -> Path:
    values = np.arange(-60, 0).reshape(5, 4, 3).astype(np.int16) if array is None else array
    nib.save(nib.Nifti1Image(values, affine, dtype=values.dtype), path)
    return path


def _json(capsys: pytest.CaptureFixture[str], path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    code = main(["inspect", str(path), "--json", *options])
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return code, document


def test_a_volume_is_told_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = _json(capsys, _nifti(tmp_path / "scan.nii.gz"))
    assert code == 0
    assert told["counts"] == {"studies": 1, "series": 1, "usable_series": 1}
    assert told["research_use_only"] is True
    study = told["studies"][0]
    assert (study["uid"], study["source"], study["refusal"]) == ("scan", str(tmp_path / "scan.nii.gz"), None)
    series = study["series"][0]
    assert series["grid"]["shape"] == [5, 4, 3]
    assert series["grid"]["spacing_mm"] == [0.75, 0.75, 2.5]
    assert series["grid"]["orientation"] == "LAS"
    assert series["grid"]["affine"] == AFFINE.tolist()
    assert series["images"] == 3
    pixels = series["pixels"]
    assert (pixels["lowest"], pixels["highest"], pixels["type"], pixels["meaning"]) == (-60, -1, "int16", "hounsfield")
    assert {"task": "liver_ct", "series_uid": "scan", "message": None, "refusal": None} in study["chosen"]


def test_people_get_the_same_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _nifti(tmp_path / "scan [bold].nii.gz")
    (tmp_path / "broken.nii").write_bytes(b"no image")
    assert main(["inspect", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for words in (
        "scan [bold]",
        "0.75 x 0.75 x 2.5 mm",
        "LAS",
        "unreadable_file",
        "liver_ct would take",
        "esearch use only",
    ):
        assert words in told


def test_what_only_pixels_show_is_told_unless_they_are_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _nifti(tmp_path / "a.nii", np.full((3, 3, 3), np.nan, np.float32))
    code, told = _json(capsys, path)
    assert (code, told["studies"][0]["series"][0]["refusal"]["code"]) == (2, "not_finite")
    code, told = _json(capsys, path, "--headers-only")
    assert (code, told["pixels_read"], told["studies"][0]["series"][0]["refusal"]) == (0, False, None)
    assert told["studies"][0]["series"][0]["pixels"] is None


def test_repairs_and_unknown_sizes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pillow.fromarray(np.zeros((4, 6, 4), np.uint8)).save(tmp_path / "a.png")
    _, told = _json(capsys, tmp_path / "a.png")
    series = told["studies"][0]["series"][0]
    assert series["grid"] is None
    assert series["pixels"]["shape"] == [6, 4, 1]
    assert [repair["code"] for repair in series["repairs"]] == ["colour_converted"]
    choices = {choice["task"]: choice for choice in told["studies"][0]["chosen"]}
    assert choices["liver_ct"]["refusal"]["code"] == "single_slice"


def _hostile_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../a.nii", b"x")
    return path


def _text(path: Path) -> Path:
    path.write_text("a text file")
    return path


def _cut(path: Path) -> Path:
    path.write_bytes(_nifti(path).read_bytes()[:-7])
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


RGB = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
BAD = {
    "empty folder": ("empty_input", lambda p: _folder(p / "empty")),
    "text named .dcm": ("unreadable_file", lambda p: _text(p / "text.dcm")),
    "truncated NIfTI": ("truncated_file", lambda p: _cut(p / "cut.nii.gz")),
    "4D NIfTI": ("unsupported_dimensions", lambda p: _nifti(p / "four.nii", np.zeros((3, 3, 3, 2), np.int16))),
    "RGB NIfTI": ("unsupported_dimensions", lambda p: _nifti(p / "rgb.nii", RGB)),
    "NIfTI without a place": ("missing_orientation", lambda p: _nifti(p / "nowhere.nii", affine=None)),
    "hostile zip": ("unsafe_archive", lambda p: _hostile_zip(p / "a.zip")),
    "missing path": ("unreadable_file", lambda p: p / "gone"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, make = BAD[name]
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["inspect", str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert told.err.startswith(f"denselens: refused ({code}): expected ")
    assert path.name in told.err
    exit_code, document = _json(capsys, path)
    assert exit_code == 2
    assert document["error"]["code"] == code
    assert document["studies"] == []
    assert sorted(tmp_path.rglob("*")) == before


def test_forbidden_input_is_one_clear_line_and_2(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path_factory.mktemp("allowed")
    for folder in (base, *base.parents[:2]):
        folder.chmod(0o755)
    path = _nifti(base / "closed.nii.gz")
    path.chmod(0)
    root = os.geteuid() == 0
    if root:  # Root may read everything: become nobody for a moment.
        os.seteuid(65534)
    try:
        code = main(["inspect", str(path)])
    finally:
        if root:
            os.seteuid(0)
    assert code == 2
    told = capsys.readouterr().err
    assert "Permission denied" in told
    assert len(told.splitlines()) == 1


def test_nothing_usable_among_several_is_2_and_still_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.nii", "b.nii"):
        (tmp_path / name).write_bytes(b"no image")
    code, told = _json(capsys, tmp_path)
    assert code == 2
    assert [study["refusal"]["code"] for study in told["studies"]] == ["unreadable_file"] * 2


def test_what_tasks_want_is_what_the_tasks_themselves_say() -> None:
    for wanted in wanted_by_tasks():
        task = load_task(wanted.task)
        assert (wanted.modalities, wanted.min_images) == (task.modalities, task.min_images), (
            f"write modalities and min_images into configs/{wanted.task}.yaml"
        )


@pytest.mark.real_data
def test_a_real_dicom_series_is_told_in_full(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = _json(capsys, shared_data / "ct_abdomen" / "dicom_j2k")
    series = told["studies"][0]["series"][0]
    assert (code, series["modality"], series["images"]) == (0, "CT", 20)
    assert series["grid"]["spacing_mm"][2] == pytest.approx(2.0, abs=1e-3)
    assert "spacing_from_positions" in [repair["code"] for repair in series["repairs"]]
    chosen = {one["task"]: one["series_uid"] for one in told["studies"][0]["chosen"]}
    assert chosen["liver_ct"] == series["uid"]
    assert chosen["chest_xray"] is None
