"""`denselens score` as a process of its own: streams, a terminal, and runs that are cut short."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from app.cli import main
from tests.app.small_scans import dicom, nifti
from tests.pipelines.liver_scene import OWN_GRID, field_of_view

DENSELENS = str(Path(sys.executable).parent / "denselens")
STUDIES = 16


def _command(source: Path, out: Path, *options: str) -> list[str]:
    return [DENSELENS, "score", str(source), "--task", "liver_ct", "--out", str(out), *options]


@pytest.fixture
def many_scans(tmp_path: Path) -> Path:
    """Studies that take a good part of a second each."""
    grid = field_of_view((2.0, 2.0, 4.0))
    for number in range(STUDIES):
        if number % 2:
            nifti(tmp_path / "in" / f"{number}.nii.gz", grid)
        else:
            dicom(tmp_path / "in" / str(number), str(number), grid)
    return tmp_path / "in"


def _finished(out: Path) -> dict[str, int]:
    """Studies in the journal, and when their results were written."""
    journal = out / "journal.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines()[1:] if journal.is_file() else []
    folders = [json.loads(line)["folder"] for line in lines if line.endswith("}")]
    return {folder: (out / folder / "result.json").stat().st_mtime_ns for folder in folders}


def _wait_for(process: subprocess.Popen[bytes], out: Path, studies: int) -> None:
    deadline = time.monotonic() + 240
    while len(_finished(out)) < studies:
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline, "the run takes too long"
        time.sleep(0.005)


def _nothing_half_written(out: Path) -> None:
    for file in out.rglob("*"):
        if file.name == "result.json":
            document = json.loads(file.read_text(encoding="utf-8"))
            assert all((file.parent / name).is_file() for name in document["outputs"].values())
        elif file.name == "segmentation.nii.gz":
            assert np.asanyarray(nib.load(file).dataobj).ndim == 3


def test_streams_of_a_process(tmp_path: Path) -> None:
    command = _command(nifti(tmp_path / "a.nii.gz"), tmp_path / "out", "--set", OWN_GRID, "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["counts"]["done"] == 1


@pytest.mark.slow
def test_a_run_that_is_killed_then_interrupted_goes_on(
    many_scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with subprocess.Popen(_command(many_scans, out), stdout=subprocess.DEVNULL) as process:
        _wait_for(process, out, 2)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    first = _finished(out)
    assert 2 <= len(first) < STUDIES
    assert not (out / "manifest.json").exists()
    _nothing_half_written(out)

    ours, theirs = pty.openpty()
    with subprocess.Popen(_command(many_scans, out), stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        _wait_for(process, out, len(first) + 2)
        process.send_signal(signal.SIGINT)
        shown = _everything(ours)
        assert process.stderr is not None
        told = process.stderr.read().decode()
    assert process.returncode == 130
    assert f"/{STUDIES}" in shown
    assert "scoring" in shown, "a terminal gets a progress bar"
    assert shown.count("done before") == len(first)
    assert "interrupted" in told
    assert "Traceback" not in told
    second = _finished(out)
    assert len(second) < STUDIES
    assert first.items() <= second.items(), "nothing finished is done twice"
    _nothing_half_written(out)

    assert main(_command(many_scans, out)[1:]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("done before") for line in lines) == len(second)
    assert second.items() <= _finished(out).items()
    counts = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["counts"]
    assert counts == {"studies": STUDIES, "done": STUDIES, "failed": 0, "by_code": {}}
    _nothing_half_written(out)


def _everything(terminal: int) -> str:
    shown = b""
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other end is closed.
            part = b""
        if not part:
            os.close(terminal)
            return shown.decode()
        shown += part
