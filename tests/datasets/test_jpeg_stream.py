"""JPEG streams that must not get to a decoder, each made from a sound one by breaking one thing."""

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame

from datasets.io.dicom.jpeg_stream import JpegShape, jpeg_problem

SHAPE = JpegShape(rows=100, columns=100, samples=3, bits_allocated=8)


@pytest.fixture(scope="module")
def stream() -> bytes:
    """A lossless JPEG of 100 x 100 pixels in three colours that pydicom ships."""
    path = get_testdata_file("SC_rgb_jpeg_gdcm.dcm")
    assert isinstance(path, str)
    return get_frame(dcmread(path).PixelData, 0, number_of_frames=1)


def _at(stream: bytes, marker: int) -> int:
    place = stream.index(bytes((0xFF, marker)))
    assert stream.count(bytes((0xFF, marker)), 0, place + 1) == 0
    return place


def test_a_sound_stream_has_no_problem(stream: bytes) -> None:
    assert jpeg_problem(stream, SHAPE) is None


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (JpegShape(101, 100, 3, 8), "100 x 100 x 3 values for 100 x 101 x 3"),
        (JpegShape(100, 99, 3, 8), "for 99 x 100 x 3"),
        (JpegShape(100, 100, 1, 8), "for 100 x 100 x 1"),
    ],
)
def test_a_stream_of_another_shape(stream: bytes, shape: JpegShape, words: str) -> None:
    assert words in (jpeg_problem(stream, shape) or "")


@pytest.mark.parametrize("precision", [0, 1, 9, 16, 28, 247])
def test_more_bits_than_there_is_room_for(stream: bytes, precision: int) -> None:
    place = _at(stream, 0xC3) + 4
    broken = stream[:place] + bytes((precision,)) + stream[place + 1 :]
    assert f"{precision} bits per value" in (jpeg_problem(broken, SHAPE) or "")


def test_a_scan_without_its_tables(stream: bytes) -> None:
    place = _at(stream, 0xC4)
    # An application segment instead of the Huffman tables.
    broken = stream[: place + 1] + b"\xe5" + stream[place + 2 :]
    assert jpeg_problem(broken, SHAPE) == "a scan without its component or table"


def test_a_scan_of_an_unknown_component(stream: bytes) -> None:
    place = _at(stream, 0xDA) + 5
    broken = stream[:place] + b"\x77" + stream[place + 1 :]
    assert jpeg_problem(broken, SHAPE) == "a scan without its component or table"


def test_two_frame_headers(stream: bytes) -> None:
    start, end = _at(stream, 0xC3), _at(stream, 0xC3) + 2 + 8 + 9
    assert jpeg_problem(stream[:end] + stream[start:end] + stream[end:], SHAPE) == "two frame headers"


def test_streams_that_end_or_never_begin(stream: bytes) -> None:
    assert jpeg_problem(b"", SHAPE) == "no start of image"
    assert jpeg_problem(stream[1:], SHAPE) == "no start of image"
    for end in range(2, _at(stream, 0xDA) + 4):
        assert jpeg_problem(stream[:end], SHAPE) is not None
