"""What files are, told without their pixels."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from datasets.codes import RefusalCode
from datasets.io.dicom.headers import scan
from datasets.io.dicom.instance import Instance, lenient
from tests.datasets import scene
from tests.datasets.ct_files import slice_dataset, write

SMALL = scene.Acquisition(offsets_mm=(0, 4), rows=10, columns=12, row_gap_mm=12, column_gap_mm=12)


def instance(path: Path) -> Instance:
    with lenient():
        (found,) = scan([path]).instances
    return found


def shipped(name: str) -> Path:
    return Path(str(get_testdata_file(name)))


def test_files_without_a_proper_start_are_read_all_the_same(tmp_path: Path) -> None:
    found = instance(shipped("ExplVR_LitEndNoMeta.dcm"))
    assert found.text("Modality") == "RTPLAN"
    assert found.transfer_syntax == ExplicitVRLittleEndian
    ds = slice_dataset(SMALL, 0)
    del ds.file_meta
    ds.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    bare = instance(tmp_path / "bare")
    assert bare.problem is None
    assert bare.transfer_syntax == ImplicitVRLittleEndian
    assert np.array_equal(np.fromfile(bare.path, "<i2", 120, offset=bare.pixel_offset or 0), SMALL.frame_hu(0).ravel())


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "image_dfl.dcm", "SC_rgb_jpeg.dcm"])
def test_images_are_images(name: str) -> None:
    found = instance(shipped(name))
    assert found.is_image
    assert found.problem is None


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "rtstruct.dcm", "rtdose.dcm", "liver_1frame.dcm"])
def test_reports_plans_doses_and_segmentations_are_none(name: str) -> None:
    assert not instance(shipped(name)).is_image


def test_the_offset_is_that_of_the_pixels() -> None:
    found = instance(shipped("CT_small.dcm"))
    values = np.fromfile(found.path, "<i2", 128 * 128, offset=found.pixel_offset or 0)
    assert np.array_equal(values.reshape(128, 128), _by_pydicom(found.path))


def _by_pydicom(path: Path) -> np.ndarray:
    import pydicom  # noqa: PLC0415 - the referee alone

    return np.asarray(pydicom.dcmread(path).pixel_array)


@pytest.mark.parametrize("lost", [1, 100, 239])
def test_lost_pixels_are_noticed_without_reading_any(lost: int, tmp_path: Path) -> None:
    (path,) = write({"a.dcm": slice_dataset(SMALL, 0)}, tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])
    problem = instance(path).problem
    assert problem is not None
    assert problem.code == RefusalCode.TRUNCATED_FILE


def test_lost_fragments_are_noticed_without_decoding(tmp_path: Path) -> None:
    ds = slice_dataset(scene.PLAIN, 0)
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    (path,) = write({"a.dcm": ds}, tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    problem = instance(path).problem
    assert problem is not None
    assert problem.code == RefusalCode.TRUNCATED_FILE


def test_a_header_that_ends_early_is_no_lack_of_pixels(tmp_path: Path) -> None:
    (path,) = write({"a.dcm": slice_dataset(SMALL, 0)}, tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"MONOCHROME2") + 4])
    problem = instance(path).problem
    assert problem is not None
    assert problem.code == RefusalCode.TRUNCATED_FILE


def test_headers_are_kept_without_ballast(tmp_path: Path) -> None:
    ds = slice_dataset(SMALL, 0)
    block = ds.private_block(0x0029, "MAKER", create=True)
    block.add_new(0x10, "OB", bytes(100_000))
    block.add_new(0x11, "LO", "small")
    ds.add_new(0x60003000, "OW", bytes(100))
    header = instance(write({"a.dcm": ds}, tmp_path)[0]).header
    assert [int(tag) for tag in header.keys() if tag.is_private] == [0x00290010, 0x00291011]  # noqa: SIM118
    assert 0x60003000 not in header
    assert "PixelData" not in header


def test_text_in_a_dicom_coat_is_refused_and_other_text_left_alone(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.txt", "c.IMA"):
        (tmp_path / name).write_text("once upon a time " * 20)
    found = scan(sorted(tmp_path.iterdir()))
    assert [path.name for path in found.not_dicom] == ["b.txt"]
    assert [(path.name, refusal.code) for path, refusal in found.refused] == [
        ("a.dcm", RefusalCode.UNREADABLE_FILE),
        ("c.IMA", RefusalCode.UNREADABLE_FILE),
    ]
