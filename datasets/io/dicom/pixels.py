"""Pixels of DICOM frames: stored values as the header means them, and the numbers they stand for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.io.dicom.frames import Frame
from datasets.io.dicom.instance import PARSE_ERRORS, Instance, numbers_of
from datasets.io.dicom.jpeg_stream import JpegShape, jpeg_problem
from datasets.io.dicom.lookup_table import has_table, lookup_table
from datasets.io.dicom.pixel_element import truncated

# What stands for air where a CT shows nothing: the lowest value of twelve bits with the usual intercept.
AIR_HU = -1024.0
_PALETTE_PARTS = ("Descriptor", "Data")
_PALETTES = [f"{colour}PaletteColorLookupTable{part}" for colour in ("Red", "Green", "Blue") for part in _PALETTE_PARTS]
_PIXEL_TAGS = [
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PlanarConfiguration"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *_PALETTES,
]
_COLOUR = 3
_DECODE_ERRORS = (*PARSE_ERRORS, OSError, RuntimeError, IndexError)

Pixels = NDArray[Any]


class FrameReader:
    """Reads stored values of frames; keeps one file's compressed pixels, for frames that follow each other in it."""

    def __init__(self) -> None:
        self._held: tuple[Path, Dataset] | None = None

    def stored(self, frame: Frame) -> Pixels:
        """Stored values of a frame, unused bits cleared and the sign restored.

        Args:
            frame: Any frame of an image.

        Returns:
            (rows, columns) whole numbers, or floats where the file holds floats; (rows, columns, 3) RGB for colour.

        Raises:
            InputRefused: The pixels cannot be decoded.
        """
        instance = frame.instance
        try:
            dtype = _native_type(instance)
            if dtype is not None:
                return _meant_bits(_native(frame, dtype), instance)
            return self._decoded(frame)
        except BaseException as error:
            # A decoder written in Rust panics on damaged data, with an exception that is no `Exception` and that no
            # module offers for import.
            if not isinstance(error, _DECODE_ERRORS) and type(error).__name__ != "PanicException":
                raise
            raise InputRefused(
                RefusalCode.UNREADABLE_FILE,
                "pixels that can be decoded",
                f"{type(error).__name__} while decoding {instance.path.name}",
                "copy or export the file again",
            ) from error

    def _decoded(self, frame: Frame) -> Pixels:
        instance = frame.instance
        dataset = self._dataset(instance)
        decoder = get_decoder(instance.transfer_syntax)
        plugin = _plugin(instance, decoder.available_plugins)
        index = frame.number - 1
        if instance.transfer_syntax in JPEGTransferSyntaxes:
            _check_jpeg(get_frame(dataset.PixelData, index, number_of_frames=instance.frames), instance)
        if is_colour(instance):
            colour, _ = decoder.as_array(dataset, index=index, decoding_plugin=plugin)
            return apply_color_lut(colour, dataset) if colour.ndim == 2 else colour
        options: dict[str, Any] = {} if _codec_knows_its_bits(instance) else {"correct_unused_bits": False}
        values, _ = decoder.as_array(dataset, index=index, raw=True, decoding_plugin=plugin, **options)
        return values if _codec_knows_its_bits(instance) else _meant_bits(values, instance)

    def _dataset(self, instance: Instance) -> Dataset:
        if self._held is None or self._held[0] != instance.path:
            dataset = pydicom.dcmread(instance.path, force=True, specific_tags=list(_PIXEL_TAGS))
            dataset.file_meta.TransferSyntaxUID = instance.transfer_syntax
            self._held = (instance.path, dataset)
        return self._held[1]


def _check_jpeg(stream: bytes, instance: Instance) -> None:
    shape = JpegShape(
        instance.count("Rows"),
        instance.count("Columns"),
        instance.count("SamplesPerPixel", 1),
        instance.count("BitsAllocated"),
    )
    problem = jpeg_problem(stream, shape)
    if problem is not None:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            "a sound JPEG stream",
            f"{problem} in {instance.path.name}",
            "copy or export the file again",
        )


def is_colour(instance: Instance) -> bool:
    """Whether the pixels are colours, direct or through a palette."""
    return (
        instance.count("SamplesPerPixel", 1) == _COLOUR or instance.text("PhotometricInterpretation") == "PALETTE COLOR"
    )


def modality_values(stored: Pixels, frame: Frame) -> Pixels:
    """What stored values stand for: times slope plus intercept, or through the table of the modality.

    Args:
        stored: (rows, columns) stored values.
        frame: The frame they are from.

    Returns:
        (rows, columns): int32 where slope, intercept and stored values are whole and small enough, float64 otherwise.

    Raises:
        InputRefused: Its table cannot be read.
    """
    if has_table(frame.instance, "ModalityLUTSequence"):
        return _looked_up(stored, frame.instance)
    slope, intercept = frame.slope, frame.intercept
    whole = np.issubdtype(stored.dtype, np.integer) and stored.dtype.itemsize <= 2
    if whole and slope.is_integer() and intercept.is_integer() and abs(slope) < 2**14 and abs(intercept) < 2**29:
        values = stored.astype(np.int32)
        if slope != 1:
            values *= int(slope)
        values += int(intercept)
        return values
    return np.asarray(stored * np.float64(slope) + intercept)


