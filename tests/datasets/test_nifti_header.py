"""Where a NIfTI header says its voxels are, and which headers are refused."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from datasets.codes import RefusalCode, RepairCode
from datasets.io.nifti import read_nifti
from tests.datasets.nifti_files import DIM, PIXDIM, patched, ramp, refused, save


def test_sform_comes_before_qform(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ramp(np.int16), None)
    sform, qform = np.diag([1.0, 2.0, 3.0, 1.0]), np.diag([-1.0, 2.0, 3.0, 1.0])
    image.set_qform(qform, 1)
    image.set_sform(sform, 1)
    nib.save(image, tmp_path / "both.nii")
    image.set_sform(sform, 0)
    nib.save(image, tmp_path / "qform.nii")
    both, alone = read_nifti(tmp_path / "both.nii"), read_nifti(tmp_path / "qform.nii")
    np.testing.assert_allclose(both.image.grid.affine, sform)
    assert [repair.code for repair in both.repairs] == [RepairCode.GEOMETRY_CHOSEN]
    assert "RAS" in both.repairs[0].message
    assert "LAS" in both.repairs[0].message
    np.testing.assert_allclose(alone.image.grid.affine, qform, atol=1e-6)
    assert alone.repairs == ()


def test_an_sform_of_another_spacing_than_pixdim_is_told(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", ramp(np.int16), np.diag([1, 1, 2, 1.0]))
    patched(path, PIXDIM + 12, struct.pack("<f", 3.0))
    loaded = read_nifti(path)
    assert loaded.image.grid.spacing_mm == (1.0, 1.0, 2.0)
    assert [repair.code for repair in loaded.repairs] == [RepairCode.GEOMETRY_CHOSEN]
    assert "1 x 1 x 3" in loaded.repairs[0].message


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001)])
def test_units_become_millimetres_as_itk_and_the_header_say(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(ramp(np.int16), np.diag([0.5 / factor, 0.5 / factor, 2.0 / factor, 1.0]))
    image.header.set_xyzt_units(unit)
    nib.save(image, tmp_path / "a.nii")
    loaded = read_nifti(tmp_path / "a.nii")
    np.testing.assert_allclose(loaded.image.grid.spacing_mm, (0.5, 0.5, 2.0), rtol=1e-6)
    assert [repair.code for repair in loaded.repairs] == [RepairCode.UNITS_CONVERTED]
    theirs = sitk.ReadImage(str(tmp_path / "a.nii"))
    np.testing.assert_allclose(theirs.GetSpacing(), loaded.image.grid.spacing_mm, rtol=1e-6)


def test_without_sform_and_qform_left_and_right_are_unknown(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", ramp(np.int16), None)
    assert refused(path).code is RefusalCode.MISSING_ORIENTATION
    patched(path, PIXDIM + 4, bytes(12))
    assert refused(path).code is RefusalCode.NO_SPACING


def test_a_flat_sform_has_no_spacing(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", ramp(np.int16))
    patched(path, 280, bytes(16))
    assert refused(path).code is RefusalCode.NO_SPACING


def test_a_fourth_axis_of_one_is_dropped_and_a_longer_one_refused(tmp_path: Path) -> None:
    assert read_nifti(save(tmp_path / "a.nii", ramp(np.int16, (5, 4, 3, 1)))).image.shape == (5, 4, 3)
    assert read_nifti(save(tmp_path / "b.nii", ramp(np.int16, (5, 4)))).image.shape == (5, 4, 1)
    path = save(tmp_path / "c.nii", ramp(np.int16, (5, 4, 3, 2)))
    assert refused(path).code is RefusalCode.UNSUPPORTED_DIMENSIONS
    assert "(5, 4, 3, 2)" in refused(path).got


def test_colour_is_refused(tmp_path: Path) -> None:
    rgb = np.zeros((5, 4, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert refused(save(tmp_path / "a.nii", rgb)).code is RefusalCode.UNSUPPORTED_DIMENSIONS
    complex_ = save(tmp_path / "b.nii", ramp(np.complex64))
    assert refused(complex_).code is RefusalCode.UNREADABLE_FILE


def test_an_axis_of_no_voxels_is_refused(tmp_path: Path) -> None:
    path = patched(save(tmp_path / "a.nii", ramp(np.int16)), DIM + 4, struct.pack("<h", 0))
    assert refused(path).code is RefusalCode.EMPTY_IMAGE


def test_a_sheared_grid_is_kept_and_told(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[1, 2] = 3.0 * np.tan(
        np.radians(10.0)
    )  # slices shifted within their plane, as by a gantry tilted by 10 degrees
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), None, header)
    image.set_sform(affine, code=1)
    image.header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    nib.save(image, tmp_path / "a.nii")
    loaded = read_nifti(tmp_path / "a.nii")
    assert np.allclose(loaded.image.affine, affine)
    assert loaded.image.grid.voxel_volume_ml == pytest.approx(0.003)
    assert [repair.code.value for repair in loaded.repairs] == ["sheared_grid_kept"]
    assert "10.00 degrees" in loaded.repairs[0].message
