"""What is shown of films with tables, padding, palettes and damage: by formula, where other readers differ."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from datasets.codes import RefusalCode, RepairCode
from datasets.image import Image, Intensity
from datasets.io.dicom.lookup_table import LookupTable
from tests.datasets.ct_files import write
from tests.datasets.dicom_reading import codes, only_series, refusal
from tests.datasets.test_dicom_films import RAMP, colour_film, film

Kind = str


def _table(entries: Sequence[int] | NDArray[Any], first: int, bits: int, *, packed: bool = False) -> list[Dataset]:
    item = Dataset()
    values = np.asarray(entries)
    item.add_new("LUTDescriptor", "US", [values.size % 65536, first % 65536, bits])
    item.add_new("LUTData", "OW", values.astype(np.uint8 if packed else "<u2").tobytes())
    return [item]


def _read(ds: Dataset, folder: Path) -> Image:
    return only_series(write({"a.dcm": ds}, folder)).load().image


def _shares(ds: Dataset, folder: Path) -> NDArray[np.float64]:
    """From 0, black, to 1, white: (rows, columns)."""
    image = _read(ds, folder)
    assert image.shown is not None
    black, white = image.shown
    return np.clip((image.slices()[0].astype(float) - black) / (white - black), 0.0, 1.0)


def _turned(share: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    return 1.0 - share if kind == "MONOCHROME1" else share


KINDS = pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])


@KINDS
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_of_twelve_bits_in_and_eight_out(kind: Kind, packed: bool, tmp_path: Path) -> None:
    ds = film(RAMP, kind)
    squares = ((np.arange(4096) / 4095.0) ** 2 * 255).round()
    ds.VOILUTSequence = _table(squares, 0, 8, packed=packed)
    np.testing.assert_allclose(_shares(ds, tmp_path), _turned(squares[RAMP] / 255.0, kind), atol=1e-6)


@KINDS
def test_the_modalitys_table_comes_before_black_and_white_are_exchanged(kind: Kind, tmp_path: Path) -> None:
    ds = film(RAMP, kind)
    roots = (np.sqrt(np.arange(4096) / 4095.0) * 1023).round()
    ds.ModalityLUTSequence = _table(roots, 0, 10)
    np.testing.assert_allclose(_shares(ds, tmp_path), _turned(roots[RAMP] / 1023.0, kind), atol=1e-6)
    # The window, too, is of what the modality's table gives.
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = 500, 400, "LINEAR_EXACT"
    expected = _turned(np.clip((roots[RAMP] - 300.0) / 400.0, 0.0, 1.0), kind)
    np.testing.assert_allclose(_shares(ds, tmp_path), expected, atol=1e-6)


def test_values_beyond_a_table_take_its_ends_and_its_first_may_be_negative(tmp_path: Path) -> None:
    ds = film(RAMP)
    ds.RescaleSlope, ds.RescaleIntercept = "1", "-2000"
    ds.VOILUTSequence = _table(np.arange(1001) % 1001, -500, 10)
    expected = np.clip(RAMP - 2000 + 500, 0, 1000) / 1023.0
    np.testing.assert_allclose(_shares(ds, tmp_path), expected, atol=1e-6)


def test_a_table_looks_up_what_lies_nearest() -> None:
    table = LookupTable(10, np.array([5, 7, 9], np.int32), 15)
    assert table(np.array([-3.0, 10.4, 10.6, 12.0, 99.0])).tolist() == [5, 5, 7, 9, 9]


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
def test_damaged_tables(keyword: str, tmp_path: Path) -> None:
    ds = film(RAMP)
    setattr(ds, keyword, _table(range(10), 0, 12))
    getattr(ds, keyword)[0].LUTDescriptor = [4096, 0, 12]
    if keyword == "ModalityLUTSequence":
        assert refusal(write({"a.dcm": ds}, tmp_path)) == RefusalCode.UNREADABLE_FILE
        return
    ds.WindowCenter, ds.WindowWidth = "1000.5", "1001"
    assert _read(ds, tmp_path).shown == (500.0, 1500.0)
    setattr(ds, keyword, [])
    assert _read(ds, tmp_path).shown == (500.0, 1500.0)


@pytest.mark.parametrize(("kind", "shape", "turned"), [
    ("MONOCHROME2", "IDENTITY", False),
    ("MONOCHROME2", "INVERSE", True),
    ("MONOCHROME1", "INVERSE", True),
    ("MONOCHROME1", None, True),
])  # fmt: skip
def test_black_and_white_are_exchanged_once(kind: Kind, shape: str | None, turned: bool, tmp_path: Path) -> None:
    ds = film(RAMP, kind)
    if shape is not None:
        ds.PresentationLUTShape = shape
    found = only_series(write({"a.dcm": ds}, tmp_path))
    assert np.array_equal(found.load().image.slices()[0], 4095 - RAMP if turned else RAMP)
    assert codes(found) == ([RepairCode.MONOCHROME1_INVERTED] if turned else [])


@KINDS
@pytest.mark.parametrize("signed", [False, True])
def test_the_same_film_either_way_is_the_same_image(kind: Kind, signed: bool, tmp_path: Path) -> None:
    low = -2048 if signed else 0
    ds = film(RAMP + low if kind == "MONOCHROME2" else 4095 - RAMP + low, kind)
    ds.PixelRepresentation = int(signed)
    ds.RescaleSlope, ds.RescaleIntercept = "0.5", "10"
    ends = (0.5 * low + 10, 0.5 * (low + 4095) + 10)
    black, white = ends[0] + 300.0, ends[0] + 1700.0
    if kind == "MONOCHROME1":
        black, white = sum(ends) - white, sum(ends) - black
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = f"{(black + white) / 2}", f"{white - black}", "LINEAR_EXACT"
    image = _read(ds, tmp_path)
    assert image.shown == (ends[0] + 300.0, ends[0] + 1700.0)
    assert np.array_equal(image.slices()[0], 0.5 * (RAMP + low) + 10)


@KINDS
def test_padding_is_black(kind: Kind, tmp_path: Path) -> None:
    values = RAMP % 3000 + 500
    values[:, :3] = 4000
    ds = film(values, kind)
    ds.add_new("PixelPaddingValue", "US", 4000)
    ds.WindowCenter, ds.WindowWidth = 2048, 4096
    share = _shares(ds, tmp_path)
    assert not share[:, :3].any()
    np.testing.assert_allclose(share[:, 3:], _turned(values / 4095.0, kind)[:, 3:], atol=1e-6)
    (told,) = [r for r in only_series(write({"a.dcm": ds}, tmp_path)).load().repairs if r.code == "padding_replaced"]
    assert "25.0 %" in told.message
    assert "black" in told.message


@pytest.mark.parametrize(
    ("centre", "width"), [("abc", "100"), ("2000", ""), ("2000", "-5"), ("nan", "100"), (["", ""], ["1", "2"])]
)
def test_a_garbled_window_is_none(centre: Any, width: Any, tmp_path: Path) -> None:
    ds = film(RAMP)
    for tag, value in ((0x00281050, centre), (0x00281051, width)):
        ds.add_new(tag, "LO", value)
    assert _read(ds, tmp_path).shown == (0.0, 4095.0)


def test_a_film_of_one_value_is_blank(tmp_path: Path) -> None:
    assert refusal(write({"a.dcm": film(np.full((10, 12), 77))}, tmp_path)) == RefusalCode.BLANK_IMAGE
    beside_padding = np.full((10, 12), 77)
    beside_padding[0] = 9
    ds = film(beside_padding)
    ds.add_new("PixelPaddingValue", "US", 9)
    assert refusal(write({"a.dcm": ds}, tmp_path)) == RefusalCode.BLANK_IMAGE
    assert refusal(write({"a.dcm": colour_film(np.full((4, 6, 3), [1, 1, 1]))}, tmp_path)) == RefusalCode.BLANK_IMAGE


def test_grey_in_three_channels_has_the_range_of_its_bits_and_no_window(tmp_path: Path) -> None:
    pixels = (np.arange(24).reshape(4, 6, 1) * 10).repeat(3, axis=2)
    ds = colour_film(pixels)
    ds.WindowCenter, ds.WindowWidth = 40, 80
    np.testing.assert_allclose(_shares(ds, tmp_path), pixels[..., 0] / 255.0, atol=1e-6)


def test_a_palette_of_greys_reaches_as_far_as_its_entries(tmp_path: Path) -> None:
    index = np.arange(48).reshape(6, 8)
    ds = film(index, bits=8)
    ds.PhotometricInterpretation = "PALETTE COLOR"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelData = index.astype(np.uint8).tobytes()
    ds["PixelData"].VR = "OB"
    ramp = np.linspace(65535, 0, 256).round().astype("<u2")
    for colour in ("Red", "Green", "Blue"):
        ds.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, 16])
        ds.add_new(f"{colour}PaletteColorLookupTableData", "OW", ramp.tobytes())
    np.testing.assert_allclose(_shares(ds, tmp_path), ramp[index] / 65535.0, atol=1e-6)


@pytest.mark.parametrize("colour", [False, True])
def test_a_film_in_jpeg_is_what_pillow_sees(colour: bool, tmp_path: Path) -> None:
    rows = (np.add.outer(np.arange(64), 2 * np.arange(96)) * 255 // 254).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Picture.fromarray(np.dstack([rows, rows // 2, 255 - rows]) if colour else rows).save(buffer, "JPEG", quality=95)
    ds = colour_film(np.zeros((64, 96, 3))) if colour else film(rows.astype(int), bits=8)
    if not colour:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PhotometricInterpretation = "YBR_FULL_422" if colour else "MONOCHROME1"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([buffer.getvalue()])
    ds["PixelData"].VR = "OB"
    image = _read(ds, tmp_path)
    seen = np.asarray(Picture.open(io.BytesIO(buffer.getvalue())))
    if colour:
        assert image.intensity is Intensity.COLOUR
        np.testing.assert_allclose(image.array[..., 0].transpose(2, 1, 0).astype(int), seen, atol=1)
    else:
        assert image.shown == (0.0, 255.0)
        assert np.array_equal(image.slices()[0], 255 - seen.astype(int))


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("PA ERECT", "frontal"),
        ("AP LLD", "frontal"),
        ("L-LATERAL", "lateral"),
        ("XTABLE LATERAL", "lateral"),
        ("LLD", ""),
        ("LATERAL DECUBITUS", ""),
        ("PA/LAT", ""),
        ("RAO", ""),
        ("APICAL", ""),
    ],
)
def test_what_people_write_for_a_view(view: str, expected: str, tmp_path: Path) -> None:
    ds = film(RAMP)
    ds.PatientOrientation = ["L", "F"]
    ds.add_new("ViewPosition", "LO", view)  # Its own VR permits neither commas nor slashes, nor more than 16 letters.
    assert only_series(write({"a.dcm": ds}, tmp_path)).projection == expected


@pytest.mark.parametrize(
    ("directions", "expected"),
    [(["F", "L"], "frontal"), (["A", "F"], "lateral"), (["PL", "FR"], "lateral"), (["L", "P"], ""), (["L"], "")],
)
def test_a_film_that_lies_on_its_side_is_taken_from_the_same_side(
    directions: list[str], expected: str, tmp_path: Path
) -> None:
    ds = film(RAMP)
    ds.PatientOrientation = directions
    assert only_series(write({"a.dcm": ds}, tmp_path)).projection == expected
