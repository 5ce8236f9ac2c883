"""Stains against phantoms whose vectors are known, mixtures made by formula, and MONAI's transforms."""

import numpy as np
import pytest
from monai.apps.pathology.transforms.stain.array import ExtractHEStains, NormalizeHEStains

from datasets.phantoms import slide_phantom
from pipelines.histology.light import glass_light, optical_density
from pipelines.histology.settings import StainReference, StainSettings
from pipelines.histology.stain import StainNormaliser, Stains, angle_deg, estimate_stains

SETTINGS = StainSettings()
REFERENCE = Stains.of(SETTINGS.reference)
LIGHT = np.full(3, 240.0)


def mixture(vectors, count=20_000, seed=0, light=LIGHT, strengths=(1.2, 0.9)):
    """Pixels (count, 3) of sections in which each stain is alone here and there."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(1.5, 0.4, (count, 2)) * strengths
    amounts[: count // 5, 0] = 0
    amounts[count // 5 : 2 * count // 5, 1] = 0
    return np.clip(np.rint(light * np.exp(-amounts @ np.asarray(vectors))), 0, 255).astype(np.uint8)


def sampled(seed: int):
    """Patches (n, 96, 96, 3) of a phantom's tissue, and the phantom."""
    slide = slide_phantom(seed, (3000.0, 2400.0))
    places = np.random.default_rng(seed).uniform((200, 200), (2700, 2100), (400, 2))
    inside = places[slide.is_tissue(*(places + 46).T)][:30]
    return np.stack([slide.read(x, y, 96, 96, 0.97) for x, y in inside]), slide


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_stains_of_phantoms_are_found(seed: int) -> None:
    pixels, slide = sampled(seed)
    found = estimate_stains(pixels.reshape(-1, 3), slide.stain.glass.astype(float), SETTINGS)
    for vector, true in zip(found.vectors, slide.stain_vectors, strict=True):
        assert angle_deg(vector, true) < 5.0
        assert np.linalg.norm(vector) == pytest.approx(1.0)


@pytest.mark.parametrize("turned", [0, 1, 2])
def test_stains_of_a_mixture_are_found_whatever_the_order_of_pixels(turned: int) -> None:
    vectors = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pixels = np.roll(mixture(vectors), 5000 * turned, axis=0)
    found = estimate_stains(pixels, LIGHT, SETTINGS)
    assert angle_deg(found.vectors[0], vectors[0]) < 2.0
    assert angle_deg(found.vectors[1], vectors[1]) < 2.0


def test_it_is_what_monai_finds_but_for_the_order() -> None:
    # Strong stains, so that no pixel counts as transparent by one rule and not by the other.
    vectors = REFERENCE.vectors / np.linalg.norm(REFERENCE.vectors, axis=1, keepdims=True)
    pixels = mixture(vectors, strengths=(3.0, 3.0))
    density = optical_density(pixels, LIGHT)
    pixels = pixels[(density > 0.2).all(axis=1) & (density < 4).all(axis=1)]
    theirs = ExtractHEStains()(pixels.reshape(1, -1, 3)).T.astype(float)
    ours = estimate_stains(pixels, LIGHT, SETTINGS).vectors
    # MONAI says hematoxylin comes first, and gives the one that takes less from red.
    assert theirs[0, 0] < theirs[1, 0]
    assert angle_deg(ours[0], theirs[1]) < 1.0
    assert angle_deg(ours[1], theirs[0]) < 1.0


def test_colours_are_monais_with_the_same_stains(monkeypatch) -> None:
    vectors = REFERENCE.vectors / np.linalg.norm(REFERENCE.vectors, axis=1, keepdims=True)
    other = np.array([[0.60, 0.74, 0.30], [0.12, 0.93, 0.35]])
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    pixels = mixture(other).reshape(100, 200, 3)
    found = estimate_stains(pixels.reshape(-1, 3), LIGHT, SETTINGS)
    monais = NormalizeHEStains()
    monkeypatch.setattr(monais, "stain_extractor", lambda _: found.vectors.T)
    # MONAI takes its percentiles over all pixels, the transparent ones too.
    concentrations = np.percentile(optical_density(pixels, LIGHT).reshape(-1, 3) @ np.linalg.pinv(found.vectors), 99, 0)
    ours = StainNormaliser.of(Stains(found.vectors, concentrations, LIGHT), REFERENCE)(pixels)
    # MONAI counts grey values from 1 and cuts decimals off.
    difference = np.abs(ours.astype(int) - monais(pixels))
    assert difference.max() <= 4
    assert difference.mean() < 1.5
    assert vectors.shape == (2, 3)


