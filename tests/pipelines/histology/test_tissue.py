"""Tissue and ink against shapes by formula."""

import numpy as np
import pytest

from datasets.phantoms import slide_phantom
from datasets.picture_slide import PictureSlide
from datasets.slide import Overview
from pipelines.histology.settings import TissueSettings
from pipelines.histology.tissue import find_tissue
from tests.pipelines.slide_scene import GLASS, SCENE, STROMA, Scene

MPP = 7.76
INKS = {"blue": (30, 70, 170), "green": (20, 130, 80), "red": (205, 35, 45), "black": (38, 36, 40)}


def overview_of(scene: Scene = SCENE, noise: float = 0.0) -> Overview:
    columns, rows = (round(size / MPP) for size in scene.size_um)
    # Four points across each pixel, so that edges are soft.
    fine = scene.render((np.arange(4 * columns) + 0.5) * MPP / 4, (np.arange(4 * rows) + 0.5) * MPP / 4)
    array = fine.reshape(rows, 4, columns, 4, 3).mean(axis=(1, 3))
    array += np.random.default_rng(0).normal(0, noise, array.shape)
    return Overview(np.clip(np.rint(array), 0, 255).astype(np.uint8), MPP, 0)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_the_area_of_tissue_is_the_formulas(noise: float) -> None:
    tissue = find_tissue(overview_of(noise=noise), TissueSettings())
    assert tissue.area_mm2 == pytest.approx(SCENE.tissue.area_mm2, rel=0.02)
    assert tissue.ink_mm2 == 0.0
    assert tissue.light == pytest.approx(np.array(GLASS), abs=4)


@pytest.mark.parametrize("glass", [(243, 243, 241), (255, 255, 255), (225, 228, 215)])
@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_an_empty_slide_has_no_tissue(glass, noise) -> None:
    array = np.full((200, 300, 3), 1.0) * glass + np.random.default_rng(0).normal(0, noise, (200, 300, 3))
    # Shade towards a corner, as lamps give it.
    array *= 1 - 0.03 * np.linspace(0, 1, 300)[None, :, None]
    tissue = find_tissue(Overview(np.clip(array, 0, 255).astype(np.uint8), MPP, 0), TissueSettings())
    assert tissue.area_mm2 == 0.0
    assert tissue.ink_mm2 == 0.0


def test_tissue_that_fills_the_picture_is_all_tissue() -> None:
    array = np.empty((100, 100, 3), dtype=np.uint8)
    array[...] = STROMA
    array[30:60, 30:60] = (122, 74, 154)
    tissue = find_tissue(Overview(array, MPP, 0), TissueSettings())
    assert tissue.mask.all()
    assert tissue.light.tolist() == [240, 240, 240]


@pytest.mark.parametrize("colour", INKS)
def test_pen_marks_are_no_tissue_and_told(colour: str) -> None:
    left, right = 380, 520

    def stroke(x, y):
        return (x > left) & (x < right) & (y > 60) & (y < 1100)

    tissue = find_tissue(overview_of(Scene(**(vars(SCENE) | {"paint": [(stroke, INKS[colour])]}))), TissueSettings())
    x, y = np.meshgrid(*((np.arange(size) + 0.5) * MPP for size in tissue.mask.shape[::-1]))
    assert not tissue.mask[stroke(x, y)].any()
    assert tissue.ink[stroke(x, y)].all()
    # Its rim is taken with it, and not much more.
    true_mm2 = (right - left) * 1040 / 1e6
    assert true_mm2 < tissue.ink_mm2 < true_mm2 + 2 * 1200 * 70 / 1e6
    far = SCENE.tissue.contains(x, y) & ((x < left - 70) | (x > right + 70))
    assert tissue.mask[far].mean() > 0.97


def test_small_spots_are_no_tissue_and_small_holes_are() -> None:
    def holes(x, y):
        return np.hypot(x - 700, y - 400) < 40  # 0.005 mm2

    def opening(x, y):
        return np.hypot(x - 900, y - 800) < 120  # 0.045 mm2

    def dust(x, y):
        return np.hypot(x - 60, y - 60) < 40

    scene = Scene(SCENE.size_um, SCENE.tissue, (), [(holes, GLASS), (opening, GLASS), (dust, STROMA)])
    tissue = find_tissue(overview_of(scene), TissueSettings())
    at = lambda x, y: tissue.mask[int(y / MPP), int(x / MPP)]  # noqa: E731
    assert at(700, 400)
    assert not at(900, 800)
    assert not at(60, 60)


def test_grey_dirt_and_black_dots_are_neither() -> None:
    def dirt(x, y):
        return (x < 150) & (y < 150)

    scene = Scene(SCENE.size_um, SCENE.tissue, (), [(dirt, (150, 150, 150))])
    tissue = find_tissue(overview_of(scene), TissueSettings())
    assert not tissue.mask[:18, :18].any()
    assert tissue.ink_mm2 == 0.0


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_tissue_of_phantoms(seed: int) -> None:
    slide = slide_phantom(seed, (4000.0, 3000.0), artifacts=("pen",))
    columns, rows = (round(size / MPP) for size in slide.size_um)
    tissue = find_tissue(Overview(slide.read(0, 0, columns, rows, MPP), MPP, 0), TissueSettings())
    x, y = np.meshgrid((np.arange(columns) + 0.5) * MPP, (np.arange(rows) + 0.5) * MPP)
    true, pen = slide.is_tissue(x, y), slide.is_pen(x, y)
    # Fat and clefts are tissue by formula, and nothing but glass to the eye.
    assert tissue.mask[~true].mean() < 0.01
    assert tissue.mask[slide.is_tumor(x, y) & ~tissue.ink].mean() > 0.97
    assert tissue.ink[pen].mean() > 0.9
    assert tissue.ink[~pen].sum() < 0.5 * pen.sum() + 50
    blank = slide_phantom(seed, (2000.0, 2000.0), artifacts=("blank",))
    assert find_tissue(Overview(blank.read(0, 0, 258, 258, MPP), MPP, 0), TissueSettings()).area_mm2 == 0.0


def test_shares_of_cells() -> None:
    slide = PictureSlide([np.full((80, 120, 3), STROMA, dtype=np.uint8)], 1.0)
    tissue = find_tissue(slide.overview(10.0), TissueSettings(min_area_mm2=0))
    assert tissue.shares(4, 2, 3).tolist() == [[1, 1, 1], [1, 1, 1]]
    # What lies beyond the slide holds none.
    assert tissue.shares(8, 2, 2).tolist() == [[1, 0.5], [0, 0]]
    assert tissue.pixels_in(8, 2, 2).tolist() == [[64, 32], [0, 0]]
