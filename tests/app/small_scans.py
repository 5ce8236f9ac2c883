"""Scans of a few thousand voxels whose truth is known, written the ways people hand them in, and how to score them."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from torch import nn

from app.cli import main
from datasets.geometry import Grid
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from pipelines.examination import Compute
from pipelines.model_store import untrained
from pipelines.run import Pipeline
from pipelines.task import Task
from tests.pipelines.liver_scene import OWN_GRID, PATIENT, Constant, Ellipsoid, Oracle, field_of_view, scan

GRID = field_of_view((4.0, 4.0, 5.0))
NOBODY = 65534


def dicom(folder: Path, study: str = "1", grid: Grid = GRID, parts: tuple[Ellipsoid, ...] = PATIENT) -> Path:
    """A DICOM series; returns its folder."""
    write_ct_series(scan(grid, parts), folder, CtSeriesOptions(study=study))
    return folder


def nifti(path: Path, grid: Grid = GRID, parts: tuple[Ellipsoid, ...] = PATIENT) -> Path:
    """The same scan as NIfTI, written by nibabel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.ascontiguousarray(scan(grid, parts).array[0]), grid.affine), path)
    return path


def score(inputs: list[Path] | Path, out: Path, *options: str) -> int:
    """Run `denselens score` on the scan's own grid; returns the exit code."""
    paths = [inputs] if isinstance(inputs, Path) else inputs
    return main(["score", *map(str, paths), "--task", "liver_ct", "--set", OWN_GRID, "--out", str(out), *options])


def result(out: Path, study: str | None = None) -> dict[str, Any]:
    """What stands in the `result.json` of a study, or of the only one."""
    (file,) = out.glob(f"{study or '*'}/result.json")
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return document


def files(out: Path) -> set[str]:
    """Every file below a folder."""
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def know_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a network that cannot err in place of the weights that ship."""
    _use(monkeypatch, Oracle())


def find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a network that says background everywhere in place of the weights that ship."""
    _use(monkeypatch, Constant(0.9, 0.06, 0.04))


def _use(monkeypatch: pytest.MonkeyPatch, network: nn.Module) -> None:
    def load(task: Task, device: str = "auto") -> Pipeline:
        assert device == "auto"
        return Pipeline(task, network, untrained(), Compute("cpu"))

    monkeypatch.setattr(Pipeline, "load", load)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user whom permissions bind, for a moment: root may read and write everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def open_to_all(folder: Path) -> Path:
    """Let every user reach a folder of pytest's."""
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)
    return folder
