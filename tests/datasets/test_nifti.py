"""NIfTI against nibabel and SimpleITK, which know nothing of ours."""

import gzip
import hashlib
import itertools
import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import lps_from_ras
from datasets.image import Image, Intensity
from datasets.io.nifti import DESCRIPTION, read_header, read_nifti, write_nifti
from tests.datasets.nifti_files import DIM, MAGIC, OBLIQUE, patched, ramp, refused, save


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "u2", "<i4", ">f4", "f8", "i8"])
def test_values_and_place_are_nibabels(tmp_path: Path, dtype: str, ending: str) -> None:
    path = save(tmp_path / f"a{ending}", ramp(dtype))
    loaded = read_nifti(path)
    theirs = nib.load(path)
    np.testing.assert_array_equal(loaded.image.array[0], theirs.get_fdata())
    np.testing.assert_array_equal(loaded.image.grid.affine, theirs.affine)
    assert loaded.image.array.dtype == (np.float32 if "f" in dtype else np.int16)
    assert loaded.image.array.dtype.isnative
    assert loaded.image.array.transpose(0, 3, 2, 1).flags.c_contiguous
    assert loaded.image.intensity is Intensity.HOUNSFIELD


def test_nifti_2_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(ramp(np.int16), OBLIQUE), tmp_path / "a.nii.gz")
    loaded = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(loaded.image.array[0], ramp(np.int16))
    np.testing.assert_allclose(loaded.image.grid.affine, OBLIQUE, atol=1e-4)


@pytest.mark.parametrize(
    ("dtype", "values", "slope", "intercept", "expected"),
    [
        ("u2", [0, 1024, 4095], 1, -1024, "int16"),
        ("u2", [0, 40000, 65535], 1, -32768, "int16"),
        ("i2", [-5, 0, 7], -3, 11, "int16"),
        ("i2", [-32768, 0, 32767], 2, 1, "int32"),
        ("u1", [0, 128, 255], 1, -1024, "int16"),
        ("i4", [-70000, 0, 70000], 1, 0, "int32"),
        ("i4", [-(2**31), 0, 2**31 - 1], 2, 0, "float32"),
        ("i2", [-100, 0, 100], 0.5, 0.25, "float32"),
    ],
)
def test_slope_and_intercept_are_applied(
    tmp_path: Path, dtype: str, values: list[int], slope: float, intercept: float, expected: str
) -> None:
    path = save(tmp_path / "a.nii", np.array(values, dtype).reshape(3, 1, 1))
    patched(path, 112, struct.pack("<ff", slope, intercept))
    array = read_nifti(path).image.array
    assert array.dtype == expected
    truth = [value * slope + intercept for value in values]
    np.testing.assert_allclose(array.ravel().astype(float), truth, rtol=1e-7)
    np.testing.assert_allclose(nib.load(path).get_fdata().ravel(), truth, rtol=1e-7)


def test_masks_become_uint8_whatever_they_were_saved_as(tmp_path: Path) -> None:
    for dtype in ("i2", "i8", "f4", "f8"):
        path = save(tmp_path / "mask.nii", ramp(dtype))
        assert read_nifti(path, Intensity.LABEL).image.array.dtype == np.uint8
    assert read_nifti(save(tmp_path / "ids.nii", ramp("i4") * 1000), Intensity.LABEL).image.array.dtype == np.int32


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    array = ramp(np.float64)
    array[2, 1, 1] = value
    refusal = refused(save(tmp_path / "a.nii.gz", array))
    assert refusal.code is RefusalCode.NOT_FINITE
    assert refusal.got.startswith("1 voxels")


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_file_cut_anywhere_is_refused_by_header_and_by_values(tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(0)
    whole = save(tmp_path / f"a{ending}", rng.integers(0, 2000, (9, 8, 7)).astype(np.int16)).read_bytes()
    path = tmp_path / f"cut{ending}"
    for length in (1, 100, 347, 360, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refused(path).code in (RefusalCode.TRUNCATED_FILE, RefusalCode.UNREADABLE_FILE)
        if length > 360:
            assert refused(path).code is RefusalCode.TRUNCATED_FILE
        with pytest.raises(InputRefused):
            read_header(path)


def test_damage_in_the_middle_of_a_compressed_file_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = save(tmp_path / "a.nii.gz", rng.integers(0, 2000, (19, 18, 17)).astype(np.int16))
    raw = path.read_bytes()
    middle = len(raw) // 2
    path.write_bytes(raw[:middle] + bytes([raw[middle] ^ 0x10]) + raw[middle + 1 :])
    assert refused(path).code in (RefusalCode.UNREADABLE_FILE, RefusalCode.TRUNCATED_FILE)


def test_a_header_that_promises_terabytes_asks_for_no_memory(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", ramp(np.int16))
    patched(path, DIM + 2, struct.pack("<hhh", 32767, 32767, 32767))
    assert refused(path).code is RefusalCode.TRUNCATED_FILE
    packed = tmp_path / "b.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert refused(packed).code is RefusalCode.TRUNCATED_FILE


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"no image at all, but text" * 30, gzip.compress(b"text" * 200)])
def test_what_is_no_nifti_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(content)
    assert refused(path).code is RefusalCode.UNREADABLE_FILE


def test_header_and_image_pairs_are_unreadable_and_missing_files_too(tmp_path: Path) -> None:
    path = patched(save(tmp_path / "a.nii", ramp(np.int16)), MAGIC, b"ni1\0")
    assert refused(path).code is RefusalCode.UNREADABLE_FILE
    assert refused(tmp_path / "none.nii").code is RefusalCode.UNREADABLE_FILE


def test_several_gzip_members_and_bytes_behind_the_voxels_are_fine(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.nii", ramp(np.int16)).read_bytes()
    path = tmp_path / "members.nii.gz"
    path.write_bytes(gzip.compress(whole[:400]) + gzip.compress(whole[400:] + b"behind"))
    assert read_header(path).grid.shape == (5, 4, 3)
    np.testing.assert_array_equal(read_nifti(path).image.array[0], ramp(np.int16))


def test_an_extension_before_the_voxels_is_stepped_over(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ramp(np.int16), OBLIQUE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"some words " * 20))
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz").image.array[0], ramp(np.int16))


AXES = [
    np.array([np.eye(3)[axis] * sign for axis, sign in zip(order, signs, strict=True)]).T
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "".join(str(int(n)) for n in axes.ravel()))
def test_what_is_written_lies_where_it_did_for_foreign_readers(tmp_path: Path, axes: Any) -> None:
    affine = np.eye(4)
    affine[:3, :3] = axes * (0.7, 0.9, 2.5)
    affine[:3, 3] = (-31.0, 12.0, 640.5)
    image = Image(ramp(np.uint8)[np.newaxis], Intensity.LABEL, affine)
    path = tmp_path / "mask.nii.gz"
    write_nifti(image, path)
    theirs = nib.load(path)
    for form, code in (theirs.get_sform(coded=True), theirs.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(form, affine, atol=1e-4)
    assert theirs.get_data_dtype() == np.uint8
    assert theirs.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), image.array[0])
    itk = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk), image.slices())
    point = itk.TransformIndexToPhysicalPoint((4, 3, 2))
    np.testing.assert_allclose(point, (lps_from_ras(affine) @ (4, 3, 2, 1))[:3], atol=1e-3)


