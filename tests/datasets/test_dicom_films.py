"""Films and other single images without a place in the patient."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation

from datasets.codes import RefusalCode, RepairCode
from datasets.image import Intensity
from datasets.io.dicom import read_studies
from tests.datasets import scene
from tests.datasets.ct_files import CT, set_pixels, slice_dataset, write
from tests.datasets.dicom_reading import codes, only_series, refusal

SMALL = scene.Acquisition(offsets_mm=(0, 4, 8, 12), rows=10, columns=12, row_gap_mm=12, column_gap_mm=12)
RAMP = np.arange(120).reshape(10, 12) * 34


def film(values: np.ndarray, kind: str = "MONOCHROME2", bits: int = 12) -> Dataset:
    """A film of the chest."""
    ds = slice_dataset(SMALL, 0)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        del ds[keyword]
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    ds.Modality, ds.RescaleIntercept = "DX", "0"
    set_pixels(ds, values, replace(CT, signed=False, bits=bits))
    ds.PhotometricInterpretation = kind
    return ds


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_a_film_shows_more_where_it_is_brighter(kind: str, tmp_path: Path) -> None:
    found = only_series(write({"a.dcm": film(RAMP, kind)}, tmp_path))
    loaded = found.load()
    assert np.array_equal(loaded.image.slices()[0], RAMP if kind == "MONOCHROME2" else 4095 - RAMP)
    assert codes(loaded) == ([] if kind == "MONOCHROME2" else [RepairCode.MONOCHROME1_INVERTED])
    assert codes(found) == codes(loaded)
    assert loaded.image.shape == (12, 10, 1)
    assert loaded.image.intensity == Intensity.GREY


def test_a_film_of_sixteen_bits_keeps_its_values(tmp_path: Path) -> None:
    loaded = only_series(write({"a.dcm": film(RAMP * 16, bits=16)}, tmp_path)).load()
    assert loaded.image.array.dtype == np.float32
    assert np.array_equal(loaded.image.slices()[0], RAMP * 16)


@pytest.mark.parametrize(
    ("attributes", "spacing"),
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.1, 0.2, 1.0)),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.16, 0.08]}, (0.08, 0.16, 1.0)),
    ],
)
def test_a_film_has_the_spacing_it_names_and_tells_which(
    attributes: dict[str, list[float]], spacing: tuple[float, float, float] | None, tmp_path: Path
) -> None:
    ds = film(RAMP)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    found = only_series(write({"a.dcm": ds}, tmp_path))
    image = found.load().image
    if spacing is None:
        assert image.affine is None
        assert "spacing unknown" in found.description
    else:
        assert image.grid.spacing_mm == spacing
        assert ("at the detector" in found.description) == ("PixelSpacing" not in attributes)


def test_films_of_one_series_are_images_of_their_own(tmp_path: Path) -> None:
    other = film(RAMP + 1)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID + ".1"
    (study,) = read_studies(write({"a.dcm": film(RAMP), "b.dcm": other}, tmp_path), "folder").studies
    first, second = study.series
    assert second.uid == f"{first.uid}#2"
    assert codes(first) == codes(second.load()) == [RepairCode.SERIES_SPLIT]
    assert np.array_equal(second.load().image.array, first.load().image.array + 1)


def colour_film(pixels: np.ndarray) -> Dataset:
    ds = film(RAMP)
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelData = pixels.astype(np.uint8).tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def test_colour_is_kept_and_grey_in_colour_is_grey(tmp_path: Path) -> None:
    pixels = np.arange(4 * 6 * 3).reshape(4, 6, 3)
    colour = only_series(write({"a.dcm": colour_film(pixels)}, tmp_path)).load()
    assert colour.image.intensity == Intensity.COLOUR
    assert np.array_equal(colour.image.array[..., 0].transpose(2, 1, 0), pixels)
    assert colour.image.array.transpose(0, 3, 2, 1).flags.c_contiguous
    grey = only_series(write({"a.dcm": colour_film(pixels[..., :1].repeat(3, axis=2))}, tmp_path)).load()
    assert grey.image.channels == 1
    assert np.array_equal(grey.image.slices()[0], pixels[..., 0])
    assert codes(grey) == codes(colour) == [RepairCode.COLOUR_CONVERTED]


def test_film_loops_are_refused(tmp_path: Path) -> None:
    ds = film(np.stack([RAMP, RAMP]))
    ds.NumberOfFrames = 2
    assert refusal(write({"a.dcm": ds}, tmp_path)) == RefusalCode.UNSUPPORTED_DIMENSIONS


def test_films_with_one_name_and_different_contents_are_refused(tmp_path: Path) -> None:
    files = write({"a.dcm": film(RAMP), "b.dcm": film(RAMP, "MONOCHROME1")}, tmp_path)
    assert refusal(files) == RefusalCode.CONFLICTING_DUPLICATE
    assert refusal(files[:1] + write({"c.dcm": film(RAMP + 1)}, tmp_path)) == RefusalCode.CONFLICTING_DUPLICATE
