"""Where the pixels of a DICOM file are, and whether they are all there: told without decoding any."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, JPEGExtended12Bit

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.dicom.instance import Instance

_ITEM = 0xFFFEE000
_DELIMITER = 0xFFFEE0DD
_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
_EXPLICIT = (b"OB", b"OW", b"OF", b"OD", b"UN")
_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


@dataclass(frozen=True)
class PixelElement:
    """The element that holds the pixels.

    Attributes:
        keyword: "PixelData", "FloatPixelData" or "DoubleFloatPixelData".
        offset: Where its value starts in the file, in bytes.
        length: The length it declares; 0xFFFFFFFF for encapsulated pixels.
    """

    keyword: str
    offset: int
    length: int


def find_pixels(file: BinaryIO, header: Dataset) -> PixelElement | None:
    """The pixel element at which an open file stands; None where another element or the end stands there."""
    _, little = header.original_encoding
    start = file.tell()
    head = file.read(12)
    order = "<" if little else ">"
    # Some files switch to the other form half way; a length of the implicit form is even and never looks like these.
    size = 12 if head[4:6] in _EXPLICIT else 8
    if len(head) < size:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    keyword = _KEYWORDS.get(group << 16 | element)
    if keyword is None:
        return None
    (length,) = struct.unpack(order + "L", head[size - 4 : size])
    return PixelElement(keyword, start + size, length)


def native_bytes(instance: Instance, keyword: str = "PixelData") -> int:
    """Number of bytes that the instance's pixels take uncompressed; 0 where the header does not say."""
    samples = instance.count("SamplesPerPixel", 1)
    values = instance.frames * instance.count("Rows") * instance.count("Columns") * samples
    if instance.text("PhotometricInterpretation") == "YBR_FULL_422":
        values = values * 2 // 3
    return values * (_BITS.get(keyword) or instance.count("BitsAllocated")) // 8


def pixel_problem(instance: Instance, element: PixelElement, file: BinaryIO) -> InputRefused | None:
    """Why the pixels of an open file cannot be read whole; None where they seem fine."""
    syntax = instance.transfer_syntax
    # No decoder under a permissive licence reads the extended process with more than 8 bits.
    twelve_bit_jpeg = syntax == JPEGExtended12Bit and instance.count("BitsStored") > 8
    if twelve_bit_jpeg or not _can_decode(syntax):
        return InputRefused(
            RefusalCode.UNSUPPORTED_TRANSFER_SYNTAX,
            "pixels uncompressed or in RLE, JPEG, JPEG-LS or JPEG 2000",
            f"{syntax.name} in {instance.path.name}",
            "convert the series to a lossless syntax, for example with gdcmconv",
        )
    needed = native_bytes(instance, element.keyword)
    if element.length == 0 or needed == 0:
        return no_pixel_data(instance.path)
    size = os.fstat(file.fileno()).st_size
    if instance.is_encapsulated:
        whole = _fragments_are_whole(file, element.offset, size)
        return None if whole else truncated(instance.path, f"{size} bytes, cut inside the pixels")
    there = min(element.length, size - element.offset)
    return length_problem(instance, there, needed)


def length_problem(instance: Instance, there: int, needed: int) -> InputRefused | None:
    """Why `there` bytes of uncompressed pixels are not the `needed` ones of the header; None where they are."""
    if there < needed:
        return truncated(instance.path, f"{there} of {needed} pixel bytes")
    # Less than a row too much is padding that some writers add; a row too much shows that the size is wrong.
    if (there - needed) * instance.count("Rows") * instance.frames >= needed:
        return InputRefused(
            RefusalCode.INCONSISTENT_FRAMES,
            f"{needed} bytes for {instance.count('Columns')} x {instance.count('Rows')} pixels",
            f"{there} bytes in {instance.path.name}",
            "export the series again",
        )
    return None


def no_pixel_data(path: Path) -> InputRefused:
    """The refusal of an image whose pixels are absent."""
    return InputRefused(
        RefusalCode.NO_PIXEL_DATA,
        "an image with pixel data",
        f"{path.name} without any",
        "export the series again, with its pixels",
    )


def truncated(path: Path, got: str) -> InputRefused:
    """The refusal of a file that ends too early."""
    return InputRefused(
        RefusalCode.TRUNCATED_FILE, "a whole DICOM file", f"{got}: {path.name}", "copy or export the file again"
    )


def _can_decode(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _fragments_are_whole(file: BinaryIO, offset: int, size: int) -> bool:
    """Walk the items of encapsulated pixels to their end mark."""
    file.seek(offset)
    while True:
        head = file.read(8)
        if len(head) < 8:
            return False
        group, element, length = struct.unpack("<HHL", head)
        if group << 16 | element == _DELIMITER:
            return True
        if group << 16 | element != _ITEM or file.tell() + length > size:
            return False
        file.seek(length, os.SEEK_CUR)