def test_a_sheared_affine_is_written_as_sform_alone(tmp_path: Path) -> None:
    sheared = np.array([[1, 0, 0.4, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1.0]])
    write_nifti(Image(ramp(np.int16)[np.newaxis], Intensity.HOUNSFIELD, sheared), tmp_path / "a.nii")
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    np.testing.assert_allclose(read_nifti(tmp_path / "a.nii").image.grid.affine, sheared, atol=1e-6)


@pytest.mark.parametrize(
    ("array", "intensity", "stored"),
    [
        (ramp(np.int32), Intensity.LABEL, "uint8"),
        (ramp(np.int32) * 10, Intensity.LABEL, "int32"),
        (ramp(bool), Intensity.GREY, "uint8"),
        (ramp(np.float64) / 60, Intensity.PROBABILITY, "float32"),
        (ramp(np.int16), Intensity.HOUNSFIELD, "int16"),
        (ramp(np.uint8), Intensity.PROBABILITY, "uint8"),
    ],
)
def test_types_on_disk(tmp_path: Path, array: Any, intensity: Intensity, stored: str) -> None:
    write_nifti(Image(array[np.newaxis], intensity, OBLIQUE), tmp_path / "a.nii.gz")
    theirs = nib.load(tmp_path / "a.nii.gz")
    assert theirs.get_data_dtype() == stored
    scale = 255 if intensity is Intensity.PROBABILITY and array.dtype == np.uint8 else 1
    np.testing.assert_allclose(theirs.get_fdata(), array.astype(float) / scale, atol=1e-6)


def test_channels_become_a_fourth_axis(tmp_path: Path) -> None:
    array = ramp(np.float32, (2, 5, 4, 3))
    write_nifti(Image(array, Intensity.PROBABILITY, OBLIQUE), tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(nib.load(tmp_path / "a.nii.gz").get_fdata(), np.moveaxis(array, 0, -1))


def test_the_same_image_gives_the_same_bytes_and_says_what_it_is_for(tmp_path: Path) -> None:
    image = Image(ramp(np.uint8)[np.newaxis], Intensity.LABEL, OBLIQUE)
    digests = set()
    for name in ("a.nii.gz", "another.nii.gz"):
        write_nifti(image, tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    told = nib.load(tmp_path / "a.nii.gz").header["descrip"].item().decode()
    assert told == DESCRIPTION
    assert "esearch use only" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "another.nii.gz"]


def test_an_image_without_a_place_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="known spacing"):
        write_nifti(Image(ramp(np.uint8)[np.newaxis], Intensity.LABEL), tmp_path / "a.nii.gz")
    with pytest.raises(ValueError, match=r"\.nii"):
        write_nifti(Image(ramp(np.uint8)[np.newaxis], Intensity.LABEL, OBLIQUE), tmp_path / "a.mha")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_data
def test_a_real_ct_reads_as_nibabel_reads_it(shared_data: Path) -> None:
    path = shared_data / "ct_abdomen" / "ct_3mm.nii.gz"
    image = read_nifti(path).image
    assert image.array.dtype == np.int16
    assert image.grid.orientation == "RAS"
    np.testing.assert_array_equal(image.array[0], nib.load(path).get_fdata())
