"""CT series we write: what pydicom, SimpleITK and dicom3tools read is what the image held."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from datasets.errors import ConfigError
from datasets.geometry import grid_from_axes, points_lps_from_ras
from datasets.image import Image, Intensity
from datasets.io.dicom_ct import (
    Compression,
    CtSeriesOptions,
    ct_datasets,
    enhanced_ct_dataset,
    write_ct_series,
    write_enhanced_ct,
)
from datasets.phantoms import ct_phantom, default_grid, tilted_planes

GRIDS = {
    "axial": default_grid((8.0, 7.0, 40.0)),
    "sagittal": default_grid((8.0, 8.0, 80.0), "PIR"),
    "coronal": default_grid((8.0, 8.0, 80.0), "LIP"),
    "left_handed": default_grid((8.0, 8.0, 40.0), "LAS"),
    "oblique": default_grid((8.0, 8.0, 40.0), rotation_deg=(30, 20, 0)),
    "tilted": tilted_planes(default_grid((8.0, 8.0, 40.0)), 15),
}
BODY = ct_phantom(1)
AXIAL = BODY.image(GRIDS["axial"])


def hounsfield(dataset: pydicom.Dataset) -> np.ndarray:
    return dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def pixel_centre_lps(dataset: pydicom.Dataset, column: int, row: int) -> np.ndarray:
    # PS3.3 C.7.6.2.1.1
    x, y = np.reshape(np.array(dataset.ImageOrientationPatient, float), (2, 3))
    between_rows, between_columns = map(float, dataset.PixelSpacing)
    return np.array(dataset.ImagePositionPatient, float) + x * between_columns * column + y * between_rows * row


def complaints(path: Path) -> list[str]:
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning"))]


@pytest.mark.parametrize("name", sorted(GRIDS))
def test_every_pixel_stands_where_the_image_has_it(name: str, tmp_path: Path) -> None:
    image = BODY.image(GRIDS[name])
    files = write_ct_series(image, tmp_path / "new" / "folder")
    assert [file.name for file in files] == [f"IM{k + 1:04d}.dcm" for k in range(image.shape[2])]
    for k, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        np.testing.assert_array_equal(hounsfield(dataset), image.slices()[k])
        for i, j in ((0, 0), (7, 3), (image.shape[0] - 1, image.shape[1] - 1)):
            there = points_lps_from_ras(image.grid.points_mm((i, j, k)))
            np.testing.assert_allclose(pixel_centre_lps(dataset, i, j), there, atol=1e-6)


def test_simpleitk_sees_one_slice_in_the_same_place(tmp_path: Path) -> None:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(write_ct_series(AXIAL, tmp_path)[2]))
    read = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read)[0], AXIAL.slices()[2])
    there = points_lps_from_ras(AXIAL.grid.points_mm((5, 9, 2)))
    np.testing.assert_allclose(read.TransformIndexToPhysicalPoint((5, 9, 0)), there, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        CtSeriesOptions(signed=False, intercepts=(-1024.0,), bits_stored=12),
        CtSeriesOptions(slopes=(1.0, 0.5), intercepts=(-1024.0, -1000.0, 0.0)),
        CtSeriesOptions(signed=False, intercepts=(-1000.0, -1024.0), monochrome1=True, bits_stored=13),
        CtSeriesOptions(bits_stored=13),
    ],
    ids=["unsigned_12", "per_slice", "monochrome1", "signed_13"],
)
def test_values_survive_every_encoding_of_the_numbers(options: CtSeriesOptions) -> None:
    # Above air, so that an intercept of -1000 suffices.
    image = AXIAL.like(np.maximum(AXIAL.array, -1000))
    for k, dataset in enumerate(ct_datasets(image, options)):
        np.testing.assert_array_equal(hounsfield(dataset), image.slices()[k])
        assert dataset.PixelRepresentation == options.signed
        assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (
            16,
            options.bits_stored,
            options.bits_stored - 1,
        )
        assert float(dataset.RescaleIntercept) == options.intercepts[k % len(options.intercepts)]
        assert (dataset.PhotometricInterpretation == "MONOCHROME1") == options.monochrome1


@pytest.mark.parametrize(("signed", "padding"), [(True, -2000), (False, 63536)])
def test_padding_lies_outside_the_circle(signed: bool, padding: int) -> None:
    options = CtSeriesOptions(signed=signed, intercepts=(-1024.0,), padding=padding)
    dataset = ct_datasets(AXIAL, options)[1]
    assert dataset.PixelPaddingValue == padding
    padded = dataset.pixel_array == padding
    # The share of a square that its circle leaves.
    assert padded.mean() == pytest.approx(1 - np.pi / 4, abs=0.02)
    assert padded[0, 0]
    np.testing.assert_array_equal(hounsfield(dataset)[~padded], AXIAL.slices()[1][~padded])


@pytest.mark.parametrize("compression", list(Compression))
def test_every_transfer_syntax_keeps_every_value(compression: Compression, tmp_path: Path) -> None:
    options = CtSeriesOptions(compression=compression)
    image = Image(AXIAL.array[..., :2], Intensity.HOUNSFIELD, AXIAL.affine)
    for k, file in enumerate(write_ct_series(image, tmp_path, options)):
        np.testing.assert_array_equal(hounsfield(pydicom.dcmread(file)), image.slices()[k])
    frames = pydicom.dcmread(write_enhanced_ct(image, tmp_path / "all.dcm", options)).pixel_array
    np.testing.assert_array_equal(frames, image.slices())


@pytest.mark.needs("dciodvfy")
@pytest.mark.parametrize("compression", [each for each in Compression if each is not Compression.DEFLATED])
def test_nothing_to_complain_of(compression: Compression, tmp_path: Path) -> None:
    options = CtSeriesOptions(compression=compression, padding=-2000, gantry_tilt_deg=15.0)
    assert complaints(write_ct_series(BODY.image(GRIDS["tilted"]), tmp_path, options)[0]) == []
    assert complaints(write_enhanced_ct(AXIAL, tmp_path / "all.dcm", options)) == []


@pytest.mark.needs("dciodvfy", "dcmconv")
def test_nothing_to_complain_of_once_inflated(tmp_path: Path) -> None:
    # dciodvfy does not inflate; DCMTK does.
    file = write_ct_series(AXIAL, tmp_path, CtSeriesOptions(compression=Compression.DEFLATED))[0]
    subprocess.run([shutil.which("dcmconv") or "", "+te", str(file), str(tmp_path / "plain.dcm")], check=True)
    assert complaints(tmp_path / "plain.dcm") == []


def test_identity_is_derived_and_options_stand_alone() -> None:
    first, again = ct_datasets(AXIAL), ct_datasets(AXIAL)
    assert [ds.SOPInstanceUID for ds in first] == [ds.SOPInstanceUID for ds in again]
    assert len({ds.SOPInstanceUID for ds in first}) == AXIAL.shape[2]
    other = ct_datasets(AXIAL, CtSeriesOptions(series="2", series_number=2, slice_thickness_mm=1.25))[0]
    assert other.StudyInstanceUID == first[0].StudyInstanceUID
    assert other.FrameOfReferenceUID == first[0].FrameOfReferenceUID
    assert other.SeriesInstanceUID != first[0].SeriesInstanceUID
    assert other.SOPInstanceUID not in {ds.SOPInstanceUID for ds in first}
    assert (float(other.SliceThickness), float(first[0].SliceThickness)) == (1.25, pytest.approx(40.0))
    assert ct_datasets(AXIAL, CtSeriesOptions(study="b"))[0].StudyInstanceUID != first[0].StudyInstanceUID
    assert all(uid.startswith("2.25.") for uid in (other.StudyInstanceUID, other.SOPInstanceUID))


def test_instance_numbers_name_the_files(tmp_path: Path) -> None:
    count = AXIAL.shape[2]
    numbers = tuple(range(count, 0, -1))
    files = write_ct_series(AXIAL, tmp_path, CtSeriesOptions(instance_numbers=numbers))
    assert [file.name for file in files] == [f"IM{number:04d}.dcm" for number in numbers]
    np.testing.assert_array_equal(pydicom.dcmread(files[0]).pixel_array, AXIAL.slices()[0])
    for wrong in ((1, 2), (3,) * count):
        with pytest.raises(ConfigError, match="number"):
            enhanced_ct_dataset(AXIAL, CtSeriesOptions(instance_numbers=wrong))
    with pytest.raises(ConfigError, match="one instance number per slice"):
        ct_datasets(AXIAL, CtSeriesOptions(instance_numbers=(1, 2)))


@pytest.mark.parametrize("backwards", [False, True])
def test_frames_of_an_enhanced_instance_stand_where_the_image_has_them(backwards: bool) -> None:
    image = BODY.image(GRIDS["oblique"])
    count = image.shape[2]
    numbers = tuple(range(count, 0, -1)) if backwards else None
    options = CtSeriesOptions(instance_numbers=numbers, intercepts=(-1000.0, -1010.0))
    dataset = enhanced_ct_dataset(image, options)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    order = range(count)[::-1] if backwards else range(count)
    for k, group, frame in zip(order, dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        np.testing.assert_allclose(position, points_lps_from_ras(image.grid.points_mm((0, 0, k))), atol=1e-6)
        rescale = group.PixelValueTransformationSequence[0]
        np.testing.assert_array_equal(frame + float(rescale.RescaleIntercept), image.slices()[k])
    rows = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    np.testing.assert_allclose(rows[:3] * (-1, -1, 1), image.grid.direction[:, 0], atol=1e-9)
    np.testing.assert_allclose(np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float), (8.0, 8.0))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"stored values within 0\.\.65535"):
        ct_datasets(AXIAL, CtSeriesOptions(signed=False))
    leaning = np.array(AXIAL.grid.affine)
    leaning[0, 1] = 3.0
    with pytest.raises(ConfigError, match="perpendicular"):
        ct_datasets(Image(AXIAL.array, AXIAL.intensity, leaning))
    with pytest.raises(ValueError, match="spacing"):
        ct_datasets(Image(AXIAL.array, AXIAL.intensity))


def test_the_distance_between_tilted_planes_is_measured_along_their_normal() -> None:
    image = BODY.image(tilted_planes(grid_from_axes((40, 40, 3), (8, 8, 10), np.diag((-1, -1, 1))), 15))
    assert float(ct_datasets(image)[0].SliceThickness) == pytest.approx(10 * np.cos(np.pi / 12))
