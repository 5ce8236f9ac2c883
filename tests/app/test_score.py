"""`denselens score`: what it writes, what it says, and how it ends."""

import csv
import errno
import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import torch

from app.cli import main
from pipelines.journal import Journal
from pipelines.model_store import SHIPPED_FOLDER
from pipelines.task import load_task
from tests.app.small_scans import GRID, dicom, files, find_nothing, nifti, result, score
from tests.pipelines.liver_scene import HEALTHY, OWN_GRID

STUDY_FILES = {"result.json", "segmentation.nii.gz", "segmentation.dcm", "report.dcm"}
RUN_FILES = {"manifest.json", "results.csv", "journal.jsonl"}


def _rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _promised_keys(repository: Path, heading: str) -> list[str]:
    """First column of the table under a line of docs/interface.md."""
    text = (repository / "docs" / "interface.md").read_text(encoding="utf-8")
    table = text.partition(f"\n{heading}")[2].lstrip("\n").partition("\n\n")[0]
    return re.findall(r"^\| `([a-z_0-9]+)` \|", table, re.MULTILINE)


def test_dicom_gives_every_promised_file_and_key(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = dicom(tmp_path / "scan"), tmp_path / "out"
    assert score(source, out, "--set", "output.probability=true") == 0
    told = capsys.readouterr()
    document = result(out)
    uid = str(pydicom.dcmread(source / "IM0001.dcm").StudyInstanceUID)
    assert files(out) == RUN_FILES | {f"{uid}/{name}" for name in (*STUDY_FILES, "probability.nii.gz")}
    assert re.fullmatch(
        rf"{re.escape(uid)}: done in [\d.]+ s\n1 of 1 studies scored; results in {re.escape(str(out))}\n"
        r"Research use only, not a medical device\.\n",
        told.out,
    )
    assert told.err == ""
    promised = set(_promised_keys(repository, "`result.json`:\n"))
    assert {"schema", "study", "research_use_only", "error"} <= promised
    # Of a failed study, of several films, of slides.
    assert promised - {"error", "views", "slide"} <= set(document)
    assert "error" not in document
    assert document["study"] == {
        "uid": uid,
        "modality": "CT",
        "source": str(source),
        "series_uid": str(pydicom.dcmread(source / "IM0001.dcm").SeriesInstanceUID),
    }
    assert set(document["seconds"]) == {"load", "preprocess", "network", "postprocess", "write"}
    assert document["grid"]["shape"] == list(GRID.shape)
    np.testing.assert_allclose(document["grid"]["affine"], GRID.affine, atol=1e-6)
    assert set(document["outputs"].values()) == STUDY_FILES - {"result.json"} | {"probability.nii.gz"}
    content = {key: value for key, value in document.items() if key not in {"seconds", "result_digest"}}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    assert document["result_digest"] == hashlib.sha256(canonical).hexdigest()
    probability = nib.load(out / uid / "probability.nii.gz")
    assert probability.shape[:3] == GRID.shape
    assert probability.shape[-1] == 2
    values = np.asanyarray(probability.dataobj)
    assert 0.0 <= values.min() <= values.max() <= 1.0


def test_manifest_and_table_tell_the_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert score(nifti(tmp_path / "scan.nii.gz"), out) == 0
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    weights = SHIPPED_FOLDER / f"{load_task('liver_ct').weights}.safetensors"
    assert manifest["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert manifest["config"]["spacing_mm"] == [None, None, None]
    assert manifest["counts"] == {"studies": 1, "done": 1, "failed": 0, "by_code": {}}
    assert manifest["inputs"] == [str(tmp_path / "scan.nii.gz")]
    assert manifest["started"] <= manifest["finished"]
    assert {"version", "task", "device"} <= set(manifest)
    (row,) = _rows(out)
    document = result(out, "scan")
    assert list(row)[:5] == ["study", "status", "code", "message", "seconds"]
    assert (row["study"], row["status"], row["code"]) == ("scan", "done", "")
    volumes = {q["label"]: q["value"] for q in document["quantities"] if q["name"] in {"volume", "burden"}}
    assert float(row["liver_volume_ml"]) == volumes["liver"]
    assert float(row["liver_tumor_burden_ml"]) == volumes["liver_tumor"]
    # No DICOM went in, so no DICOM comes out.
    assert files(out / "scan") == STUDY_FILES - {"segmentation.dcm", "report.dcm"}


def test_every_way_to_hand_a_scan_in_gives_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, volume = dicom(tmp_path / "in" / "series", "a"), nifti(tmp_path / "in" / "volume.nii.gz")
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(dicom(tmp_path / "other", "b").iterdir()):
            packed.write(file, f"deep/{file.name}")
    listing = tmp_path / "list.txt"
    listing.write_text("# what to score\nin/series\nin/volume.nii.gz  # a comment\npacked.zip\n", encoding="utf-8")
    assert score(listing, tmp_path / "by_list", "--json") == 0
    by_list = json.loads(capsys.readouterr().out)["studies"]
    assert score([folder, volume, archive], tmp_path / "by_name", "--json") == 0
    by_name = json.loads(capsys.readouterr().out)["studies"]
    assert [study["study"] for study in by_list] == [study["study"] for study in by_name]
    assert [study["source"] for study in by_name] == [str(folder), str(volume), str(archive)]
    masks = {result(tmp_path / "by_list", study["folder"])["segmentation_sha256"] for study in by_list}
    assert len(masks) == 1


def test_a_broken_study_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    dicom(source / "gap", "gap")
    (source / "gap" / "IM0008.dcm").unlink()
    dicom(source / "good", "good")
    (source / "text.dcm").write_text("no DICOM", encoding="utf-8")
    nifti(source / "volume.nii.gz")
    assert score(source, out) == 3
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 4 + 2
    assert told[4].startswith("2 of 4 studies scored, 2 failed; ")
    ends = {row["study"]: (row["status"], row["code"]) for row in _rows(out)}
    assert sorted(ends.values()) == [
        ("done", ""),
        ("done", ""),
        ("failed", "missing_slice"),
        ("failed", "unreadable_file"),
    ]
    for study, (status, code) in ends.items():
        line = next(line for line in told if line.startswith(f"{study}: "))
        document = result(out, study)
        if status == "done":
            assert "error" not in document
            assert re.search(r": done in [\d.]+ s$", line)
        else:
            assert f": failed ({code}): expected " in line
            assert set(document["error"]) == {"code", "message", "advice"}
            assert (document["error"]["code"], document["findings"], document["outputs"]) == (code, [], {})
            assert files(out / study) == {"result.json"}


def test_a_second_run_goes_on_and_fresh_starts_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    scans = [nifti(tmp_path / "in" / "a.nii.gz"), nifti(tmp_path / "in" / "b.nii.gz", parts=HEALTHY)]
    assert score(scans[0], out) == 0
    first = (out / "a" / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    assert score(scans, out) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "a: done before"
    assert told[1].startswith("b: done in ")
    assert (out / "a" / "result.json").stat().st_mtime_ns == first
    assert [row["study"] for row in _rows(out)] == ["a", "b"]
    assert score(scans, out, "--fresh") == 0
    assert "done before" not in capsys.readouterr().out
    assert (out / "a" / "result.json").stat().st_mtime_ns > first


def test_a_failed_study_is_tried_again_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = dicom(tmp_path / "scan"), tmp_path / "out"
    shutil.move(source / "IM0005.dcm", tmp_path / "kept")
    assert score(source, out) == 3
    shutil.move(tmp_path / "kept", source / "IM0005.dcm")
    capsys.readouterr()
    assert score(source, out) == 3
    assert ": failed before (missing_slice): " in capsys.readouterr().out
    assert score(source, out, "--retry-failed") == 0
    assert "done in" in capsys.readouterr().out
    assert "error" not in result(out)


def test_weights_of_ones_own(tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    shutil.copy(SHIPPED_FOLDER / f"{load_task('liver_ct').weights}.safetensors", weights)
    assert score(nifti(tmp_path / "scan.nii.gz"), tmp_path / "out", "--weights", str(weights)) == 0
    model = result(tmp_path / "out")["model"]
    assert model["name"] == "mine"
    assert model["weights_sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert model["trained_on"] == "unknown"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(nifti(tmp_path / "scan.nii.gz"), tmp_path / "out", "--device", "cuda") == 2
    told = capsys.readouterr()
    assert (told.out, len(told.err.splitlines())) == ("", 1)
    assert "cuda" in told.err
    assert not (tmp_path / "out").exists()


def test_without_out_results_lie_beside_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nifti(tmp_path / "scan.nii.gz")
    monkeypatch.chdir(tmp_path)
    assert main(["score", "scan.nii.gz", "--task", "liver_ct", "--set", OWN_GRID]) == 0
    (folder,) = (tmp_path / "denselens-out").iterdir()
    assert re.fullmatch(r"liver_ct-\d{8}-\d{6}", folder.name)
    assert files(folder) >= RUN_FILES
    assert f"results in denselens-out/{folder.name}\n" in capsys.readouterr().out


def test_json_is_one_document_and_nothing_else(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    dicom(source / "good", "good")
    (source / "broken.nii").write_bytes(b"no NIfTI")
    (source / "notes").write_bytes(b"neither image nor document")
    assert score(source, out, "--json") == 3
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert told.err.splitlines() == [line for line in told.err.splitlines() if line.startswith("non_image_objects_")]
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert {key: document[key] for key in manifest} == manifest
    assert document["out"] == str(out)
    assert [study["status"] for study in document["studies"]] == ["done", "failed"]
    promised = _promised_keys(repository, "## What `score --json` prints\n")
    assert {"out", "studies"} <= set(promised) <= set(document) | {"error"}


def test_json_tells_an_input_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(tmp_path / "gone", tmp_path / "out", "--json") == 2
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document["error"]["code"] == "unreadable_file"
    assert document["studies"] == []
    assert len(told.err.splitlines()) == 1


def test_an_empty_result_still_has_a_segmentation_with_every_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    find_nothing(monkeypatch)
    assert score(dicom(tmp_path / "scan"), out) == 0
    document = result(out)
    assert "empty_result" in [flag["code"] for flag in document["quality"]]
    folder = out / document["study"]["uid"]
    assert not np.asanyarray(nib.load(folder / "segmentation.nii.gz").dataobj).any()
    segmentation = pydicom.dcmread(folder / "segmentation.dcm")
    assert segmentation.NumberOfFrames == GRID.shape[2] * len(segmentation.SegmentSequence)
    assert not segmentation.pixel_array.any()


def test_names_of_files_may_hold_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (b"caf\xe9", b"two\nlines", b"\x1b[31mred", b"[bold]odd"):
        nifti(tmp_path / "in" / "scan.nii.gz").rename(
            tmp_path / "in" / (name + b".nii.gz").decode("utf-8", "surrogateescape")
        )
    assert score(tmp_path / "in", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) == 4 + 2
    assert "[bold]odd: done" in told
    assert "\x1b" not in told
    assert score(tmp_path / "in", tmp_path / "out", "--json") == 0
    assert [study["resumed"] for study in json.loads(capsys.readouterr().out)["studies"]] == [True] * 4


def test_a_full_disk_is_one_line_and_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Journal, "append", full)
    assert score(nifti(tmp_path / "scan.nii.gz"), tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "No space left on device" in told


def test_an_interruption_tells_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", interrupted)
    assert score(nifti(tmp_path / "scan.nii.gz"), tmp_path / "out") == 130
    assert f"--out {tmp_path / 'out'}" in capsys.readouterr().err