def _looked_up(stored: Pixels, instance: Instance) -> Pixels:
    table = lookup_table(instance, "ModalityLUTSequence", signed=_is_signed(instance))
    if table is None:
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE,
            "a table of the modality's values that can be read",
            f"a damaged one in {instance.path.name}",
            "copy or export the file again",
        )
    return table(stored)


def padding_mask(stored: Pixels, instance: Instance) -> NDArray[np.bool_] | None:
    """Which stored values only fill the rectangle (PixelPaddingValue and its range); None where there are none."""
    limits = [
        _as_stored(limit[0], instance)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
        if (limit := numbers_of(instance.header, keyword, 1)) is not None
    ]
    if not limits or instance.text("PixelPaddingValue") == "":
        return None
    mask = stored == limits[0] if len(limits) == 1 else (stored >= min(limits)) & (stored <= max(limits))
    return mask if mask.any() else None


def stored_range(instance: Instance) -> tuple[int, int] | None:
    """The smallest and the largest value the stored bits can hold; None for pixels of floating point."""
    if instance.pixel_keyword != "PixelData":
        return None
    bits, _ = _bits(instance)
    low = -(2 ** (bits - 1)) if _is_signed(instance) else 0
    return low, low + 2**bits - 1


def same_picture(frames: Sequence[Frame]) -> bool:
    """Whether frames show the same values in the same way.

    Raises:
        InputRefused: One cannot be decoded.
    """
    reader = FrameReader()
    first = frames[0]
    values = modality_values(reader.stored(first), first)
    shown = first.instance.text("PhotometricInterpretation")
    return all(
        other.instance.text("PhotometricInterpretation") == shown
        and other.size == first.size
        and np.array_equal(values, modality_values(reader.stored(other), other))
        for other in frames[1:]
    )


def _native_type(instance: Instance) -> np.dtype[Any] | None:
    """NumPy type of pixels that can be read straight from the file; None where a decoder is needed."""
    if instance.pixel_offset is None or is_colour(instance) or instance.transfer_syntax.is_deflated:
        return None
    order = "<" if instance.transfer_syntax.is_little_endian else ">"
    bits = instance.count("BitsAllocated")
    if instance.pixel_keyword != "PixelData":
        return np.dtype(f"{order}f{4 if instance.pixel_keyword == 'FloatPixelData' else 8}")
    # Bytes of big endian files are swapped in pairs where they were written as words: the decoder knows.
    if bits not in (8, 16, 32) or (bits == 8 and order == ">"):
        return None
    return np.dtype(f"{order}{'i' if _is_signed(instance) else 'u'}{bits // 8}")


def _native(frame: Frame, dtype: np.dtype[Any]) -> Pixels:
    rows, columns = frame.size
    count = rows * columns
    offset = (frame.instance.pixel_offset or 0) + (frame.number - 1) * count * dtype.itemsize
    values = np.fromfile(frame.instance.path, dtype, count, offset=offset)
    if values.size < count:
        raise truncated(frame.instance.path, f"{values.size} of {count} pixels")
    return values.reshape(rows, columns)


def _meant_bits(values: Pixels, instance: Instance) -> Pixels:
    """The stored bits alone: what stands above or below them in a word is no part of the value."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if not np.issubdtype(values.dtype, np.integer):
        return values
    allocated = values.dtype.itemsize * 8
    bits, high = _bits(instance)
    if bits == allocated:
        return values
    # Moved to the top and back down, so that the shift down restores the sign where the type has one.
    values = np.left_shift(values, allocated - 1 - high)
    return np.right_shift(values, allocated - bits)


def _bits(instance: Instance) -> tuple[int, int]:
    """(bits stored, high bit), put right where they contradict the allocated bits or the padding value."""
    allocated = instance.count("BitsAllocated")
    bits = instance.count("BitsStored", allocated)
    bits = bits if 0 < bits <= allocated else allocated
    padding = numbers_of(instance.header, "PixelPaddingValue", 1)
    low = -(2 ** (bits - 1)) if _is_signed(instance) else 0
    if padding is not None and not low <= _as_stored(padding[0], instance) < low + 2**bits:
        # Padding outside the stored bits shows that the words are used whole; cut down, it would look like tissue.
        bits = allocated
    high = instance.count("HighBit", bits - 1)
    return bits, high if bits - 1 <= high < allocated else bits - 1


def _is_signed(instance: Instance) -> bool:
    return instance.count("PixelRepresentation") == 1


def _as_stored(value: float, instance: Instance) -> float:
    """A padding value in the number range of the allocated bits: its sign is often written in the wrong way."""
    if instance.pixel_keyword != "PixelData":
        return value
    words = 1 << max(1, instance.count("BitsAllocated", 16))
    wrapped = int(value) % words
    return wrapped - words if _is_signed(instance) and wrapped >= words // 2 else wrapped


def _codec_knows_its_bits(instance: Instance) -> bool:
    return instance.transfer_syntax in (*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes)


def _plugin(instance: Instance, available: Sequence[str]) -> str:
    """The decoder to use: the fastest that is exact, and never one under the GPL."""
    syntax = instance.transfer_syntax
    # The JPEG plugin of pylibjpeg is GPL and must not be picked where somebody has installed it.
    wanted = ("gdcm", "pyjpegls", "pillow") if syntax in JPEGTransferSyntaxes else ("pylibjpeg", "gdcm", "pydicom")
    return next((name for name in wanted if name in available), "")
