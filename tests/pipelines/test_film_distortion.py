"""Distorted films: what each kind of distortion must and must not change, known by construction."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.film_distortion import FilmDistortion

NONE = {field.name: 0.0 for field in fields(FilmDistortion)}


def only(**changed: float) -> FilmDistortion:
    return FilmDistortion(**(NONE | changed))


def blob(count: int, size: int = 32, row: float = 16.0, column: float = 16.0) -> Tensor:
    """A bright spot on a darker ground, at a place in pixels."""
    rows, columns = np.mgrid[:size, :size] + 0.5
    shown = 0.3 + 0.5 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 2.5**2))
    return torch.from_numpy(np.tile(shown, (count, 1, 1, 1)).astype(np.float32))


def centres(films: Tensor) -> np.ndarray:
    """(N, 2) row and column of the spot."""
    weight = (films[:, 0].double() - 0.31).clamp(min=0.0).numpy()
    at = np.arange(weight.shape[1]) + 0.5
    total = weight.sum((1, 2))
    return np.stack([(weight.sum(2) @ at) / total, (weight.sum(1) @ at) / total], axis=1)


def widths(films: Tensor) -> np.ndarray:
    """(N,) how many pixels are brighter than half way."""
    return (films > 0.55).sum((1, 2, 3)).numpy()


def test_nothing_asked_for_changes_nothing() -> None:
    films = blob(4)
    torch.testing.assert_close(only().apply(films, np.random.default_rng(0)), films, atol=1e-5, rtol=0.0)


def test_mirrored_films_are_exact() -> None:
    films = blob(200, column=8.0)
    shown = only(mirrored=0.5, kept=1.0).apply(films, np.random.default_rng(0))
    mirrored = torch.tensor([bool(torch.equal(film, films[0].flip(-1))) for film in shown])
    assert all(torch.equal(film, films[0]) for film in shown[~mirrored])
    assert 0.35 < float(mirrored.float().mean()) < 0.65


def test_shifts_are_of_half_edges() -> None:
    moved = centres(only(shift=0.1).apply(blob(400), np.random.default_rng(1))) - 16.0
    # A tenth of half of 32 pixels.
    assert moved.std(axis=0) == pytest.approx([1.6, 1.6], rel=0.12)
    assert np.abs(np.corrcoef(moved.T)[0, 1]) < 0.15


def test_turns_are_about_the_middle() -> None:
    at = centres(only(turn_rad=0.2).apply(blob(400, row=9.0), np.random.default_rng(2))) - 16.0
    # The spot stays as far from the middle, at another angle.
    np.testing.assert_allclose(np.hypot(*at.T), 7.0, atol=0.15)
    assert np.arctan2(at[:, 1], -at[:, 0]).std() == pytest.approx(0.2, rel=0.1)


def test_size_changes_areas_with_its_square() -> None:
    shown = only(size=0.2).apply(blob(400, size=64, row=32.0, column=32.0), np.random.default_rng(3))
    assert np.log(widths(shown)).std() == pytest.approx(0.4, rel=0.25)
    np.testing.assert_allclose(centres(shown), 32.0, atol=0.1)


def test_gamma_is_a_power() -> None:
    shown = only(gamma=0.3).apply(blob(300), np.random.default_rng(4))
    powers = torch.log(shown[:, 0, 0, 0]) / np.log(0.3)
    np.testing.assert_allclose(torch.log(shown[:, 0, 16, 16]) / powers, np.log(float(blob(1)[0, 0, 16, 16])), rtol=1e-3)
    assert float(torch.log(powers).std()) == pytest.approx(0.3, rel=0.15)


def test_contrast_keeps_the_mean_and_brightness_moves_it() -> None:
    films = blob(300)
    steeper = only(contrast=0.1).apply(films, np.random.default_rng(5))
    torch.testing.assert_close(steeper.mean((1, 2, 3)), films.mean((1, 2, 3)), atol=1e-3, rtol=0.0)
    assert float(torch.log(steeper.std((1, 2, 3)) / films.std((1, 2, 3))).std()) == pytest.approx(0.1, rel=0.15)
    brighter = only(brightness=0.05).apply(films, np.random.default_rng(6)) - films
    assert float(brighter.std((1, 2, 3)).max()) < 0.01
    assert float(brighter.mean((1, 2, 3)).std()) == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize("name", [field.name for field in fields(FilmDistortion) if field.name != "kept"])
def test_every_kind_of_distortion_is_seen_and_stays_in_range(name: str) -> None:
    films = blob(20, column=12.0)
    shown = only(**{name: 0.5}).apply(films, np.random.default_rng(7))
    assert float((shown - films).abs().max()) > 0.02
    assert float(shown.min()) >= 0.0
    assert float(shown.max()) <= 1.0


def test_kept_films_are_as_they_were() -> None:
    films = blob(200)
    shown = FilmDistortion(mirrored=0.0, covered=0.0, kept=0.3).apply(films, np.random.default_rng(8))
    kept = np.mean([bool(torch.equal(film, films[0])) for film in shown])
    assert 0.2 < kept < 0.4


def test_what_is_covered_is_a_rectangle_of_one_grey() -> None:
    films = blob(50)
    shown = only(covered=1.0, kept=1.0).apply(films, np.random.default_rng(9))
    for film in shown[:, 0]:
        rows, columns = np.nonzero((film != films[0, 0]).numpy())
        box = film[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.unique().numel() == 1
        assert 4 <= box.shape[0] < 11
        assert 4 <= box.shape[1] < 11


def test_the_same_numbers_give_the_same_films_and_what_was_given_is_left_alone() -> None:
    films = blob(8)
    before = films.clone()
    first, second = (FilmDistortion().apply(films, np.random.default_rng(3)) for _ in "ab")
    assert torch.equal(first, second)
    assert torch.equal(films, before)
    assert not torch.equal(first[0], first[1])
