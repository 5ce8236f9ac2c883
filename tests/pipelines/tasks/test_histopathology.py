"""Histopathology with networks that cannot err, on ellipses: what comes out is the formula."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from pipelines.examination import Clock, Compute, Instruments
from pipelines.histology.outlines import ring_area
from pipelines.task import load_task
from tests.pipelines.slide_scene import (
    GLASS,
    PLAIN,
    SCENE,
    FormulaSlide,
    Scene,
    codes,
    examine,
    quantity,
    slide_study,
    tumor_in_most_of_the_middle,
    tumor_in_the_middle,
    written,
)

TRUE_MM2 = sum(tumor.area_mm2 for tumor in SCENE.tumors)
FIELD_UM = 32 * 0.97
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def at_20x():
    return examine(slide_study(FormulaSlide(mpp=0.5)), network=tumor_in_most_of_the_middle)


@pytest.fixture(scope="module")
def at_40x():
    return examine(slide_study(FormulaSlide(mpp=0.25, steps=(1, 4, 16))), network=tumor_in_most_of_the_middle)


def test_areas_are_the_formulas(at_20x) -> None:
    assert quantity(at_20x, "tissue", "area") == pytest.approx(SCENE.tissue.area_mm2, rel=0.02)
    assert quantity(at_20x, "tumor", "area") == pytest.approx(TRUE_MM2, rel=0.03)
    assert quantity(at_20x, "tumor", "share") == pytest.approx(TRUE_MM2 / SCENE.tissue.area_mm2, rel=0.04)
    assert quantity(at_20x, "tumor", "count") == 2
    assert at_20x.slide.mpp == (0.5, 0.5)
    assert at_20x.slide.size_px == (3200, 2400)
    assert at_20x.grid is None


def test_hot_spots_lie_where_tumours_are(at_20x) -> None:
    for rank, (finding, tumor) in enumerate(zip(at_20x.findings, SCENE.tumors, strict=True), start=1):
        assert finding.location.component == rank
        assert finding.location.centroid_um == pytest.approx((tumor.x, tumor.y), abs=12.0)
        told = {q.name: q.value for q in finding.quantities}
        assert told["area"] == pytest.approx(tumor.area_mm2, rel=0.06)
        sure = 1 / (1 + np.exp(-4))
        assert told["peak_probability"] == pytest.approx(sure, abs=1e-4)
        assert told["mean_probability"] == pytest.approx(sure, abs=1e-4)
        assert finding.probability == pytest.approx(sure, abs=1e-4)
        assert finding.positive


def test_20x_and_40x_of_a_slide_say_the_same(at_20x, at_40x, tmp_path) -> None:
    for label in ("tissue", "tumor"):
        assert quantity(at_40x, label, "area") == pytest.approx(quantity(at_20x, label, "area"), rel=0.01)
    tables = []
    for name, said in (("20x", at_20x), ("40x", at_40x)):
        (tmp_path / name).mkdir()
        files = written(said, tmp_path / name)
        with files["patches"].open(newline="") as file:
            tables.append({(row["x_um"], row["y_um"]): row["probability"] for row in csv.DictReader(file)})
    both = set(tables[0]) & set(tables[1])
    assert len(both) >= 0.98 * max(map(len, tables))
    assert np.mean([tables[0][place] == tables[1][place] for place in both]) > 0.99


def test_outlines_are_in_pixels_of_the_finest_level(at_20x, at_40x, tmp_path) -> None:
    centres = []
    for said, mpp in ((at_20x, 0.5), (at_40x, 0.25)):
        document = json.loads(written(said, tmp_path)["regions"].read_text())
        tumors = [f for f in document["features"] if f["properties"]["classification"]["name"] == "Tumor"]
        assert [f["properties"]["name"] for f in tumors] == ["Tumor 1", "Tumor 2"]
        for feature, finding in zip(tumors, said.findings, strict=True):
            shape = feature["geometry"]
            parts = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
            area_px = sum(ring_area(np.array(ring)) for part in parts for ring in part)
            told = {q.name: q.value for q in finding.quantities}
            assert area_px * mpp**2 / 1e6 == pytest.approx(told["area"], rel=1e-4)
            assert feature["properties"]["measurements"]["Area mm^2"] == pytest.approx(told["area"], abs=1e-4)
        [tissue] = [f for f in document["features"] if f["properties"]["name"] == "Tissue"]
        outline = np.array(tissue["geometry"]["coordinates"][0]) * mpp
        box = (SCENE.tissue.x - SCENE.tissue.a, SCENE.tissue.x + SCENE.tissue.a)
        assert (outline[:, 0].min(), outline[:, 0].max()) == pytest.approx(box, abs=12.0)
        centres.append(np.array(tumors[0]["geometry"]["coordinates"][0]).reshape(-1, 2).mean(axis=0) * mpp)
    np.testing.assert_allclose(centres[0], centres[1], atol=8.0)


def test_a_map_that_is_not_refined_is_wider_by_half_a_label() -> None:
    """A label is about any tumour in a square: what is positive is the tumour widened by that square."""
    said = examine(slide_study(FormulaSlide()))
    # Steiner's formula for an ellipse and a square: A + w * (width + height) + w^2, of which cells see what is tissue.
    widened = sum(t.area_mm2 + (FIELD_UM * 2 * (t.a + t.b) + FIELD_UM**2) / 1e6 for t in SCENE.tumors)
    assert quantity(said, "tumor", "area") == pytest.approx(widened, rel=0.03)


def test_looking_closely_where_a_first_look_showed_something_misses_nothing(at_20x) -> None:
    every = examine(slide_study(FormulaSlide()), "look_first_px=null", network=tumor_in_most_of_the_middle)
    assert quantity(every, "tumor", "area") == quantity(at_20x, "tumor", "area")
    assert quantity(at_20x, "patch", "count") < 0.6 * quantity(every, "patch", "count")
    # Every cell with tissue in it, and a patch for each.
    assert quantity(every, "patch", "count") == pytest.approx(SCENE.tissue.area_mm2 / FIELD_UM**2 * 1e6, rel=0.06)


@pytest.mark.parametrize("stride_px", [48, 96])
def test_larger_cells_find_the_same_tumours(stride_px: int) -> None:
    said = examine(
        slide_study(FormulaSlide()),
        f"stride_px={stride_px}",
        "look_first_px=null",
        network=tumor_in_most_of_the_middle,
    )
    assert quantity(said, "tumor", "area") == pytest.approx(TRUE_MM2, rel=0.15)
    assert quantity(said, "tumor", "count") == 2


def test_a_slide_without_tumour_says_where_it_is_most_probable() -> None:
    said = examine(slide_study(FormulaSlide(replace(SCENE, tumors=()))))
    [finding] = said.findings
    assert not finding.positive
    assert finding.probability == pytest.approx(1 / (1 + np.exp(4)), abs=1e-4)
    assert finding.location is not None
    assert quantity(said, "tumor", "area") == 0.0


def test_the_refiner_has_the_last_word() -> None:
    def shrinking(x: torch.Tensor) -> torch.Tensor:
        assert x.shape[:2] == (1, 2)
        assert set(x[0, 1].unique().tolist()) == {0.0, 1.0}
        assert x[0, 0][x[0, 1] == 0].abs().sum() == 0
        # Positive where all four neighbours are.
        positive = (x[:, :1] > 0.5).float()
        return 6.0 * (-torch.nn.functional.max_pool2d(-positive, (3, 3), 1, 1)) - 3.0

    plain = examine(slide_study(FormulaSlide()))
    task = load_task("histopathology", [item for item in PLAIN if not item.startswith("refiner")])
    assert set(task.assistants()) == {"refiner"}
    overrides = ["weights=null", "stain.method=none", "hot_spots.min_area_mm2=0", PLAIN[-1]]
    said = examine_refined(overrides, shrinking)
    assert quantity(said, "tumor", "area") < 0.9 * quantity(plain, "tumor", "area")
    finding = said.findings[0]
    assert finding.probability == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)
    assert finding.raw_probability == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-4)
    assert not finding.calibrated


def examine_refined(overrides, refiner):
    task = load_task("histopathology", overrides)
    instruments = Instruments(tumor_in_the_middle, Compute(), assistants={"refiner": refiner})
    return task.examine(task.choose(slide_study(FormulaSlide())), instruments, Clock())


def test_probabilities_are_told_calibrated() -> None:
    said = examine(slide_study(FormulaSlide()), "calibration=[0.5, -1.0]", "threshold=0.7")
    finding = said.findings[0]
    # The network's log odds are 4.
    assert finding.probability == pytest.approx(1 / (1 + np.exp(-1.0)), abs=1e-4)
    assert finding.raw_probability == pytest.approx(1 / (1 + np.exp(-4.0)), abs=1e-4)
    assert (finding.calibrated, finding.threshold, finding.positive) == (True, 0.7, True)


def test_pen_marks_are_told_and_little_tissue() -> None:
    def stroke(x, y):
        return (x > 300) & (x < 420)

    said = examine(slide_study(FormulaSlide(replace(SCENE, paint=((stroke, (20, 130, 80)),)))))
    assert "pen_marks" in codes(said)
    small = Scene((900.0, 700.0), replace(SCENE.tissue, x=450, y=350, a=300, b=250), ())
    assert codes(examine(slide_study(FormulaSlide(small)))) == {"little_tissue"}


def test_what_cannot_be_read_is_left_out_and_told(at_20x) -> None:
    broken = {(0, row, column) for row in (3, 4) for column in (3, 4)}
    said = examine(slide_study(FormulaSlide(broken=broken)), network=tumor_in_most_of_the_middle)
    [told] = [flag for flag in said.flags if flag.code == "unreadable_tiles"]
    assert "patches" in told.message
    assert told.severity in {"warning", "error"}
    assert quantity(said, "tumor", "area") < 0.8 * quantity(at_20x, "tumor", "area")
    assert quantity(said, "tissue", "area") == quantity(at_20x, "tissue", "area")
    with pytest.raises(InputRefused) as refused:
        examine(slide_study(FormulaSlide(broken={0, 1})))
    assert refused.value.code is RefusalCode.UNREADABLE_TILE


def test_an_overview_that_cannot_be_read_is_no_slide_without_tissue() -> None:
    with pytest.raises(InputRefused) as refused:
        examine(slide_study(FormulaSlide(broken={0, 1, 2})))
    assert refused.value.code is RefusalCode.UNREADABLE_TILE


def test_regions_that_are_too_small_are_told(at_20x) -> None:
    said = examine(slide_study(FormulaSlide()), "hot_spots.min_area_mm2=0.06", network=tumor_in_most_of_the_middle)
    assert quantity(said, "tumor", "count") == 1
    assert "fragments_dropped" in codes(said)
    one = examine(slide_study(FormulaSlide()), "hot_spots.count=1", network=tumor_in_most_of_the_middle)
    assert len(one.findings) == 1
    assert quantity(one, "tumor", "area") == quantity(at_20x, "tumor", "area")


def test_stains_are_told(tmp_path) -> None:
    plain = examine(slide_study(FormulaSlide()))
    assert json.loads(written(plain, tmp_path)["stain"].read_text())["method"] == "none"
    # Two colours without a stain in common are not taken for hematoxylin and eosin, or are, and say so.
    said = examine(slide_study(FormulaSlide()), "stain.method=macenko")
    told = json.loads(written(said, tmp_path)["stain"].read_text())
    assert (told["estimated"] is None) == ("stain_not_normalised" in codes(said))
    assert told["glass"] == pytest.approx(list(GLASS), abs=1)
