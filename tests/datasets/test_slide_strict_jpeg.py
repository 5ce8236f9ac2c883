"""JPEG tiles with damage that decoders pass over in silence."""

from collections.abc import Iterator

import imagecodecs
import numpy as np
import pytest
import tifffile

from datasets.io.slide.strict_jpeg import StrictJpeg
from tests.datasets import slide_files as files

PIXELS = np.clip(
    files.ramp(80, 48).astype(int) + np.random.default_rng(0).integers(-40, 40, (48, 80, 3)), 0, 255
).astype(np.uint8)
STREAM: bytes = imagecodecs.jpeg8_encode(PIXELS, level=90)
END = b"\xff\xd9"
GREY: bytes = imagecodecs.jpeg8_encode(PIXELS[..., 0].copy())


@pytest.fixture
def strict() -> Iterator[StrictJpeg]:
    checks = StrictJpeg()
    yield checks
    checks.close()


def test_sound_tiles_have_no_problem(strict: StrictJpeg) -> None:
    assert strict.problem(STREAM, None, (80, 48), 3) is None
    assert strict.problem(STREAM + b"\0", None, (80, 48), 3) is None
    assert strict.problem(GREY, None, (80, 48), 1) is None
    short = imagecodecs.jpeg8_encode(PIXELS[:16, :30].copy(), level=90)
    assert strict.problem(short, None, (30, 16), 3) is None  # shorter than the one before, no multiple of 16
    assert strict.problem(STREAM, None, (80, 48), 3) is None


def test_bytes_that_are_missing_are_told_although_a_decoder_gives_pixels(strict: StrictJpeg) -> None:
    for share in (0.5, 0.7, 0.9):
        cut = STREAM[: int(len(STREAM) * share)]
        assert imagecodecs.jpeg8_decode(cut + END).shape == PIXELS.shape
        assert strict.problem(cut + END, None, (80, 48), 3) is not None
        assert strict.problem(cut, None, (80, 48), 3) == "no end of image"
    assert strict.problem(GREY[: len(GREY) // 2], None, (80, 48), 1) == "no end of image"


def test_tiles_of_another_size_are_told_before_they_are_decoded(strict: StrictJpeg) -> None:
    assert strict.problem(STREAM, None, (80, 64), 3) is not None
    assert strict.problem(STREAM, None, (80, 48), 1) is not None
    assert strict.problem(b"", None, (80, 48), 3) is not None
    assert strict.problem(b"\xff\xd8", None, (80, 48), 3) is not None


def test_tables_that_all_tiles_share_are_taken_along(strict: StrictJpeg, tmp_path: object) -> None:
    path = f"{tmp_path}/a.tif"
    tifffile.imwrite(path, files.padded(PIXELS, 64), tile=(64, 64), photometric="rgb", compression="jpeg")
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        file.filehandle.seek(page.dataoffsets[0])
        stream = file.filehandle.read(page.databytecounts[0])
    tables_end = stream.index(b"\xff\xc0")
    tables, rest = stream[:tables_end] + END, b"\xff\xd8" + stream[tables_end:]
    assert strict.problem(stream, page.jpegtables, (64, 64), 3) is None
    # The frame header stands behind the quantisation tables, so without them the rest is not whole.
    assert strict.problem(rest, tables, (64, 64), 3) is None