def test_what_is_normalised_is_left_as_it_is() -> None:
    pixels, slide = sampled(5)
    light = slide.stain.glass.astype(float)
    once = StainNormaliser.of(estimate_stains(pixels.reshape(-1, 3), light, SETTINGS), REFERENCE)(pixels)
    again = estimate_stains(once.reshape(-1, 3), REFERENCE.light, SETTINGS)
    for vector, wanted in zip(again.vectors, REFERENCE.vectors, strict=True):
        assert angle_deg(vector, wanted) < 2.0
    np.testing.assert_allclose(again.concentrations, REFERENCE.concentrations, rtol=0.08)
    twice = StainNormaliser.of(again, REFERENCE)(once)
    assert np.abs(twice.astype(int) - once).mean() < 4.0
    # What was brought there was another colour before.
    assert np.abs(once.astype(int) - pixels).mean() > 8.0


def test_two_laboratories_look_alike_afterwards() -> None:
    first = np.array([[0.65, 0.70, 0.29], [0.10, 0.95, 0.30]])
    second = np.array([[0.56, 0.72, 0.41], [0.22, 0.80, 0.56]])
    looks = []
    for vectors, light, strengths in ((first, 245.0, (1.0, 1.3)), (second, 235.0, (1.5, 0.8))):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        pixels = mixture(unit, light=np.full(3, light), strengths=strengths)
        found = estimate_stains(pixels, np.full(3, light), SETTINGS)
        looks.append((pixels.mean(axis=0), StainNormaliser.of(found, REFERENCE)(pixels).mean(axis=0)))
    (before, after), (before_too, after_too) = looks
    assert np.abs(before - before_too).max() > 15
    assert np.abs(after - after_too).max() < 5


def test_what_is_no_mixture_of_both_is_not_guessed() -> None:
    unit = REFERENCE.vectors / np.linalg.norm(REFERENCE.vectors, axis=1, keepdims=True)
    assert estimate_stains(mixture(unit[[1, 1]]), LIGHT, SETTINGS) is None  # Eosin alone.
    assert estimate_stains(mixture(unit, count=100), LIGHT, SETTINGS) is None  # Too few.
    assert estimate_stains(np.full((5000, 3), 240, dtype=np.uint8), LIGHT, SETTINGS) is None  # Glass.
    assert estimate_stains(np.zeros((0, 3), dtype=np.uint8), LIGHT, SETTINGS) is None
    brown = np.array([[0.27, 0.57, 0.78], [0.65, 0.70, 0.29]])  # DAB, Ruifrok & Johnston.
    assert estimate_stains(mixture(brown), LIGHT, SETTINGS) is None


def test_dyes_of_another_colour_do_not_count() -> None:
    unit = np.array([[0.65, 0.70, 0.29], [0.10, 0.95, 0.30]])
    teal = mixture(np.array([[0.9, 0.4, 0.2], [0.9, 0.4, 0.2]]), count=2000)
    pixels = np.concatenate((mixture(unit), teal))
    found = estimate_stains(pixels, LIGHT, SETTINGS)
    assert angle_deg(found.vectors[0], unit[0]) < 3.0


def test_the_colour_of_glass() -> None:
    picture = np.full((50, 50, 3), (243, 245, 240), dtype=np.uint8)
    picture[:20] = (200, 120, 180)
    assert glass_light(picture).tolist() == [243, 245, 240]
    picture[30:] = 255  # Nothing was scanned here.
    assert glass_light(picture).tolist() == [243, 245, 240]
    assert glass_light(np.full((9, 9, 3), 255, dtype=np.uint8)).tolist() == [255, 255, 255]
    assert glass_light(np.full((9, 9, 3), (200, 120, 180), dtype=np.uint8)) is None


def test_the_reference_is_macenkos() -> None:
    # github.com/mitkovetta/staining-normalization, normalizeStaining.m: HERef and maxCRef.
    reference = StainReference()
    assert (reference.hematoxylin, reference.eosin) == ((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581))
    assert reference.concentrations == (1.9705, 1.0308)
