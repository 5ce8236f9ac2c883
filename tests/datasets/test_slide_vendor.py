"""Slides through OpenSlide: what it reads, in our coordinates, and tiles after a damaged one."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.slide.tiff import TiffPyramid
from datasets.io.slide.vendor import VendorSlide, maker_of
from tests.datasets import slide_files as files

RAMP = files.ramp(1100, 700)
LEVELS = [RAMP, files.halved(RAMP, 4)]


def test_what_openslide_reads_lies_where_our_own_reader_has_it(tmp_path: Path) -> None:
    path = files.write_pyramid(tmp_path / "a.tif", [RAMP, files.halved(RAMP)], compression="zlib", mpp=(0.25, 0.25))
    assert maker_of(path) == "generic-tiff"
    with VendorSlide(path, "a.tif") as slide, TiffPyramid(path, "a.tif") as own:
        assert (slide.kind, slide.size_px, slide.mpp) == ("tiled TIFF", own.size_px, pytest.approx((0.25, 0.25)))
        for mpp in (0.2, 0.25, 0.5, 0.97, 4.0):
            one, other = slide.read(20.3, 11.1, 60, 40, mpp), own.read(20.3, 11.1, 60, 40, mpp)
            assert np.abs(one.astype(int) - other).max() <= 1
        assert np.array_equal(slide.read(0, 0, 1100, 700, 0.25), RAMP)
        assert np.abs(slide.overview(8.0).array.astype(int) - own.overview(8.0).array).max() <= 1


def test_after_a_damaged_tile_the_others_are_read(tmp_path: Path) -> None:
    path = files.write_pyramid(tmp_path / "a.tif", [RAMP], compression="jpeg", mpp=1.0)
    with tifffile.TiffFile(path) as file:
        start, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    whole = bytearray(path.read_bytes())
    whole[start : start + count] = bytes(count)
    path.write_bytes(whole)
    with VendorSlide(path, "a.tif") as slide:
        with pytest.raises(InputRefused) as told:
            slide.read(0, 0, 10, 10, 1.0)
        assert told.value.code == RefusalCode.UNREADABLE_TILE
        assert "tile (0, 0) of level 0" in told.value.got
        assert slide.overview(16.0).unreadable_tiles == 1
        assert np.abs(slide.read(600, 20, 50, 50, 1.0).astype(int) - RAMP[20:70, 600:650]).mean() <= 2


def test_files_that_openslide_does_not_know_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"nothing")
    assert maker_of(tmp_path / "a.mrxs") is None
    assert maker_of(tmp_path / "absent.ndpi") is None
    for name in ("a.mrxs", "absent.ndpi"):
        with pytest.raises(InputRefused) as told:
            VendorSlide(tmp_path / name, "the slide")
        assert told.value.code == RefusalCode.UNREADABLE_FILE
        assert "the slide" in told.value.got
