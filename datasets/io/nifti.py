"""NIfTI in and out: geometry by stated rules, values exact, the fastest road between file and array.

Geometry is decided in `datasets.io.nifti_header`, which states its rules.
"""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from isal import igzip, isal_zlib

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Array, Image, Intensity
from datasets.io.atomic import atomic_path
from datasets.io.nifti_header import NiftiHeader, parse_header, truncated, unreadable
from datasets.study import Loaded

SUFFIXES = (".nii", ".nii.gz")
DESCRIPTION = "DenseLens. Research use only, not a medical device."

_IGZIP: Any = igzip.IGzipFile
_PIECE_BYTES = 4 * 2**20
# Deflate (RFC 1951) spends at least one bit on a length of at most 258 bytes and one on its distance: 1032 to 1.
_MAX_DEFLATE_RATIO = 1032
_BROKEN = (OSError, EOFError, zlib.error, cast("type[Exception]", isal_zlib.error))


def read_nifti(path: Path, intensity: Intensity = Intensity.HOUNSFIELD) -> Loaded:
    """Read a volume with its geometry.

    NIfTI does not say what its numbers mean. CT converters write Hounsfield units, and the volumes this project scores
    are CT, so that is the default; whoever reads masks or probabilities says so.

    Args:
        path: A .nii or .nii.gz file (NIfTI-1 or NIfTI-2, one file).
        intensity: What the numbers mean.

    Returns:
        An image of one channel. Whole numbers (after slope and intercept) are int16 where they fit, else int32; masks
        are uint8 where they fit; everything else is float32. A file of one slice gives K = 1.

    Raises:
        InputRefused: `unreadable_file`, `truncated_file`, `unsupported_dimensions` (4D and more, RGB),
            `empty_image` (an axis of length 0), `missing_orientation`, `no_spacing`, `not_finite` (NaN or infinity).
    """
    try:
        with _opened(path) as stream:
            header = parse_header(stream, path)
            stored = _read_values(stream, header, path)
    except EOFError as error:
        raise truncated(path, str(error)) from error
    except _BROKEN as error:
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    values = _scaled(stored, header.slope, header.intercept, intensity, path)
    return Loaded(Image.from_slices(values, intensity, header.grid.affine), header.repairs)


def read_header(path: Path) -> NiftiHeader:
    """Read what the header says, and check that the file is long enough to hold the values it promises.

    Raises:
        InputRefused: As `read_nifti`, but for what only the values show (`not_finite`, a damaged middle).
    """
    try:
        with _opened(path) as stream:
            header = parse_header(stream, path)
            _check_length(path, stream, header)
    except EOFError as error:
        raise truncated(path, str(error)) from error
    except _BROKEN as error:
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    return header


