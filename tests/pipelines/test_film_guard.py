"""The guard of films: what it lets pass, what it flags, and how it tells one from another."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image as Picture
from skimage import data

from datasets.io.picture import read_picture
from datasets.phantoms import View, film_phantom
from pipelines.film_guard import FRONTAL, likeness, look

Film = np.ndarray

# The films of every second file made the mean film; these had no part in it.
NEGATIVE = "00017999_000.png"


def _mean_film(edge_px: int = 256) -> Film:
    with Picture.open(FRONTAL) as picture:
        return np.asarray(picture.resize((edge_px, edge_px), Picture.Resampling.BICUBIC), dtype=np.float32)


def _codes(film: Film) -> list[str]:
    return [flag.code for flag in look(film)]


def test_the_mean_film_fits_itself_perfectly() -> None:
    fits = likeness(_mean_film())
    assert fits.frontal == pytest.approx(1.0, abs=0.01)
    assert look(_mean_film()) == ()


def test_likeness_is_pearsons_correlation() -> None:
    film = np.random.default_rng(0).normal(size=(64, 64)) + _mean_film(64) / 40.0
    small = film.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    template = np.asarray(Picture.open(FRONTAL), dtype=np.float64).reshape(32, 2, 32, 2).mean(axis=(1, 3))
    expected = np.corrcoef(small.ravel(), template.ravel())[0, 1]
    assert likeness(film).frontal == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 4096.0])
def test_scale_and_offset_do_not_matter(scale: float) -> None:
    film = _mean_film(100)
    assert likeness(film * scale + 7.0).frontal == pytest.approx(likeness(film).frontal, abs=1e-3)


@pytest.mark.parametrize(
    ("alter", "code"),
    [
        (lambda film: 255.0 - film, "looks_inverted"),
        (lambda film: np.rot90(film, 1), "looks_turned"),
        (lambda film: np.rot90(film, 2), "looks_turned"),
        (lambda film: np.rot90(film, 3), "looks_turned"),
        (lambda film: film[::-1], "looks_turned"),
        (lambda film: 255.0 - np.rot90(film, 1), "looks_turned"),
        (lambda film: film[:, : film.shape[1] // 2], "looks_cropped"),
        (lambda film: film[: film.shape[0] // 2, : film.shape[1] // 2], "looks_cropped"),
        (lambda film: film[film.shape[0] // 5 :, film.shape[1] // 3 :], "looks_cropped"),
        (lambda film: np.full_like(film, 80.0), "not_a_chest_film"),
        (lambda film: np.random.default_rng(3).normal(size=film.shape), "not_a_chest_film"),
    ],
)
def test_what_was_done_to_a_film_is_told(alter: Callable[[Film], Film], code: str) -> None:
    (flag,) = look(alter(_mean_film()))
    assert (flag.code, flag.severity) == (code, "error")
    assert "likeness to the mean frontal film" in flag.message


def test_a_mirrored_film_cannot_be_told_and_passes() -> None:
    # A heart on the right is rare and real; the guard does not judge by it.
    assert look(_mean_film()[:, ::-1]) == ()


@pytest.mark.parametrize(("view", "codes"), [("PA", []), ("AP", []), ("LL", ["lateral_view"])])
def test_views_of_phantoms_are_told_apart(view: View, codes: list[str]) -> None:
    # Phantoms that had no part in the mean lateral film.
    films = [film_phantom(seed, view=view).image(128).array[0, :, :, 0].T for seed in range(500, 512)]
    for facing in (films, [film[:, ::-1] for film in films]):
        right = np.mean([_codes(film) == codes for film in facing])
        # A frontal film is never called lateral; one lateral in ten or twenty passes for frontal.
        assert right == 1.0 if not codes else right >= 0.9


@pytest.mark.parametrize("name", ["camera", "coins", "moon", "brick", "page", "text", "cell", "retina", "chelsea"])
def test_other_pictures_are_no_chest_films(name: str) -> None:
    picture = np.asarray(getattr(data, name)(), dtype=np.float32)
    assert _codes(picture if picture.ndim == 2 else picture[..., :3].mean(axis=-1)) != []


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (28, 28), (31, 57)])
def test_any_size_is_looked_at(shape: tuple[int, int]) -> None:
    assert len(look(np.zeros(shape))) == 1


def _adults(shared_data: Path) -> dict[str, Film]:
    files = sorted((shared_data / "chest_nih" / "images").iterdir())
    upright = [file for file in files[1::2] if file.name != NEGATIVE]
    return {file.name: read_picture(file).image.array[..., 0].mean(axis=0).T for file in upright}


@pytest.mark.real_data
def test_frontal_films_pass_and_their_negatives_do_not(shared_data: Path) -> None:
    films = _adults(shared_data)
    assert {name: _codes(film) for name, film in films.items() if _codes(film)} == {}
    assert {name for name, film in films.items() if _codes(255.0 - film) != ["looks_inverted"]} == set()


@pytest.mark.real_data
def test_a_negative_among_real_films_is_found(shared_data: Path) -> None:
    film = read_picture(shared_data / "chest_nih" / "images" / NEGATIVE).image.array[0, :, :, 0].T
    assert _codes(film) == ["looks_inverted"]


@pytest.mark.real_data
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_films_are_told(shared_data: Path, turns: int) -> None:
    codes = [_codes(np.rot90(film, turns)) for film in _adults(shared_data).values()]
    assert all(codes)
    # Upside down some fit the mean film a little, with their bright bellies on top.
    assert np.mean([found == ["looks_turned"] for found in codes]) >= 0.7


@pytest.mark.real_data
def test_half_a_film_is_told(shared_data: Path) -> None:
    films = _adults(shared_data).values()
    halves = [half for film in films for half in (film[:, :512], film[:, 512:], film[:512], film[512:])]
    assert np.mean([bool(_codes(half)) for half in halves]) >= 0.8


@pytest.mark.real_data
def test_childrens_films_of_28_pixels_pass(shared_data: Path) -> None:
    with np.load(shared_data / "chest_pneumonia_28px" / "pneumonia_train_val.npz") as arrays:
        films = arrays["val_images"]
    assert np.mean([not _codes(film) for film in films]) >= 0.95
    assert np.mean([_codes(255 - film) == ["looks_inverted"] for film in films]) >= 0.95


@pytest.mark.real_data
def test_microscopy_is_no_chest_film(shared_data: Path) -> None:
    pictures = sorted((shared_data / "nuclei" / "images").iterdir())[::20]
    codes = [_codes(read_picture(file).image.array[..., 0].mean(axis=0).T) for file in pictures]
    assert all(codes)


@pytest.mark.real_data
def test_the_same_pixels_called_monochrome1_look_inverted(shared_data: Path) -> None:
    film = pydicom.dcmread(shared_data / "chest_dicom" / "cr_monochrome2.dcm").pixel_array.astype(np.float32)
    assert _codes(film) == []
    assert _codes(255.0 - film) == ["looks_inverted"]
