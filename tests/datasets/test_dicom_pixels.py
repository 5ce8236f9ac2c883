"""Stored values, and the numbers they stand for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, set_pixel_data
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from datasets.codes import RefusalCode, RepairCode
from datasets.io.dicom import read_studies
from datasets.io.dicom.frames import Frame, frames_of
from datasets.io.dicom.headers import scan
from datasets.io.dicom.identifiers import fill_identifiers
from datasets.io.dicom.instance import lenient
from datasets.io.dicom.pixels import FrameReader, modality_values, padding_mask
from datasets.study import Loaded
from tests.datasets import scene
from tests.datasets.ct_files import CT, Header, series, set_pixels, slice_dataset, write

SMALL = scene.Acquisition(offsets_mm=(0, 4, 8), rows=10, columns=12, row_gap_mm=12, column_gap_mm=12)
RAMP = np.arange(120).reshape(10, 12)


def frame_of(path: Path) -> Frame:
    with lenient():
        (instance,) = fill_identifiers(scan([path]).instances)
        assert instance.problem is None
        return frames_of(instance)[0]


def stored_in(ds: Dataset, folder: Path) -> NDArray[np.int64]:
    return FrameReader().stored(frame_of(write({"a.dcm": ds}, folder)[0]))


def pixels(values: NDArray[np.int64], header: Header = CT) -> Dataset:
    ds = slice_dataset(SMALL, 0)
    set_pixels(ds, values, header)
    return ds


def loaded(slices: list[Dataset], folder: Path) -> Loaded:
    files = write({f"{k}.dcm": ds for k, ds in enumerate(slices)}, folder)
    (study,) = read_studies(files, "folder").studies
    return study.series[0].load()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("signed", [False, True])
def test_what_stands_beside_the_stored_bits_is_no_value(signed: bool, syntax: UID, tmp_path: Path) -> None:
    values = RAMP * 17 - (1000 if signed else 0)
    garbage = RAMP * 7 % 16
    # Twelve bits in the middle of sixteen: two of garbage above, two below.
    words = ((garbage >> 2) << 14 | (values & 0xFFF) << 2 | (garbage & 3)).astype(np.uint16)
    ds = pixels(words.astype(np.int64), replace(CT, signed=False))
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 12, 13, int(signed)
    if syntax == RLELossless:
        ds.compress(RLELossless, generate_instance_uid=False)
    assert np.array_equal(stored_in(ds, tmp_path), values)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_codecs_restore_the_sign(syntax: UID, tmp_path: Path) -> None:
    # Smaller pictures have too few rows for the wavelets' levels.
    values = np.arange(40 * 48).reshape(40, 48) - 1000
    ds = pixels(values, replace(CT, bits=12))
    set_pixel_data(ds, values.astype(np.int16), "MONOCHROME2", 12, generate_instance_uid=False)
    ds.compress(syntax, generate_instance_uid=False)
    assert np.array_equal(stored_in(ds, tmp_path), values)


@pytest.mark.parametrize(
    ("header", "declared", "expected"),
    [
        pytest.param(CT, -2000, -2000, id="signed"),
        pytest.param(replace(CT, signed=False), 63536, 63536, id="unsigned"),
        pytest.param(replace(CT, bits=12), -2000, -2000, id="of the stored bits"),
    ],
)
def test_padding_is_found_in_stored_values(header: Header, declared: int, expected: int, tmp_path: Path) -> None:
    values = np.where(RAMP % 5 == 0, expected, RAMP)
    ds = pixels(values, header)
    ds.add_new("PixelPaddingValue", "SS" if header.signed else "US", declared)
    frame = frame_of(write({"a.dcm": ds}, tmp_path)[0])
    mask = padding_mask(FrameReader().stored(frame), frame.instance)
    assert mask is not None
    assert np.array_equal(mask, RAMP % 5 == 0)


def test_padding_with_the_other_sign_is_understood(tmp_path: Path) -> None:
    ds = pixels(np.where(RAMP % 5 == 0, -2000, RAMP))
    ds.add_new("PixelPaddingValue", "US", 65536 - 2000)
    frame = frame_of(write({"a.dcm": ds}, tmp_path)[0])
    mask = padding_mask(FrameReader().stored(frame), frame.instance)
    assert mask is not None
    assert mask.sum() == 24


def test_padding_outside_the_stored_bits_is_no_tissue(tmp_path: Path) -> None:
    slices = series(SMALL, replace(CT, signed=False, intercept=-1024, padding=63536))
    for ds in slices:
        ds.BitsStored, ds.HighBit = 12, 11
    result = loaded(slices, tmp_path)
    # Cut to twelve bits the padding would be 63536 - 15 * 4096 - 1024 = 1072 HU: bone.
    assert result.image.array[0, 0, 0, 0] == -1024
    assert [repair.code for repair in result.repairs] == [RepairCode.PADDING_REPLACED]


def test_padding_may_be_a_range(tmp_path: Path) -> None:
    ds = pixels(RAMP)
    ds.add_new("PixelPaddingValue", "SS", 10)
    ds.add_new("PixelPaddingRangeLimit", "SS", 5)
    frame = frame_of(write({"a.dcm": ds}, tmp_path)[0])
    mask = padding_mask(FrameReader().stored(frame), frame.instance)
    assert mask is not None
    assert np.array_equal(mask, (RAMP >= 5) & (RAMP <= 10))


def test_padding_of_other_modalities_becomes_their_smallest_value(tmp_path: Path) -> None:
    slices = series(replace(SMALL, scene=lambda p: 100 + np.rint(p[..., 2]).astype(int)), replace(CT, padding=-32768))
    for ds in slices:
        ds.Modality = "MR"
    result = loaded(slices, tmp_path)
    assert result.image.array.min() == result.image.array[0, 0, 0, -1] == result.image.array[0, 6, 5].min()
    assert "padding" in result.repairs[0].message


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(1.0, -1024.0, np.int32), (2.0, 0.0, np.int32), (0.5, -1024.0, np.float64), (1.0, 0.25, np.float64)],
)
def test_values_are_slope_times_stored_plus_intercept(
    slope: float, intercept: float, dtype: type, tmp_path: Path
) -> None:
    frame = replace(frame_of(write({"a.dcm": pixels(RAMP)}, tmp_path)[0]), slope=slope, intercept=intercept)
    values = modality_values(RAMP.astype(np.int16), frame)
    assert values.dtype == dtype
    assert np.array_equal(values, RAMP * slope + intercept)


@pytest.mark.parametrize(("slope", "dtype"), [(1.0, np.int16), (64.0, np.float32), (0.5, np.float32)])
def test_volumes_are_int16_where_all_values_are_whole_and_fit(slope: float, dtype: type, tmp_path: Path) -> None:
    slices = series(replace(SMALL, scene=lambda p: np.rint(p[..., 0]).astype(int)))
    # The last slice alone does not fit: the ones before must follow it.
    slices[2].RescaleSlope, slices[2].RescaleIntercept = str(slope), str(slope * 600)
    volume = loaded(slices, tmp_path).image.slices()
    assert volume.dtype == dtype
    assert np.array_equal(volume[1], SMALL.frame_hu(1) * 0 + volume[0])
    assert np.array_equal(volume[2], volume[0].astype(float) * slope + slope * 600)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("MR_small_RLE.dcm", "MR_small.dcm"),
        ("MR_small_bigendian.dcm", "MR_small.dcm"),
        ("MR_small_implicit.dcm", "MR_small.dcm"),
        ("MR_small_jp2klossless.dcm", "MR_small.dcm"),
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"),
        ("SC_rgb_rle.dcm", "SC_rgb_dcmtk_+eb+cr.dcm"),
    ],
)
def test_all_syntaxes_of_one_picture_give_it(name: str, reference: str) -> None:
    pictures = [FrameReader().stored(frame_of(Path(str(get_testdata_file(n))))) for n in (name, reference)]
    if pictures[0].ndim == 2:
        assert np.array_equal(*pictures)
    else:
        assert pictures[0].shape == pictures[1].shape


def test_a_palette_becomes_colours() -> None:
    path = Path(str(get_testdata_file("examples_palette.dcm")))
    (study,) = read_studies([path], "palette").studies
    result = study.series[0].load()
    assert result.image.channels == 3
    ds = pydicom.dcmread(path)
    assert np.array_equal(result.image.array[..., 0].transpose(2, 1, 0), apply_color_lut(ds.pixel_array, ds) >> 8)
    assert [repair.code for repair in result.repairs] == [RepairCode.COLOUR_CONVERTED]


@pytest.mark.parametrize("syntax", [JPEGExtended12Bit, UID("1.2.840.10008.1.2.4.100"), UID("1.2.3.4")])
def test_syntaxes_without_a_decoder_are_refused(syntax: UID, tmp_path: Path) -> None:
    slices = series(SMALL)
    for ds in slices:
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.BitsStored, ds.HighBit = 12, 11
    files = write({f"{k}.dcm": ds for k, ds in enumerate(slices)}, tmp_path)
    for path in files:
        # Same length, so that the file stays whole; a UID is padded with zeros.
        name = str(syntax).encode()
        old = RLELossless.encode()
        data = path.read_bytes()
        at = data.index(old)
        size = int.from_bytes(data[at - 2 : at], "little")
        padded = name + bytes(len(name) % 2)
        data = data[: at - 2] + len(padded).to_bytes(2, "little") + padded + data[at + size :]
        path.write_bytes(_with_group_length(data, len(padded) - size))
    (study,) = read_studies(files, "folder").studies
    assert study.refusal is not None
    assert study.refusal.code == RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX


def _with_group_length(data: bytes, grown: int) -> bytes:
    length = int.from_bytes(data[140:144], "little") + grown
    return data[:140] + length.to_bytes(4, "little") + data[144:]