def write_nifti(image: Image, path: Path) -> None:
    """Write an image so that every reader puts it in the same place.

    Sform and qform carry the same affine with code 1 (scanner), units are mm; a sheared affine, which a qform cannot
    express, is written as sform alone. The same image gives the same bytes. The file appears whole or not at all.

    Args:
        image: Label maps are written as uint8 (int32 where values need it), probabilities as float32 (those counted
            in 1/255 as uint8 with that slope), others as they are. Several channels become a fourth axis.
        path: Ends in .nii or .nii.gz.

    Raises:
        ValueError: The image has no affine, or the path another ending.
        OSError: The folder cannot be written to.
    """
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"expected a path that ends in .nii or .nii.gz; got {path}")
    array, slope = _writable(image)
    header: Any = nib.nifti1.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_dtype(array.dtype)
    header.set_data_shape(image.shape if image.channels == 1 else (*image.shape, image.channels))
    header.set_sform(image.grid.affine, code=1)
    if image.grid.is_orthogonal:
        header.set_qform(image.grid.affine, code=1)
    header.set_xyzt_units("mm")
    header.set_slope_inter(slope, 0.0)
    header["descrip"] = DESCRIPTION
    header["vox_offset"] = 352
    # Fortran order of (I, J, K, C) is C order of (C, K, J, I).
    body = np.ascontiguousarray(array.transpose(0, 3, 2, 1))
    with atomic_path(path) as temporary, temporary.open("xb") as file:
        if path.name.endswith(".gz"):
            # Without a name and a time in it, the same image gives the same file.
            with _IGZIP(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                _write(packed, header.binaryblock, body)
        else:
            _write(file, header.binaryblock, body)


def _write(stream: Any, header: bytes, body: Array) -> None:
    stream.write(header + bytes(4))  # Four zeros: no extension follows.
    stream.write(body.reshape(-1).view(np.uint8).data)


def _writable(image: Image) -> tuple[Array, float]:
    """What is stored, and the slope that turns it into values."""
    array = image.array
    if image.intensity is Intensity.PROBABILITY and array.dtype == np.uint8:
        return array, 1.0 / 255.0
    if image.intensity is Intensity.PROBABILITY or array.dtype in (np.float64, np.float16):
        return array.astype(np.float32), 1.0
    if image.intensity is Intensity.LABEL or array.dtype == np.bool_:
        if array.dtype == np.bool_ or (array.min() >= 0 and array.max() <= 255):
            return array.astype(np.uint8), 1.0
        return array.astype(np.int32), 1.0
    return array, 1.0


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The decompressed bytes; whether the file is compressed is decided by its content, not by its name."""
    with path.open("rb") as file:
        if file.read(2) == b"\x1f\x8b":
            file.seek(0)
            with _IGZIP(fileobj=file, mode="rb") as packed:
                yield packed
        else:
            file.seek(0)
            yield file


def _read_values(stream: Any, header: NiftiHeader, path: Path) -> Array:
    """The stored numbers as (K, J, I), in the machine's byte order."""
    _check_promise(path, header)
    _skip(stream, header.offset)
    buffer = np.empty(header.size_bytes, dtype=np.uint8)
    view = buffer.data
    filled = 0
    # In pieces: isal's reader copies what it is asked for, and one piece of a whole volume would double the memory.
    while filled < len(view):
        count = stream.readinto(view[filled : filled + _PIECE_BYTES])
        if not count:
            raise EOFError(f"{filled} of {len(view)} bytes of voxels")
        filled += count
    _check_end(stream)
    stored = buffer.view(header.dtype).reshape(header.grid.shape[::-1])
    if not stored.dtype.isnative:
        stored = stored.byteswap(inplace=True).view(stored.dtype.newbyteorder("="))
    return stored


def _check_end(stream: Any) -> None:
    """Read on to the end of a compressed file, where its checksum stands: a damaged middle shows only there."""
    if isinstance(stream, _IGZIP):
        while stream.read(_PIECE_BYTES):
            pass


def _check_promise(path: Path, header: NiftiHeader) -> None:
    """Refuse what cannot be in the file before memory is asked for it: a small file can promise terabytes."""
    promised = header.offset + header.size_bytes
    stored = path.stat().st_size
    if promised > stored * _MAX_DEFLATE_RATIO + header.offset:
        raise EOFError(f"{stored} bytes for {promised} promised by the header")


def _check_length(path: Path, stream: Any, header: NiftiHeader) -> None:
    promised = header.offset + header.size_bytes
    stored = path.stat().st_size
    if not isinstance(stream, _IGZIP):
        if stored < promised:
            raise EOFError(f"{stored} of {promised} bytes")
        return
    _check_promise(path, header)
    with path.open("rb") as file:
        file.seek(-4, 2)
        told = int.from_bytes(file.read(4), "little")
    # A gzip file ends with its length modulo 2^32. Where that is not what the header promises, the file may still be
    # whole (several members, bytes after the voxels): only then is it worth decompressing to see.
    if told != promised % 2**32:
        _skip(stream, promised - stream.tell())


def _skip(stream: Any, to: int) -> None:
    """Go forward to a position; a stream that ends before raises EOFError."""
    missing = to - stream.tell()
    while missing > 0:
        piece = stream.read(min(missing, _PIECE_BYTES))
        if not piece:
            raise EOFError(f"an end {missing} bytes too early")
        missing -= len(piece)


def _scaled(stored: Array, slope: float, intercept: float, intensity: Intensity, path: Path) -> Array:
    """Apply slope and intercept: exactly in whole numbers where all are whole, else in float32."""
    if stored.dtype.kind == "f":
        return _scaled_float(stored, slope, intercept, intensity, path)
    ends = [int(stored.min()) * slope + intercept, int(stored.max()) * slope + intercept]
    if slope == round(slope) and intercept == round(intercept):
        dtype = _whole_type(min(ends), max(ends), intensity)
        if dtype is not None:
            return _scaled_whole(stored, int(slope), int(intercept), dtype)
    return _scaled_float(stored, slope, intercept, intensity, path)


def _whole_type(low: float, high: float, intensity: Intensity) -> type[np.integer[Any]] | None:
    if intensity is Intensity.LABEL and low >= 0 and high <= 255:
        return np.uint8
    for dtype in (np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return dtype
    return None


def _scaled_whole(stored: Array, slope: int, intercept: int, dtype: type[np.integer[Any]]) -> Array:
    # The result fits into dtype, so arithmetic that wraps at its width gives it exactly, without a wider copy.
    values: Array = stored.astype(dtype, copy=False)
    bits = 2 ** (8 * values.dtype.itemsize)
    unsigned = values.view(np.dtype(f"u{values.dtype.itemsize}"))
    if slope != 1:
        unsigned *= unsigned.dtype.type(slope % bits)
    if intercept != 0:
        unsigned += unsigned.dtype.type(intercept % bits)
    return values


def _scaled_float(stored: Array, slope: float, intercept: float, intensity: Intensity, path: Path) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        values: Array = stored.astype(np.float32, copy=False)
        if slope != 1.0:
            values *= np.float32(slope)
        if intercept != 0.0:
            values += np.float32(intercept)
        low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputRefused(
            RefusalCode.NOT_FINITE,
            "finite voxel values",
            f"{int((~np.isfinite(values)).sum())} voxels that are NaN or infinite in {path}",
            "replace them (in CT usually by -1024, air) and say so in your records",
        )
    # A mask saved as floats is still a mask.
    if (
        intensity is Intensity.LABEL
        and (dtype := _whole_type(low, high, intensity))
        and (values == np.rint(values)).all()
    ):
        return values.astype(dtype)
    return values
