"""Areas, places and files of a map, by hand and as foreign readers see them."""

import numpy as np
import openslide
import pytest
import tifffile

from pipelines.histology.heat_map import HeatMap
from pipelines.histology.hot_spots import region_findings, slide_quantities
from pipelines.histology.outlines import ring_area
from pipelines.histology.patch_grid import PatchGrid
from pipelines.histology.patch_table import slide_table
from pipelines.histology.tissue import Tissue

NAN = np.nan
# Two regions, one of them held together by a corner; nothing is known of the last row.
PROBABILITY = np.array(
    [
        [0.9, 0.2, 0.1, 0.0, 0.6],
        [0.2, 0.8, 0.1, 0.1, 0.7],
        [0.1, 0.1, 0.1, 0.1, 0.5],
        [NAN, NAN, NAN, NAN, NAN],
    ],
    dtype=np.float32,
)


def heat_map(probability=PROBABILITY, threshold: float = 0.5, cell_px: int = 4) -> HeatMap:
    rows, columns = probability.shape
    tissue = np.zeros((rows * cell_px - 1, columns * cell_px), dtype=bool)
    tissue[: 3 * cell_px] = True
    tissue[0, 0] = False
    mpp = 100.0 / cell_px
    grid = PatchGrid(rows, columns, 100, 100, 1.0)
    found = Tissue(tissue, np.zeros_like(tissue), mpp, np.full(3, 240.0), 0.07)
    return HeatMap(grid, probability, probability / 2, found, cell_px, threshold)


def test_regions_are_ranked_by_the_tumour_to_be_expected() -> None:
    first, second = heat_map().regions(0.0)
    # Three cells of 0.01 mm2; two cells, of one of which a sixteenth is no tissue.
    assert (first.area_mm2, second.area_mm2) == (pytest.approx(0.03), pytest.approx(0.02 - 0.01 / 16))
    assert (first.peak, first.mean) == (pytest.approx(0.7), pytest.approx(0.6))
    assert second.mean == pytest.approx((0.9 * 15 + 0.8 * 16) / 31)
    assert first.raw_peak == pytest.approx(0.35)
    assert first.centroid_um == pytest.approx((450.0, 150.0))
    assert second.centroid_um == pytest.approx(((50 * 15 + 150 * 16) / 31,) * 2)
    assert [len(region.cells) for region in heat_map().regions(0.025)] == [3]


def test_outlines_have_the_areas_that_are_told() -> None:
    for region in heat_map().regions(0.0):
        polygons = heat_map().outline(region)
        assert sum(part.area for part in polygons) / 1e6 == pytest.approx(region.area_mm2)
    corner = polygons[0].exterior
    assert ring_area(corner) == pytest.approx(100**2 * 15 / 16)


def test_findings_and_quantities() -> None:
    said = heat_map()
    regions = said.regions(0.0)
    findings = region_findings(said, regions, calibrated=True)
    assert [(f.probability, f.raw_probability, f.positive, f.calibrated) for f in findings] == [
        (0.7, 0.35, True, True),
        (0.9, 0.45, True, True),
    ]
    assert [f.location.component for f in findings] == [1, 2]
    told = {(q.label, q.name): q.value for q in slide_quantities(said, regions, 15)}
    tissue = (3 * 5 * 16 - 1) / 16 * 0.01
    assert told["tissue", "area"] == pytest.approx(tissue)
    assert told["tumor", "area"] == pytest.approx(0.05 - 0.01 / 16)
    assert told["tumor", "share"] == pytest.approx((0.05 - 0.01 / 16) / tissue)
    assert (told["tumor", "count"], told["patch", "count"]) == (2, 15)


def test_without_a_region_the_highest_is_told() -> None:
    said = heat_map(threshold=0.95)
    assert said.regions(0.0) == ()
    [finding] = region_findings(said, (), calibrated=False)
    assert (finding.probability, finding.positive, finding.threshold) == (0.9, False, 0.95)
    assert finding.location.centroid_um == (50.0, 50.0)
    # Regions were there, and too small: what is told is below the threshold all the same.
    [finding] = region_findings(heat_map(threshold=0.75), (), calibrated=False)
    assert (finding.probability, finding.positive) == (0.7, False)
    assert finding.location.centroid_um == (450.0, 150.0)


@pytest.mark.parametrize("times", [1, 300])
def test_the_file_tells_how_large_a_cell_is(tmp_path, times: int) -> None:
    said = heat_map(np.tile(PROBABILITY, (times, times)))
    said.write(tmp_path / "heatmap.tif")
    with tifffile.TiffFile(tmp_path / "heatmap.tif") as file:
        series = file.series[0]
        expected = np.where(np.isnan(said.probability), 0, np.rint(1 + 254 * np.nan_to_num(said.probability)))
        np.testing.assert_array_equal(series.levels[0].asarray(), expected)
        assert len(series.levels) == (1 if times == 1 else 3)
        # No level holds a value that is on no finer one.
        assert set(np.unique(series.levels[-1].asarray())) <= set(np.unique(expected))
    with openslide.OpenSlide(tmp_path / "heatmap.tif") as slide:
        assert slide.dimensions == said.probability.shape[::-1]
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(100.0)
        assert slide.read_region((0, 0), 0, (1, 1)).getpixel((0, 0))[0] == round(1 + 254 * 0.9)


def test_the_table_of_patches(tmp_path) -> None:
    looked = np.zeros(PROBABILITY.shape, dtype=bool)
    looked[0, 0] = looked[1, 4] = True
    slide_table(heat_map(), looked).write(tmp_path / "patches.csv")
    assert (tmp_path / "patches.csv").read_text().splitlines() == [
        "x_um,y_um,tissue_share,raw_probability,probability",
        "50.00,50.00,0.9375,0.4500,0.9000",
        "450.00,150.00,1.0000,0.3500,0.7000",
    ]
