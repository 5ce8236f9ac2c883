"""Windows, tables and sigmoids of films, beside pydicom's own; MONOCHROME1 is exchanged once and the window with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_voi_lut

from datasets.image import Image
from datasets.io.dicom_film import FilmOptions, write_film
from datasets.io.discover import open_inputs
from datasets.phantoms import film_phantom
from datasets.study import Series
from pipelines.film_preparation import shown

FILM = film_phantom(3).image(96, bits=12)


def _written(folder: Path, change: Any = None, **options: Any) -> Path:
    path = write_film(FILM, folder / "film.dcm", FilmOptions(**{"window": None, "modality": "CR"} | options))
    if change is not None:
        dataset = dcmread(path)
        change(dataset)
        dataset.save_as(path)
    return path


def _series(path: Path) -> Series:
    with open_inputs([path]) as inventory:
        return inventory.studies[0].series[0]


def _read(path: Path) -> Image:
    return _series(path).load().image


def _window(centre: object, width: object, function: str | None = None) -> Any:
    def change(dataset: Dataset) -> None:
        dataset.WindowCenter, dataset.WindowWidth = centre, width
        if function is not None:
            dataset.VOILUTFunction = function

    return change


def _beside_pydicom(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ours and theirs, both as shares from black to white."""
    dataset = dcmread(path)
    theirs = apply_voi_lut(dataset.pixel_array, dataset).astype(np.float64)
    top = float(2**dataset.BitsStored - 1)
    if "VOILUTSequence" in dataset:
        top = float(2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1)
    share = theirs / top
    return shown(_read(path))[0], 1.0 - share if dataset.PhotometricInterpretation == "MONOCHROME1" else share


@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        _window(2000, 1500),
        _window(1000.5, 801, "LINEAR"),
        _window(2000, 1500, "LINEAR_EXACT"),
        _window(2000, 900, "SIGMOID"),
        _window([1800, 40], [1200, 400]),
    ],
)
def test_windows_are_those_of_another_reader(tmp_path: Path, change: Any, monochrome1: bool) -> None:
    ours, theirs = _beside_pydicom(_written(tmp_path, change, monochrome1=monochrome1))
    np.testing.assert_allclose(ours, theirs, atol=5e-4)


@pytest.mark.parametrize("monochrome1", [False, True])
def test_tables_are_those_of_another_reader(tmp_path: Path, monochrome1: bool) -> None:
    def change(dataset: Dataset) -> None:
        table = Dataset()
        table.LUTDescriptor = [4096, 0, 10]
        table.LUTData = (1023 * np.linspace(0.0, 1.0, 4096) ** 2).round().astype(np.uint16).tobytes()
        dataset.VOILUTSequence = [table]
        dataset["VOILUTSequence"].value[0]["LUTData"].VR = "OW"
        _window(2000, 100)(dataset)  # A table counts more than a window.

    ours, theirs = _beside_pydicom(_written(tmp_path, change, monochrome1=monochrome1))
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_without_a_window_all_that_the_bits_can_hold_is_shown(tmp_path: Path) -> None:
    image = _read(_written(tmp_path))
    assert image.shown == (0.0, 4095.0)

    def rescaled(dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-100"

    assert _read(_written(tmp_path, rescaled)).shown == (-100.0, 2 * 4095.0 - 100.0)


def test_windows_that_cannot_be_used_are_none(tmp_path: Path) -> None:
    assert _read(_written(tmp_path, _window(100, 0))).shown == (0.0, 4095.0)
    assert _read(_written(tmp_path, _window("", ""))).shown == (0.0, 4095.0)


@pytest.mark.parametrize("window", [None, (2000.0, 1500.0)])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_film_stored_either_way_is_the_same_film(
    tmp_path: Path, window: tuple[float, float] | None, bits: int
) -> None:
    film = film_phantom(5).image(96, bits=bits)
    grey = []
    for monochrome1 in (False, True):
        options = FilmOptions(bits_stored=bits, monochrome1=monochrome1, modality="CR", window=None)
        path = write_film(film, tmp_path / f"{monochrome1}.dcm", options)
        if window is not None:
            # A window is of the values as they are stored: that of the other film is mirrored.
            centre, width = window[0] * 2.0 ** (bits - 12), window[1] * 2.0 ** (bits - 12)
            dataset = dcmread(path)
            _window(2**bits - centre if monochrome1 else centre, width)(dataset)
            dataset.save_as(path)
        grey.append(shown(_read(path))[0])
    np.testing.assert_allclose(grey[0], grey[1], atol=1e-6)


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({"ViewPosition": "PA"}, "frontal"),
        ({"ViewPosition": "AP"}, "frontal"),
        ({"ViewPosition": "LL"}, "lateral"),
        ({"ViewPosition": "RL"}, "lateral"),
        ({"ViewPosition": "LLO"}, ""),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, "frontal"),
        ({"ViewPosition": "", "PatientOrientation": ["P", "F"]}, "lateral"),
        ({"ViewPosition": "", "PatientOrientation": ""}, ""),
    ],
)
def test_the_side_a_film_was_taken_from(tmp_path: Path, keywords: dict[str, Any], expected: str) -> None:
    def change(dataset: Dataset) -> None:
        for keyword in ("ViewCodeSequence", "PatientOrientation"):
            if keyword in dataset:
                del dataset[keyword]
        for keyword, value in keywords.items():
            setattr(dataset, keyword, value)

    assert _series(_written(tmp_path, change)).projection == expected


def test_a_coded_view_counts_where_there_is_no_other(tmp_path: Path) -> None:
    def change(dataset: Dataset) -> None:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-10236", "SRT", "left lateral"
        dataset.ViewPosition, dataset.ViewCodeSequence, dataset.PatientOrientation = "", [code], ["L", "F"]

    assert _series(_written(tmp_path, change)).projection == "lateral"
