"""Phantom films agree with their formulas: boxes, masks, ratios, and what a finding changes."""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import uniform_filter

from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from datasets.labels import CHEST_XRAY_14
from datasets.phantoms import VIEWS, FilmPhantom, film_phantom
from networks.checkpoints import published

SEEDS = (2, 40)
# What changes the shape of the chest itself changes more than what it is seen in.
RESHAPING = ("atelectasis", "emphysema")
FIELD = 256


@cache
def film(seed: int, *findings: str) -> FilmPhantom:
    return film_phantom(seed, findings, "AP" if seed == 40 else "PA")


@cache
def grey(phantom: FilmPhantom, size_px: int = FIELD, bits: int = 16) -> np.ndarray:
    """Without noise, (rows, columns)."""
    return phantom.image(size_px, bits=bits, noise=False).slices()[0].astype(np.float64)


def mask(phantom: FilmPhantom, name: str, size_px: int = FIELD) -> np.ndarray:
    return phantom.mask(name, size_px).slices()[0] > 0


def points(phantom: FilmPhantom, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points all over a film in patient mm."""
    rng = np.random.default_rng(1)
    (width, height), (dx, dy) = phantom.field_mm, phantom.centre_mm
    return rng.uniform(-dx, width - dx, count), rng.uniform(-dy, height - dy, count)


def test_findings_are_those_of_the_networks_in_order() -> None:
    assert published.CHEST_XRAY_14 == CHEST_XRAY_14


@pytest.mark.parametrize("name", CHEST_XRAY_14)
def test_boxes_are_tight_around_what_was_planted(name: str) -> None:
    for seed in SEEDS:
        phantom = film(seed, name)
        (dx, dy), (width, height) = phantom.centre_mm, phantom.field_mm
        (finding,) = phantom.findings
        assert len(phantom.boxes(name)) == len(finding.regions) > 0
        for region, box in zip(finding.regions, phantom.boxes(name), strict=True):
            left, top, right, bottom = box
            x, y = points(phantom, 150_000)
            inside = region.depth(x, y) >= 0
            assert inside.any()
            # Points inside are in the box, to the quarter of a millimetre that boxes are as fine as.
            assert left - 0.26 <= x[inside].min() + dx
            assert x[inside].max() + dx <= right + 0.26
            assert top - 0.26 <= y[inside].min() + dy
            assert y[inside].max() + dy <= bottom + 0.26
            # Lines of points just within each edge meet the region, or the film's own edge.
            along_x, along_y = np.linspace(left, right, 4000) - dx, np.linspace(top, bottom, 4000) - dy
            for at, edge in ((left + 0.3, 0.0), (right - 0.3, width)):
                assert abs(at - edge) < 1 or (region.depth(np.full(4000, at - dx), along_y) >= 0).any(), (seed, at)
            for at, edge in ((top + 0.3, 0.0), (bottom - 0.3, height)):
                assert abs(at - edge) < 1 or (region.depth(along_x, np.full(4000, at - dy)) >= 0).any(), (seed, at)


@pytest.mark.parametrize("name", CHEST_XRAY_14)
def test_masks_lie_in_their_boxes_to_a_pixel(name: str) -> None:
    phantom = film(SEEDS[0], name)
    step = phantom.mask(name, 700).grid.spacing_mm[0]
    rows, columns = np.nonzero(mask(phantom, name, 700))
    left, top, right, bottom = np.array(phantom.boxes(name)).T / step
    found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    np.testing.assert_allclose(found, (left.min(), top.min(), right.max(), bottom.max()), atol=1.3)


@pytest.mark.parametrize("name", CHEST_XRAY_14)
def test_a_finding_shows_where_it_is_and_nowhere_else(name: str) -> None:
    for seed in SEEDS:
        phantom, step = film(seed, name), film(seed).image(FIELD).grid.spacing_mm[0]
        change = np.abs(grey(phantom) - grey(film(seed))) / 65535
        near = np.zeros(change.shape, np.bool_)
        for left, top, right, bottom in phantom.boxes(name):
            room = 2.5 * step + 2.0
            columns = slice(max(int((left - room) / step), 0), int((right + room) / step) + 1)
            near[max(int((top - room) / step), 0) : int((bottom + room) / step) + 1, columns] = True
        assert change[mask(phantom, name)].mean() > 0.008, seed
        if name not in RESHAPING:
            # Effusions run down behind the dome, where a tail of the lung is left.
            assert change[~near].max(initial=0) < 0.05, seed
            assert change[~near].mean() < 1e-3, seed
            assert change[near].mean() > 5 * change[~near].mean(), seed


@pytest.mark.parametrize("seed", range(0, 200, 7))
def test_the_heart_is_wide_only_with_cardiomegaly(seed: int) -> None:
    assert film(seed).cardiothoracic_ratio < 0.47
    assert film(seed, "cardiomegaly").cardiothoracic_ratio > 0.54
    assert film(seed, "cardiomegaly", "emphysema").cardiothoracic_ratio > 0.5
    assert film(seed, "emphysema").cardiothoracic_ratio < 0.47


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ratio_is_that_of_the_masks(seed: int) -> None:
    phantom = film(seed, "cardiomegaly", "emphysema")
    heart = mask(phantom, "cardiomegaly", 900).any(axis=0)
    lungs = mask(phantom, "emphysema", 900).any(axis=0)
    width = np.ptp(np.flatnonzero(lungs)) + 1
    ratio = (np.ptp(np.flatnonzero(heart)) + 1) / width
    assert ratio == pytest.approx(phantom.cardiothoracic_ratio, abs=3 / width + 0.005)
    # The heart reaches farther to the patient's left, which is the image's right.
    middle = phantom.centre_mm[0] / phantom.mask("cardiomegaly", 900).grid.spacing_mm[0]
    assert np.flatnonzero(heart).mean() > middle + 10


def test_nodules_are_small_masses_large_and_both_in_a_lung() -> None:
    for seed in range(12):
        for name, least, most in (("nodule", 10.0, 30.0), ("mass", 30.0, 70.0)):
            phantom = film(seed, name)
            for left, top, right, bottom in phantom.boxes(name):
                assert least <= max(right - left, bottom - top) <= most
                x, y = (left + right) / 2 - phantom.centre_mm[0], (top + bottom) / 2 - phantom.centre_mm[1]
                depth = max(float(lung.depth(np.array([x]), np.array([y]))[0]) for lung in phantom.thorax.lungs)
                assert depth > 0.4 * (right - left)


@pytest.mark.parametrize("seed", SEEDS)
def test_signs_are_brighter_or_darker_as_they_should_be(seed: int) -> None:
    healthy = grey(film(seed))
    for name in ("effusion", "consolidation", "pneumonia", "mass", "nodule", "pleural_thickening", "edema"):
        assert (grey(film(seed, name)) - healthy)[mask(film(seed, name), name)].mean() > 0, name
    for name in ("pneumothorax", "emphysema"):
        assert (grey(film(seed, name)) - healthy)[mask(film(seed, name), name)].mean() < 0, name


@pytest.mark.parametrize("seed", SEEDS)
def test_fluid_hides_the_angle_between_dome_and_wall(seed: int) -> None:
    phantom = film(seed, "effusion")
    (region,) = phantom.findings[0].regions
    x, y = region.lung.angle_mm
    box = region.box
    assert box[3] == pytest.approx(y, abs=0.5)
    assert box[0] <= x <= box[2]
    # The angle is where both outlines are: by the dome's formula and by the wall's.
    assert float(region.lung.dome(np.array(x))) == pytest.approx(y, abs=1e-6)
    assert float(region.lung.lateral(np.array(y))) == pytest.approx(abs(x), abs=1e-6)


def test_no_vessels_beyond_the_pleura() -> None:
    for seed in SEEDS:
        phantom, bare = film(seed, "pneumothorax"), film(seed)
        air = uniform_filter(mask(phantom, "pneumothorax").astype(float), 9) > 0.999
        assert air.any()
        # Less is in the way than ever was: pixel by pixel, not in the mean only.
        assert (grey(phantom)[air] <= grey(bare)[air] + 1).all()


def test_films_are_the_same_picture_at_every_size() -> None:
    for seed, findings in ((2, ("effusion", "mass")), (11, ("pneumothorax", "fibrosis")), (7, ())):
        phantom = film(seed, *findings)
        coarse, fine = grey(phantom, 200, 8), grey(phantom, 800, 8)
        rows, columns = (min(side, 4 * n // 4 * 4) for side, n in zip(fine.shape, coarse.shape, strict=True))
        rows, columns = rows // 4, columns // 4
        averaged = fine[: 4 * rows, : 4 * columns].reshape(rows, 4, columns, 4).mean(axis=(1, 3))
        off = np.abs(coarse[:rows, :columns] - averaged)
        if abs(fine.shape[0] - 4 * coarse.shape[0]) <= 1 and abs(fine.shape[1] - 4 * coarse.shape[1]) <= 1:
            assert off.mean() < 1.0
            assert np.percentile(off, 99) < 8


def test_bits_are_steps_of_the_same_grey() -> None:
    eight, twelve = grey(film(3), 128, 8), grey(film(3), 128, 12)
    np.testing.assert_allclose(eight / 255, twelve / 4095, atol=0.6 / 255)
    assert film(3).image(64, bits=12).shown == (0.0, 4095.0)
    assert film(3).image(64).shown is None
    assert film(3).image(64, bits=16).array.dtype == np.uint16


def test_the_same_seed_gives_the_same_film() -> None:
    for view in VIEWS:
        first, again = (film_phantom(5, view=view).image(96) for _ in range(2))
        assert np.array_equal(first.array, again.array)
        assert not np.array_equal(first.array, film_phantom(6, view=view).image(96).array)
    assert np.array_equal(film_phantom(5, ("mass",)).image(96).array, film_phantom(5, ["mass"]).image(96).array)


def test_labels_and_boxes_are_of_the_same_findings() -> None:
    counts = dict.fromkeys(CHEST_XRAY_14, 0)
    healthy = 0
    for seed in range(70):
        phantom = film_phantom(seed)
        assert {name for name in CHEST_XRAY_14 if phantom.boxes(name)} == phantom.labels
        assert {finding.name for finding in phantom.findings} == phantom.labels
        healthy += not phantom.labels
        for name in phantom.labels:
            counts[name] += 1
            left, top, right, bottom = np.array(phantom.boxes(name)).T
            assert (left < right).all()
            assert (top < bottom).all()
    assert min(counts.values()) >= 2
    assert 5 <= healthy <= 28


def test_all_findings_can_be_asked_for_at_once() -> None:
    phantom = film_phantom(1, CHEST_XRAY_14)
    assert phantom.labels == set(CHEST_XRAY_14)
    assert all(phantom.boxes(name) for name in CHEST_XRAY_14)
    (air,), (fluid,) = phantom.boxes("pneumothorax"), phantom.boxes("effusion")
    assert min(air[2], fluid[2]) < max(air[0], fluid[0])  # On different sides.


@pytest.mark.parametrize("view", VIEWS)
def test_films_have_a_spacing_and_no_place(view: str) -> None:
    phantom = film_phantom(4, view=view)
    image = phantom.image(300)
    assert image.intensity is Intensity.GREY
    assert max(image.shape[:2]) == 300
    assert image.shape[2] == 1
    step = image.grid.spacing_mm
    assert step[0] == step[1] == pytest.approx(max(phantom.field_mm) / 300)
    assert np.array_equal(image.affine, np.diag([*step[:2], 1, 1]))
    np.testing.assert_allclose(np.array(image.shape[:2]) * step[0], phantom.field_mm, atol=0.5 * step[0] + 1e-9)
    assert image.array.transpose(0, 3, 2, 1).flags.c_contiguous


def test_noise_is_what_the_film_says() -> None:
    phantom = film(3)
    noisy, plain = (
        phantom.image(256, bits=16, noise=noise).slices()[0].astype(float) / 65535 for noise in (True, False)
    )
    dark, bright = phantom.exposure.grey
    inside = (plain > 0.3) & (plain < 0.8)
    step = max(phantom.field_mm) / 256
    share = (plain - dark) / (bright - dark)
    expected = phantom.exposure.noise / step * (bright - dark) * np.sqrt(np.clip(share, 0, 1))
    assert ((noisy - plain)[inside] / expected[inside]).std() == pytest.approx(1.0, abs=0.05)


def test_a_film_from_the_side_has_no_findings() -> None:
    side = film_phantom(4, view="LL")
    assert side.labels == frozenset()
    assert side.boxes("effusion") == ()
    assert not side.mask("effusion", 64).array.any()
    with pytest.raises(ConfigError, match="from the side"):
        film_phantom(4, ("effusion",), "LL")
    with pytest.raises(ConfigError, match="from the front"):
        _ = side.cardiothoracic_ratio


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda: film_phantom(0, ("measles",)), "measles"),
        (lambda: film_phantom(0, (), "RL"), "RL"),
        (lambda: film_phantom(0).boxes("measles"), "measles"),
        (lambda: film_phantom(0).image(8), "16 pixels"),
        (lambda: film_phantom(0).image(64, bits=17), "bits"),
    ],
)
def test_what_there_is_not_is_refused(ask: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        ask()


def test_masks_are_labels_on_the_films_grid() -> None:
    phantom = film(2, "effusion")
    found: Image = phantom.mask("effusion", 200)
    assert found.intensity is Intensity.LABEL
    assert found.array.dtype == np.uint8
    assert found.shape == phantom.image(200).shape
    assert np.array_equal(found.affine, phantom.image(200).affine)
