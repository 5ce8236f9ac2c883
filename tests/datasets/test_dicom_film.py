"""Films we write: what pydicom, SimpleITK and our own reader see is what the image held, whichever way it is stored."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.pixels import apply_voi_lut

from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from datasets.io.dicom import read_studies
from datasets.io.dicom_film import FilmOptions, film_dataset, options_for, write_film, write_film_study
from datasets.phantoms import film_phantom

PHANTOM = film_phantom(3, ("effusion",), "AP")
BITS = (8, 10, 12, 16)
FILMS = {bits: PHANTOM.image(64, bits=bits) for bits in BITS}


def complaints(path: Path) -> list[str]:
    command = [shutil.which("dciodvfy") or "", "-new", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def seen(path: Path) -> Image:
    """What our own reader makes of a file."""
    (study,) = read_studies([path], "film").studies
    return study.series[0].load().image


@pytest.mark.parametrize("modality", ["DX", "CR"])
@pytest.mark.parametrize("bits", BITS)
def test_either_way_of_storing_comes_back_equal(modality: str, bits: int, tmp_path: Path) -> None:
    options = replace(options_for(FILMS[bits]), modality=modality)
    plain = seen(write_film(FILMS[bits], tmp_path / "plain.dcm", options))
    turned = seen(write_film(FILMS[bits], tmp_path / "turned.dcm", replace(options, monochrome1=True)))
    assert np.array_equal(plain.array, FILMS[bits].array)
    assert np.array_equal(turned.array, plain.array)
    assert turned.shown == plain.shown
    np.testing.assert_allclose(plain.grid.spacing_mm[:2], FILMS[bits].grid.spacing_mm[:2], rtol=1e-12)


@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_pydicom_reads_the_same_values(bits: int, monochrome1: bool, tmp_path: Path) -> None:
    options = replace(options_for(FILMS[bits]), monochrome1=monochrome1)
    dataset = pydicom.dcmread(write_film(FILMS[bits], tmp_path / "film.dcm", options))
    values = FILMS[bits].slices()[0]
    assert np.array_equal(dataset.pixel_array, (1 << bits) - 1 - values if monochrome1 else values)
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (8 if bits == 8 else 16, bits, bits - 1)
    assert dataset.PhotometricInterpretation == ("MONOCHROME1" if monochrome1 else "MONOCHROME2")
    assert dataset.PresentationLUTShape == ("INVERSE" if monochrome1 else "IDENTITY")
    assert (dataset.Columns, dataset.Rows) == FILMS[bits].shape[:2]
    between_rows, between_columns = map(float, dataset.ImagerPixelSpacing)
    np.testing.assert_allclose((between_columns, between_rows), FILMS[bits].grid.spacing_mm[:2])


def test_simpleitk_reads_the_same_values(tmp_path: Path) -> None:
    read = sitk.ReadImage(str(write_film(FILMS[12], tmp_path / "film.dcm", options_for(FILMS[12]))))
    assert np.array_equal(np.squeeze(sitk.GetArrayFromImage(read)), FILMS[12].slices()[0])


@pytest.mark.parametrize("window", [(2048.0, 4096.0), (1000.0, 700.0), (1500.5, 1201.0)])
def test_a_window_shows_the_same_film_either_way(window: tuple[float, float]) -> None:
    plain, turned = (film_dataset(FILMS[12], FilmOptions(window=window, monochrome1=m)) for m in (False, True))
    shown = apply_voi_lut(plain.pixel_array, plain)
    # Pydicom applies the window alone; what low values mean is the viewer's to turn over.
    np.testing.assert_allclose(4095 - apply_voi_lut(turned.pixel_array, turned), shown, atol=1e-6)
    assert len(np.unique(shown)) > 50


def test_a_study_has_a_series_for_each_film(tmp_path: Path) -> None:
    front, side = film_phantom(5).image(48, bits=12), film_phantom(5, view="LL").image(40, bits=12)
    files = write_film_study([(front, "PA"), (side, "LL")], tmp_path, FilmOptions(study="two views"))
    assert [file.name for file in files] == ["PA1.dcm", "LL2.dcm"]
    datasets = [pydicom.dcmread(file) for file in files]
    assert [str(ds.ViewPosition) for ds in datasets] == ["PA", "LL"]
    assert [list(ds.PatientOrientation) for ds in datasets] == [["L", "F"], ["P", "F"]]
    assert len({ds.StudyInstanceUID for ds in datasets}) == 1
    assert len({ds.SeriesInstanceUID for ds in datasets}) == len({ds.SOPInstanceUID for ds in datasets}) == 2
    (study,) = read_studies(files, "study").studies
    assert study.uid == datasets[0].StudyInstanceUID
    assert {series.load().image.shape for series in study.series} == {front.shape, side.shape}


def test_identity_is_derived() -> None:
    first, again = (film_dataset(FILMS[8], FilmOptions(bits_stored=8)) for _ in range(2))
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert first.SOPInstanceUID.startswith("2.25.")
    others = [FilmOptions(bits_stored=8, instance_number=2), FilmOptions(bits_stored=8, series="2")]
    assert len({first.SOPInstanceUID, *(film_dataset(FILMS[8], o).SOPInstanceUID for o in others)}) == 3
    assert film_dataset(FILMS[8], FilmOptions(bits_stored=8, study="b")).StudyInstanceUID != first.StudyInstanceUID


def test_an_odd_number_of_bytes_is_padded() -> None:
    film = Image(np.full((1, 5, 3, 1), 7, np.uint8), Intensity.GREY, np.eye(4))
    dataset = film_dataset(film, options_for(film))
    assert len(dataset.PixelData) == 16
    assert (dataset.pixel_array == 7).all()


def test_bits_and_window_follow_what_is_shown() -> None:
    assert [options_for(FILMS[bits]).bits_stored for bits in BITS] == list(BITS)
    assert options_for(FILMS[10]).window == (512.0, 1024.0)
    narrow = Image(FILMS[12].array, Intensity.GREY, FILMS[12].affine, (100.0, 2147.0))
    assert options_for(narrow).window == (1124.0, 2048.0)


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("modality", ["DX", "CR"])
@pytest.mark.parametrize("monochrome1", [False, True])
def test_nothing_to_complain_of(modality: str, monochrome1: bool, tmp_path: Path) -> None:
    options = replace(options_for(FILMS[12]), modality=modality, monochrome1=monochrome1)
    assert complaints(write_film(FILMS[12], tmp_path / "film.dcm", options)) == []


@pytest.mark.parametrize(
    ("image", "options", "expected"),
    [
        (FILMS[12], FilmOptions(bits_stored=10), r"within 0\.\.1023"),
        (FILMS[8], FilmOptions(bits_stored=5), "6 to 16 bits"),
        (FILMS[8], FilmOptions(bits_stored=17), "6 to 16 bits"),
        (Image(FILMS[8].array, Intensity.GREY), FilmOptions(), "no spacing"),
        (FILMS[8], FilmOptions(window=None), "no window"),
        (Image(FILMS[8].array, Intensity.LABEL, np.eye(4)), FilmOptions(), "label"),
        (Image(np.repeat(FILMS[8].array, 3, axis=0), Intensity.GREY), FilmOptions(), "a film"),
        (Image(np.repeat(FILMS[8].array, 2, axis=3), Intensity.GREY), FilmOptions(), "a film"),
    ],
)
def test_what_does_not_fit_is_refused(image: Image, options: FilmOptions, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        film_dataset(image, options)
    with pytest.raises(ConfigError, match="unsigned integers"):
        options_for(image.like(image.array.astype(np.float32)))


def test_a_cr_film_needs_neither_spacing_nor_window() -> None:
    dataset = film_dataset(Image(FILMS[8].array, Intensity.GREY), FilmOptions(modality="CR", window=None))
    assert "ImagerPixelSpacing" not in dataset
    assert "WindowCenter" not in dataset
    assert dataset.Modality == "CR"
