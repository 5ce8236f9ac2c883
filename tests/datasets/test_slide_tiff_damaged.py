"""TIFF pyramids that are damaged, cut, hostile or not for us: refused with a code and a place."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.slide.opening import SlideFile
from datasets.slide import Slide
from tests.datasets import slide_files as files

RAMP = files.ramp(300, 200)
LEVELS = [RAMP, files.halved(RAMP), files.halved(RAMP, 4)]
NOISE = np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def _opened(path: Path) -> Slide:
    return SlideFile(path, "the slide")()


def _refused(path: Path) -> InputRefused:
    with pytest.raises(InputRefused) as told:
        _opened(path)
    return told.value


def _damage(path: Path, tile: int, how: str) -> None:
    with tifffile.TiffFile(path) as file:
        start, count = file.pages[0].dataoffsets[tile], file.pages[0].databytecounts[tile]
    whole = bytearray(path.read_bytes())
    middle = start + count // 2
    if how == "flipped":
        whole[middle : middle + 20] = bytes(byte ^ 0xFF for byte in whole[middle : middle + 20])
    elif how == "tail lost":
        whole[middle : start + count] = bytes(start + count - middle)
    else:
        whole[start : start + count] = bytes(count)
    path.write_bytes(whole)


@pytest.mark.parametrize("compression", ["jpeg", "zlib", "jpeg2000"])
@pytest.mark.parametrize("how", ["flipped", "tail lost", "zeros"])
def test_a_damaged_tile_is_refused_with_its_place_and_its_neighbours_are_read(
    tmp_path: Path, compression: str, how: str
) -> None:
    if (compression, how) == ("jpeg2000", "flipped"):
        pytest.skip("a JPEG 2000 stream with flipped bits is another valid stream")
    noise = NOISE if compression != "jpeg" else np.clip(RAMP.astype(int) + NOISE // 8, 0, 255).astype(np.uint8)
    path = files.write_pyramid(tmp_path / "a.tif", [noise], mpp=1.0, compression=compression)
    _damage(path, 7, how)
    with _opened(path) as slide:
        with pytest.raises(InputRefused) as told:
            slide.read(130.0, 70.0, 10, 10, 1.0)
        assert told.value.code == RefusalCode.UNREADABLE_TILE
        assert "tile (2, 1) of level 0, at column 128, row 64" in told.value.got
        assert "the slide" in told.value.got
        assert np.abs(slide.read(60.0, 10.0, 60, 40, 1.0).astype(int) - noise[10:50, 60:120]).max() <= 60
        assert slide.overview(8.0).unreadable_tiles == 1


def test_cut_files_are_refused(tmp_path: Path) -> None:
    path = files.write_pyramid(tmp_path / "a.tif", LEVELS)
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.98):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert _refused(path).code == RefusalCode.TRUNCATED_FILE
    path.write_bytes(whole[:3])
    assert _refused(path).code == RefusalCode.UNREADABLE_FILE
    path.write_bytes(b"no picture at all" * 9)
    assert _refused(path).code == RefusalCode.UNREADABLE_FILE


def test_what_is_no_picture_of_eight_bits_is_refused(tmp_path: Path) -> None:
    deep, stack, volume = tmp_path / "d.tif", tmp_path / "s.tif", tmp_path / "v.tif"
    tifffile.imwrite(deep, RAMP.astype(np.uint16), tile=(64, 64), photometric="rgb", metadata=None)
    tifffile.imwrite(stack, np.stack([RAMP] * 3), tile=(64, 64), photometric="rgb", metadata=None)
    tifffile.imwrite(volume, np.stack([RAMP] * 4), tile=(4, 64, 64), photometric="rgb", volumetric=True, metadata=None)
    for path in (deep, stack, volume):
        assert _refused(path).code == RefusalCode.UNSUPPORTED_DIMENSIONS


def test_a_compression_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = files.write_pyramid(tmp_path / "a.tif", [RAMP])
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["Compression"].overwrite(34661)  # JBIG
    assert _refused(path).code == RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX


def test_tiles_that_claim_gigabytes_are_refused(tmp_path: Path) -> None:
    path = files.write_pyramid(tmp_path / "a.tif", [RAMP])
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["TileWidth"].overwrite(2**16 - 16)
        file.pages[0].tags["TileLength"].overwrite(2**16 - 16)
    assert _refused(path).code == RefusalCode.UNSUPPORTED_DIMENSIONS


@pytest.mark.parametrize("seed", range(12))
def test_flipped_headers_are_read_or_refused_and_nothing_else(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    path = files.write_pyramid(tmp_path / "a.tif", [LEVELS[1], LEVELS[2]], compression="zlib")
    with tifffile.TiffFile(path) as file:
        places = [int(page.offset) + at for page in file.pages for at in range(200)]
    whole = bytearray(path.read_bytes())
    for _ in range(20):
        changed = whole.copy()
        for place in random.choice(places, 3):
            changed[place] = random.integers(256)
        path.write_bytes(changed)
        with suppress(InputRefused), _opened(path) as slide:
            pixels = slide.with_mpp(1.0).read(20.0, 20.0, 10, 10, 2.0)
            assert (pixels.shape, pixels.dtype) == ((10, 10, 3), np.uint8)
