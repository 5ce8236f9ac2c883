"""Areas and densities by hand."""

import numpy as np
import pytest

from datasets.image import Image, Intensity
from pipelines.nuclei_measurements import PixelArea, measure_nuclei

# Two nuclei of 6 and 2 pixels in 5 x 8; the second at the edge.
NUCLEI = np.zeros((5, 8), np.int32)
NUCLEI[1:3, 1:4], NUCLEI[3, 6:8] = 1, 2


def measured(area: PixelArea) -> dict[str, tuple[float | None, str]]:
    return {item.name: (item.value, item.unit) for item in measure_nuclei(NUCLEI, area, "nucleus")}


def test_in_pixels() -> None:
    assert measured(PixelArea(None)) == {
        "count": (2.0, "1"),
        "count_at_edge": (1.0, "1"),
        "area_mean": (4.0, "{pixels}"),
        "area_median": (4.0, "{pixels}"),
        "area_total": (8.0, "{pixels}"),
        "density": (2 / 40e-6, "1/{megapixel}"),
        "covered_fraction": (0.2, "1"),
    }


def test_in_micrometres() -> None:
    # A pixel of half a micrometre is a quarter of a square micrometre; the picture 10 of them, 1e-5 mm2.
    found = measured(PixelArea(0.25))
    assert found["area_mean"] == (1.0, "um2")
    assert found["area_total"] == (2.0, "um2")
    assert found["density"] == (pytest.approx(2 / 1e-5), "1/mm2")
    assert found["covered_fraction"] == (0.2, "1")


def test_none() -> None:
    found = {q.name: q.value for q in measure_nuclei(np.zeros((5, 8), np.int32), PixelArea(None), "nucleus")}
    assert found == {
        "count": 0.0,
        "count_at_edge": 0.0,
        "area_mean": None,
        "area_median": None,
        "area_total": 0.0,
        "density": 0.0,
        "covered_fraction": 0.0,
    }


def test_size_of_a_pixel() -> None:
    array = np.zeros((1, 4, 5, 1), np.uint8)
    assert PixelArea.of(Image(array, Intensity.GREY), None) == PixelArea(None)
    assert PixelArea.of(Image(array, Intensity.GREY), 0.25) == PixelArea(0.0625)
    # 0.5 by 0.25 um, lying obliquely: the area is what matters. What is stated goes before what the file says.
    turn = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.0005, 0.00025, 1.0])
    known = Image(array, Intensity.GREY, affine)
    assert PixelArea.of(known, None).um2 == pytest.approx(0.125)
    assert PixelArea.of(known, 1.0).um2 == 1.0
