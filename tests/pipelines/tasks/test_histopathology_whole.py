"""Whole slides by the weights that ship: one slide in several files, and a large one with little on it.

Minutes each: `make test-slow`.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from datasets.io.dicom_wsm import write_dicom_wsm
from datasets.io.slide_pyramid import SlideSource
from datasets.io.slide_tiff import PyramidOptions, write_pyramid_tiff
from datasets.phantoms import SlidePhantom, slide_phantom

pytestmark = pytest.mark.slow

# Peak of resident memory of a command, in KiB, on the last line of what it prints.
_MEASURED = """
import resource, sys
from app.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def scored(path: Path, out: Path) -> tuple[dict, int]:
    """What `denselens score` says of a slide, and its peak memory in bytes."""
    arguments = ["score", str(path), "--task", "histopathology", "--out", str(out)]
    done = subprocess.run([sys.executable, "-c", _MEASURED, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [result] = out.glob("*/result.json")
    return json.loads(result.read_text()), 1024 * int(done.stdout.split()[-1])


def area_mm2(result: dict, label: str) -> float:
    [area] = [q["value"] for q in result["quantities"] if (q["name"], q["label"]) == ("area", label)]
    return area


def places(result: dict, folder: Path) -> set[tuple[str, str]]:
    lines = (folder / result["outputs"]["patches"]).read_text().splitlines()
    header = lines[0].split(",")
    x, y = header.index("x_um"), header.index("y_um")
    return {(row[x], row[y]) for row in (line.split(",") for line in lines[1:])}


def test_a_slide_at_20x_at_40x_and_as_dicom_is_one_slide(tmp_path: Path) -> None:
    phantom = slide_phantom(77, (4000.0, 3000.0), tumors=2)
    aperio = PyramidOptions(aperio=True, factor=4)
    files = {
        "20x": write_pyramid_tiff(phantom, tmp_path / "20x.svs", 0.5, aperio),
        "40x": write_pyramid_tiff(phantom, tmp_path / "40x.svs", 0.25, aperio),
        "dicom": tmp_path / "dicom",
    }
    write_dicom_wsm(phantom, files["dicom"], 0.5)
    areas, grids = {}, {}
    for name, path in files.items():
        result, _ = scored(path, tmp_path / f"out-{name}")
        areas[name] = area_mm2(result, "tumor")
        [folder] = [found.parent for found in (tmp_path / f"out-{name}").glob("*/result.json")]
        grids[name] = places(result, folder)
    assert areas["20x"] == pytest.approx(phantom.tumor_area_mm2, rel=0.1)
    for name in ("40x", "dicom"):
        assert areas[name] == pytest.approx(areas["20x"], rel=0.01)
        # Tissue may end one patch earlier or later; places are the same otherwise.
        assert len(grids[name] & grids["20x"]) >= 0.98 * max(len(grids[name]), len(grids["20x"]))


@dataclass(frozen=True)
class OnGlass:
    """A phantom somewhere on a large piece of glass."""

    phantom: SlidePhantom
    at_um: tuple[float, float]
    size_um: tuple[float, float]

    def read(self, x_um: float, y_um: float, columns: int, rows: int, mpp: float) -> np.ndarray:
        left, top = x_um - self.at_um[0], y_um - self.at_um[1]
        width, height = self.phantom.size_um
        if left > width or top > height or left + columns * mpp < 0 or top + rows * mpp < 0:
            return np.full((rows, columns, 3), 255, dtype=np.uint8)
        return self.phantom.read(left, top, columns, rows, mpp)


def test_a_large_slide_with_little_on_it_stays_below_two_gigabytes(tmp_path: Path) -> None:
    phantom = slide_phantom(78, (4000.0, 3000.0), tumors=2)
    source: SlideSource = OnGlass(phantom, (14_000.0, 9_000.0), (25_000.0, 25_000.0))
    options = PyramidOptions(aperio=True, factor=4, sparse=True)
    path = write_pyramid_tiff(source, tmp_path / "large.svs", 0.25, options)
    result, peak = scored(path, tmp_path / "out")
    assert result["slide"]["size_px"] == [100_000, 100_000]
    assert area_mm2(result, "tumor") == pytest.approx(phantom.tumor_area_mm2, rel=0.1)
    assert area_mm2(result, "tissue") == pytest.approx(phantom.tissue_area_mm2, rel=0.1)
    assert peak < 2e9
