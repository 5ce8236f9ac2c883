"""`denselens demo` on one small torso of each kind: the table, the sheet, and the files behind them."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from app.cli import main
from app.commands import demo
from app.demonstrations.liver import SCANS, DemoScan, liver
from datasets.geometry import Grid, grid_from_axes
from datasets.phantoms import ct_phantom, default_grid
from tests.app.small_scans import files, know_everything, open_to_all, unprivileged

SEEDS = (31, 32)


def _upper_right_quarter() -> Grid:
    """The patient's right half around the liver: enough to be scored, small enough to be quick."""
    return grid_from_axes((44, 60, 25), (4.0, 4.0, 6.0), np.diag([1.0, 1.0, 1.0]), (0.0, -130.0, -75.0))


@dataclass(frozen=True)
class Shown:
    """What a demonstration printed and wrote."""

    lines: list[str]
    folder: Path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo")
    scans = (
        DemoScan(SEEDS[0], default_grid((3.0, 3.0, 6.0))),
        DemoScan(SEEDS[1], _upper_right_quarter(), dicom=False),
    )
    stale = folder / "liver_ct" / "phantoms" / f"phantom-{SEEDS[0]}" / "IM0099.dcm"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"a slice of an earlier demonstration")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "DEMONSTRATIONS", (liver(scans),))
        patch.setenv("COLUMNS", "80")
        printed: list[str] = []
        patch.setattr(demo, "Console", lambda: _Recorder(printed))
        assert main(["demo", "--out", str(folder), "--no-browser"]) == 0
    return Shown("".join(printed).splitlines(), folder)


class _Recorder(demo.Console):
    def __init__(self, printed: list[str]) -> None:
        super().__init__(width=80)
        self._printed = printed

    def print(self, *objects: object, **settings: object) -> None:
        with self.capture() as capture:
            super().print(*objects, **settings)  # type: ignore[arg-type]
        self._printed.append(capture.get())


def _row(shown: Shown, seed: int) -> list[str]:
    (line,) = [line for line in shown.lines if re.match(rf"\s*phantom-{seed}\s+\d", line)]
    return line.split()[1:]


def test_the_table_tells_found_beside_truth(shown: Shown) -> None:
    for seed in SEEDS:
        liver_ml, true_ml, error, liver_dice, found, true, tumor_dice = _row(shown, seed)
        truth = ct_phantom(seed).truth
        assert float(true_ml) == pytest.approx(truth.liver_ml, abs=0.06)
        assert int(true) == len(truth.tumors)
        assert float(error.rstrip("%")) == pytest.approx(100 * (float(liver_ml) / truth.liver_ml - 1), abs=0.06)
        assert 0.0 <= float(liver_dice) <= 1.0
        assert tumor_dice == "none" or 0.0 <= float(tumor_dice) <= 1.0
        with (shown.folder / "liver_ct" / "results" / "results.csv").open(encoding="utf-8") as rows:
            name = [row["study"] for row in csv.DictReader(rows)][SEEDS.index(seed)]
        file = shown.folder / "liver_ct" / "results" / name / "result.json"
        quantities = json.loads(file.read_text(encoding="utf-8"))["quantities"]
        values = {(q["label"], q["name"]): q["value"] for q in quantities}
        assert float(liver_ml) == pytest.approx(values["liver", "volume"], abs=0.06)
        assert int(found) == values["liver_tumor", "count"]


def test_the_weights_that_ship_find_the_liver(shown: Shown) -> None:
    # A loose bound, which a mirrored or misplaced map misses by far: the figures proper are in the model's card.
    assert float(_row(shown, SEEDS[0])[3]) > 0.8


def test_the_table_fits_eighty_columns(shown: Shown) -> None:
    title = next(n for n, line in enumerate(shown.lines) if "Found beside truth" in line)
    table = shown.lines[title : title + 8]
    assert max(map(len, table)) <= 80
    assert "…" not in "".join(table)
    assert "not a medical device" in shown.lines[-1]


def test_the_studies_are_stored_like_anybodys(shown: Shown) -> None:
    kept = files(shown.folder / "liver_ct")
    first, second = (f"phantom-{seed}" for seed in SEEDS)
    assert f"phantoms/{second}.nii.gz" in kept
    assert f"phantoms/{first}/IM0001.dcm" in kept
    assert f"phantoms/{first}/IM0099.dcm" not in kept
    assert sum(name.endswith("segmentation.dcm") for name in kept) == 1
    assert sum(name.endswith("segmentation.nii.gz") for name in kept) == 2
    assert sum(name.endswith("manifest.json") for name in kept) == 1


def test_the_sheet_is_there_and_told(shown: Shown) -> None:
    sheet = shown.folder / "liver_ct" / "contact_sheet.png"
    assert f"Overlays: {sheet}" in shown.lines
    picture = np.asarray(Picture.open(sheet).convert("RGB"))
    # White dashes of the truth, and the colour of the liver.
    assert (picture == 255).all(axis=2).sum() > 200
    assert (np.abs(picture.astype(int) - (221, 130, 101)).max(axis=2) < 20).sum() > 200


def test_phantoms_are_not_those_that_weights_were_trained_or_checked_on() -> None:
    seeds = {scan.seed for scan in SCANS}
    assert len(seeds) == len(SCANS) >= 4
    assert any(scan.dicom for scan in SCANS)
    assert not all(scan.dicom for scan in SCANS)


def test_a_folder_that_cannot_be_written_to_is_one_clear_line_and_2(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    know_everything(monkeypatch)
    monkeypatch.setattr(demo, "DEMONSTRATIONS", (liver((DemoScan(1, default_grid((20.0, 20.0, 30.0))),)),))
    base = open_to_all(tmp_path_factory.mktemp("closed"))
    with unprivileged():
        assert main(["demo", "--out", str(base / "out")]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "Permission denied" in told
    assert list(base.iterdir()) == []
