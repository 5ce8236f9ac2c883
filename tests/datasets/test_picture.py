"""Pictures against arrays they were made from."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.image import Intensity
from datasets.io.picture import read_picture, read_picture_header

ROWS, COLUMNS = 4, 6
GREY = np.arange(ROWS * COLUMNS, dtype=np.uint8).reshape(ROWS, COLUMNS)
RGB = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)


def _refused(path: Path) -> RefusalCode:
    with pytest.raises(InputRefused) as caught:
        read_picture(path)
    assert str(path) in caught.value.got
    return caught.value.code


def _png(depth: int, colour: int, rows: Any) -> bytes:
    """A PNG by the book (RFC 2083), for what pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], depth, colour, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_grey_is_indexed_by_column_and_row(tmp_path: Path) -> None:
    Pillow.fromarray(GREY).save(tmp_path / "a.png", dpi=(300, 300))
    loaded = read_picture(tmp_path / "a.png")
    image = loaded.image
    assert image.array.shape == (1, COLUMNS, ROWS, 1)
    assert image.array[0, 5, 2, 0] == GREY[2, 5]
    np.testing.assert_array_equal(image.slices()[0], GREY)
    assert image.array.dtype == np.uint8
    assert image.intensity is Intensity.GREY
    assert image.affine is None, "a resolution tag is no spacing"
    assert image.array.transpose(0, 3, 2, 1).flags.c_contiguous
    assert loaded.repairs == ()


def test_sixteen_bits_of_grey_are_kept(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 2800
    Pillow.fromarray(deep).save(tmp_path / "a.png")
    image = read_picture(tmp_path / "a.png").image
    assert image.array.dtype == np.uint16
    np.testing.assert_array_equal(image.slices()[0], deep)


def test_colour_has_three_channels(tmp_path: Path) -> None:
    Pillow.fromarray(RGB).save(tmp_path / "a.png")
    image = read_picture(tmp_path / "a.png").image
    assert image.intensity is Intensity.COLOUR
    np.testing.assert_array_equal(image.array[:, :, :, 0].transpose(2, 1, 0), RGB)
    assert image.array.transpose(0, 3, 2, 1).flags.c_contiguous


@pytest.mark.parametrize("opaque", [True, False])
def test_alpha_is_dropped_and_told(tmp_path: Path, opaque: bool) -> None:
    alpha = np.full_like(GREY, 255) if opaque else GREY
    Pillow.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "a.png")
    loaded = read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(loaded.image.array[:, :, :, 0].transpose(2, 1, 0), RGB)
    assert [repair.code for repair in loaded.repairs] == [RepairCode.COLOUR_CONVERTED]
    assert ("opaque" in loaded.repairs[0].message) is opaque
    Pillow.fromarray(np.dstack([GREY, alpha])).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png").image.slices()[0], GREY)


def test_palettes_become_what_they_stand_for(tmp_path: Path) -> None:
    for name, colours in (("grey", [[9, 9, 9], [200, 200, 200]]), ("colour", [[9, 0, 0], [0, 200, 7]])):
        picture = Pillow.fromarray(GREY % 2)
        picture.putpalette([value for colour in colours for value in colour])
        picture.save(tmp_path / f"{name}.png")
    grey, colour = read_picture(tmp_path / "grey.png"), read_picture(tmp_path / "colour.png")
    np.testing.assert_array_equal(grey.image.slices()[0], np.where(GREY % 2, 200, 9))
    assert colour.image.array[:, 1, 0, 0].tolist() == [0, 200, 7]
    assert {repair.code for repair in grey.repairs + colour.repairs} == {RepairCode.COLOUR_CONVERTED}


def test_black_and_white_becomes_grey(tmp_path: Path) -> None:
    Pillow.fromarray(GREY % 2 == 1).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").image.slices()[0], (GREY % 2) * 255)


@pytest.mark.parametrize(("colour_type", "channels", "alpha"), [(2, 3, False), (4, 1, True), (6, 3, True)])
def test_deep_pictures_of_several_channels_are_told_to_have_lost_depth(
    tmp_path: Path, colour_type: int, channels: int, alpha: bool
) -> None:
    planes = RGB[..., :channels]
    opaque = np.full((*planes.shape[:2], int(alpha)), 255, np.uint8)
    deep = (np.dstack([planes, opaque]).astype(np.uint16) * 256 + 0x7F).astype(">u2")
    (tmp_path / "a.png").write_bytes(_png(16, colour_type, deep))
    loaded = read_picture(tmp_path / "a.png")
    # Pillow has no grey with alpha of this depth and makes colour of it.
    np.testing.assert_array_equal(loaded.image.array[:, :, :, 0].transpose(2, 1, 0), np.broadcast_to(planes, RGB.shape))
    (told,) = loaded.repairs
    assert told.code is RepairCode.COLOUR_CONVERTED
    assert "16 bits per channel were reduced to 8" in told.message
    assert ("alpha" in told.message) is alpha


# EXIF 2.3, 4.6.4: where the stored first row and column are shown.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_applied_and_told(tmp_path: Path, orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(GREY).save(tmp_path / "a.png", exif=exif)
    loaded = read_picture(tmp_path / "a.png")
    truth = TURNS[orientation](GREY)
    np.testing.assert_array_equal(loaded.image.slices()[0], truth)
    header = read_picture_header(tmp_path / "a.png")
    assert (header.rows, header.columns) == truth.shape
    told = [repair.code for repair in loaded.repairs]
    assert told == ([RepairCode.ORIENTATION_APPLIED] if orientation > 1 else [])


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_read(tmp_path: Path, mode: str) -> None:
    Pillow.new(mode, (16, 8), 0 if mode != "CMYK" else (0, 0, 0, 255)).save(tmp_path / "a.jpg")
    loaded = read_picture(tmp_path / "a.jpg")
    assert loaded.image.shape == (16, 8, 1)
    assert loaded.image.channels == (1 if mode == "L" else 3)
    assert int(loaded.image.array.max()) <= 2
    assert bool(loaded.repairs) is (mode == "CMYK")


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_picture_cut_anywhere_is_refused(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(noise).save(buffer, "PNG" if ending == "png" else "JPEG")
    whole = buffer.getvalue()
    path = tmp_path / f"a.{ending}"
    for length in (0, 5, 30, len(whole) // 2, len(whole) * 9 // 10):
        path.write_bytes(whole[:length])
        code = _refused(path)
        assert code in (RefusalCode.TRUNCATED_FILE, RefusalCode.UNREADABLE_FILE)
    assert code is RefusalCode.TRUNCATED_FILE


def test_other_content_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"GIF89a" + bytes(100))
    assert _refused(path) is RefusalCode.UNREADABLE_FILE
    assert _refused(tmp_path / "none.png") is RefusalCode.UNREADABLE_FILE


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    small = _png(8, 0, GREY)
    for side in (10_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        chunk = b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        (tmp_path / "a.png").write_bytes(small[:12] + chunk + small[12 + len(chunk) :])
        assert _refused(tmp_path / "a.png") is RefusalCode.UNSUPPORTED_DIMENSIONS


def test_animations_are_refused(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(GREY + n) for n in (0, 90)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert _refused(tmp_path / "a.png") is RefusalCode.UNSUPPORTED_DIMENSIONS
