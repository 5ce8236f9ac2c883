"""Stained slides by formula: areas, parts that fit together, levels that agree, stains and artifacts as told."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from datasets.errors import ConfigError
from datasets.phantoms import Artifact, SlidePhantom, slide_phantom
from datasets.phantoms.slide_noise import Region
from datasets.phantoms.slide_outline import Outline

SMALL = (2400.0, 1800.0)
SPOILT = slide_phantom(4, SMALL, artifacts=("pen", "fold", "blur", "bubble"))
PLAIN = slide_phantom(4, SMALL)


def rim(slide: SlidePhantom) -> tuple[float, float]:
    """A place at the right rim of the first tumour, rounded so that pixels of neighbouring levels share corners."""
    x, y = slide.tumor_regions[0].outline_um(4)[0]
    return float(np.round(x)), float(np.round(y))


def halved(picture: np.ndarray) -> np.ndarray:
    rows, columns = picture.shape[:2]
    return picture.reshape(rows // 2, 2, columns // 2, 2, -1).mean((1, 3))


def around(contains: Callable[..., np.ndarray], x: np.ndarray, y: np.ndarray, reach_um: float) -> np.ndarray:
    """What lies within a distance of something, roughly."""
    found = contains(x, y)
    for angle in np.arange(12) * np.pi / 6:
        found = found | contains(x + reach_um * np.cos(angle), y + reach_um * np.sin(angle))
    return found


def centres(slide: SlidePhantom, step: float) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.arange(0, edge, step) + step / 2 for edge in slide.size_um)
    return x[None, :], y[:, None]


def test_an_outline_without_harmonics_is_an_ellipse() -> None:
    ellipse = Outline((10.0, -5.0), (8.0, 3.0), np.pi / 6, ())
    assert ellipse.area_um2 == pytest.approx(np.pi * 24)
    along = np.array((np.cos(np.pi / 6), np.sin(np.pi / 6)))
    for distance, found in ((7.99, True), (8.01, False)):
        x, y = np.array((10.0, -5.0)) + distance * along
        assert ellipse.contains(np.array([x]), np.array([y])).tolist() == [found]


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_areas_are_what_counting_finds(seed: int) -> None:
    slide = slide_phantom(seed, SMALL)
    x, y = centres(slide, 2.5)
    assert slide.is_tumor(x, y).sum() * 2.5**2 / 1e6 == pytest.approx(slide.tumor_area_mm2, rel=5e-3)
    assert slide.is_tissue(x, y).sum() * 2.5**2 / 1e6 == pytest.approx(slide.tissue_area_mm2, rel=5e-3)
    # Pieces and tumours do not overlap, and there is no tumour on glass: else the sums would be wrong.
    assert not (slide.is_tumor(x, y) & ~slide.is_tissue(x, y)).any()
    for one, other in combinations([*slide.tumor_regions], 2):
        assert not (one.contains(x, y) & other.contains(x, y)).any()


def test_outlines_run_along_their_border() -> None:
    region = slide_phantom(2, SMALL).tumor_regions[0]
    for scale, found in ((0.99, True), (1.01, False)):
        x, y = region.outline_um(500, scale).T
        assert (region.contains(x, y) == found).all()
    # The shoelace formula over the outline is the area by formula.
    x, y = region.outline_um(4000).T
    shoelace = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    assert shoelace == pytest.approx(region.area_um2, rel=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_depth_by_blocks_is_the_depth_near_the_outline(seed: int) -> None:
    slide = slide_phantom(seed, SMALL)
    for outline in (*slide.tissue_regions, *slide.tumor_regions):
        x, y = outline.outline_um(64)[seed]
        for region in (Region(x - 200, y - 300, 400, 333, 1.0), Region(-10.0, 5.0, 300, 220, 8.0)):
            exact, found = outline.depth_um(region), outline.depth_um(region, 30.0)
            np.testing.assert_allclose(found[np.abs(exact) <= 30], exact[np.abs(exact) <= 30], atol=0.05)
            assert (np.sign(found) == np.sign(exact)).all()
            assert (np.abs(found[np.abs(exact) > 30]) > 29.9).all()
            if outline.holds(region, 30.0):
                assert (exact > 30).all()
            if outline.misses(region, 30.0):
                assert (exact < 0).all()


@pytest.mark.parametrize("mpp", [0.25, 0.97, 2.0, 4.0, 8.0])
def test_parts_fit_together(mpp: float) -> None:
    x, y = np.array(rim(SPOILT)) - 60 * mpp
    whole = SPOILT.read(x, y, 120, 100, mpp).astype(int)
    left, right = SPOILT.read(x, y, 50, 100, mpp), SPOILT.read(x + 50 * mpp, y, 70, 100, mpp)
    assert np.abs(np.hstack((left, right)) - whole).max() <= 1
    top, bottom = SPOILT.read(x, y, 120, 37, mpp), SPOILT.read(x, y + 37 * mpp, 120, 63, mpp)
    assert np.abs(np.vstack((top, bottom)) - whole).max() <= 1


@pytest.mark.parametrize(("mpp", "mean", "most"), [(0.25, 2, 8), (0.5, 2.5, 14), (1.0, 3.5, 25), (4.0, 5, 35)])
def test_levels_agree(mpp: float, mean: float, most: float) -> None:
    for seed in (1, 3):
        slide = slide_phantom(seed, SMALL)
        x, y = np.array(rim(slide)) - 64
        fine = halved(slide.read(x, y, 128, 128, mpp).astype(float))
        away = np.abs(fine - slide.read(x, y, 64, 64, 2 * mpp))
        assert away.mean() < mean
        assert np.percentile(away, 99) < most


def test_levels_without_single_nuclei_are_as_dark_on_average() -> None:
    for seed in (1, 3, 5):
        slide = slide_phantom(seed, SMALL)
        x, y = np.array(slide.tumor_regions[0].centre_um) - 200
        fine, coarse = slide.read(x, y, 200, 200, 2.0), slide.read(x, y, 100, 100, 4.0)
        np.testing.assert_allclose(fine.mean((0, 1)), coarse.mean((0, 1)), atol=6)


def test_the_same_seed_gives_the_same_slide() -> None:
    x, y = rim(PLAIN)
    again = slide_phantom(4, SMALL)
    np.testing.assert_array_equal(again.read(x, y, 60, 60, 0.5), PLAIN.read(x, y, 60, 60, 0.5))
    other = slide_phantom(5, SMALL)
    assert other.tumor_area_mm2 != PLAIN.tumor_area_mm2
    assert not np.allclose(other.stain_vectors, PLAIN.stain_vectors)


def test_reads_beyond_the_slide_show_glass() -> None:
    picture = PLAIN.read(-500.0, -500.0, 40, 30, 1.0)
    assert picture.shape == (30, 40, 3)
    assert picture.min() > 225
    assert picture.std() > 0.3  # The camera's noise.
    assert PLAIN.read(0.0, 0.0, 0, 10, 1.0).shape == (10, 0, 3)


def test_tissue_is_where_it_is_told() -> None:
    x, y = centres(PLAIN, 8.0)
    picture = PLAIN.read(0.0, 0.0, x.size, y.size, 8.0).min(axis=2)
    x, y = np.broadcast_arrays(x, y)
    # Fat, lumina and clefts are as bright as glass, and the rim frays.
    assert (picture[~PLAIN.is_tissue(x, y)] < 225).mean() < 0.02
    assert (picture[PLAIN.is_tissue(x, y)] < 225).mean() > 0.75


def macenko(picture: np.ndarray, glass: np.ndarray) -> np.ndarray:
    """Stain vectors by Macenko et al. (ISBI 2009), hematoxylin first."""
    density = -np.log10(np.maximum(picture.reshape(-1, 3), 1) / glass)
    density = density[(density > 0.15).any(axis=1)]
    plane = np.linalg.eigh(np.cov(density.T))[1][:, 1:]
    plane *= np.where(plane.sum(axis=0) < 0, -1, 1)
    turned = density @ plane
    angle = np.arctan2(turned[:, 1], turned[:, 0])
    found = [plane @ (np.cos(a), np.sin(a)) for a in np.percentile(angle, (1, 99))]
    return np.array(sorted((v / np.linalg.norm(v) for v in found), key=lambda v: -v[0]))


@pytest.mark.parametrize("seed", range(4))
def test_macenko_finds_the_stain_vectors(seed: int) -> None:
    slide = slide_phantom(seed, SMALL)
    x, y = np.array(rim(slide)) - 200
    found = macenko(slide.read(x, y, 400, 400, 1.0), slide.stain.glass)
    away = np.degrees(np.arccos(np.clip((found * slide.stain_vectors).sum(axis=1), -1, 1)))
    # Nuclei hold some eosin and tissue some hematoxylin, as in life, so that the vectors come out a little closer.
    assert away.max() < 12
    np.testing.assert_allclose(np.linalg.norm(slide.stain_vectors, axis=1), 1)


def test_stains_absorb_by_beer_and_lambert() -> None:
    stain = PLAIN.stain
    one = np.ones((1, 1), dtype=np.float32)
    for stained, number in (((one, 0 * one), 0), ((0 * one, one), 1)):
        single = np.ravel(stain.transmit(*stained))
        np.testing.assert_allclose(-np.log10(single), stain.vectors[number] * stain.strengths[number], rtol=1e-5)
    mixed = np.ravel(stain.transmit(2 * one, 3 * one))
    np.testing.assert_allclose(
        -np.log10(mixed), (2, 3) @ (stain.vectors * np.array(stain.strengths)[:, None]), rtol=1e-5
    )


def test_asking_for_artifacts_changes_nothing_else() -> None:
    assert SPOILT.tumor_area_mm2 == PLAIN.tumor_area_mm2
    np.testing.assert_array_equal(SPOILT.stain_vectors, PLAIN.stain_vectors)
    assert SPOILT.artifacts == {Artifact.PEN, Artifact.FOLD, Artifact.BLUR, Artifact.BUBBLE}


@pytest.mark.parametrize(
    ("name", "marks"), [("pen", "strokes"), ("fold", "folds"), ("blur", "blurs"), ("bubble", "bubbles")]
)
def test_artifacts_lie_where_they_are_told(name: str, marks: str) -> None:
    slide = slide_phantom(4, SMALL, artifacts=(name,))
    mpp = 6.0
    x, y = centres(slide, mpp)
    spoilt = slide.read(0.0, 0.0, x.size, y.size, mpp).astype(int)
    plain = PLAIN.read(0.0, 0.0, x.size, y.size, mpp).astype(int)
    told = np.zeros(spoilt.shape[:2], dtype=bool)
    near = np.zeros_like(told)
    # What lies within so many um of the artifact may be touched by its soft edge.
    soft = {"pen": 12, "fold": 8, "blur": 130, "bubble": 40}[name]
    for mark in getattr(slide.spoilage, marks):
        told |= mark.contains(x, y)
        near |= around(mark.contains, x, y, soft)
    assert told.any()
    changed = np.abs(spoilt - plain).max(axis=2) > 1
    assert not changed[~told & ~near].any()
    tissue = slide.is_tissue(x, y)
    if name == "pen":
        assert changed[told].mean() > 0.99
        np.testing.assert_array_equal(slide.is_pen(x, y), told)
        assert (told & tissue).any()
        assert (told & ~tissue).any()
    if name == "fold":
        # Twice the tissue lets the square of the light through.
        inner = told & tissue
        squared = plain / slide.stain.glass
        assert np.median(np.abs(spoilt / slide.stain.glass - squared**2)[inner]) < 0.05
        assert not changed[told & ~around(slide.is_tissue, x, y, 30)].any()
    if name == "blur":
        inner = told & tissue
        rough = [np.abs(np.diff(picture.astype(float), axis=1))[inner[:, 1:]].mean() for picture in (spoilt, plain)]
        assert rough[0] < 0.7 * rough[1]


def test_a_blank_slide_is_glass() -> None:
    slide = slide_phantom(4, SMALL, artifacts=("blank",))
    assert slide.tumor_regions == slide.tissue_regions == ()
    assert slide.tumor_area_mm2 == slide.tissue_area_mm2 == 0
    assert slide.read(0.0, 0.0, 300, 225, 8.0).min() > 225
    assert not slide.is_tumor(np.zeros((1, 3)), np.zeros((2, 1))).any()


def test_numbers_of_tumours_are_kept() -> None:
    assert slide_phantom(7, SMALL, tumors=0).tumor_area_mm2 == 0
    assert len(slide_phantom(7, tumors=5).tumor_regions) == 5
    healthy = slide_phantom(4, SMALL, tumors=0)
    assert healthy.tissue_regions == PLAIN.tissue_regions


def test_tumour_nuclei_are_larger_and_more_uneven_than_lymphocytes() -> None:
    for seed in range(5):
        tissue = slide_phantom(seed).tissue
        assert tissue.tumor_cells.radius_um > 1.35 * tissue.lymphocytes.radius_um
        assert tissue.tumor_cells.spread > tissue.lymphocytes.spread


@pytest.mark.parametrize(
    "asked",
    [
        {"size_um": (500.0, 2000.0)},
        {"tumors": -1},
        {"size_um": (600.0, 600.0), "tumors": 60},
        {"artifacts": ("coffee",)},
    ],
)
def test_what_cannot_be_drawn_is_refused(asked: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        slide_phantom(1, **asked)  # type: ignore[arg-type]
