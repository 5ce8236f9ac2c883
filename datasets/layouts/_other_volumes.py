"""Volumes that are no NIfTI: NRRD and MetaImage as ITK reads them, TIFF stacks as nnU-Net lays them out."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import tifffile

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import Affine, Grid, ras_from_lps
from datasets.image import Array, Image, Intensity
from datasets.layouts._values import held
from datasets.study import Loaded

ITK_SUFFIXES = (".nrrd", ".mha")
TIFF_SUFFIXES = (".tif", ".tiff")

_CHANNEL_DIGITS = "_0000"
_TIFF_BROKEN = (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError, TypeError, RuntimeError)


def read_itk_header(path: Path) -> Grid:
    """Where the voxels of a NRRD or MetaImage file are.

    Raises:
        InputRefused: `unreadable_file`, `unsupported_dimensions` (no single volume), `missing_orientation` (a NRRD that
            names no space), `no_spacing`.
    """
    reader: Any = sitk.ImageFileReader()  # type: ignore[no-untyped-call]
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(path, "a NRRD or MetaImage file") from error
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
        raise _dimensions(path, f"{reader.GetDimension()} axes, {reader.GetNumberOfComponents()} numbers per voxel")
    if path.name.lower().endswith(".nrrd") and "NRRD_space" not in reader.GetMetaDataKeys():
        raise InputRefused(
            RefusalCode.MISSING_ORIENTATION,
            "a NRRD header with 'space'",
            f"none in {path}, which leaves left and right unknown",
            "write the space (left-posterior-superior) if you know it",
        )
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * np.asarray(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    columns, rows, slices = reader.GetSize()
    try:
        return Grid((columns, rows, slices), ras_from_lps(affine))
    except ValueError as error:
        raise InputRefused(
            RefusalCode.NO_SPACING, "axes that span a volume", f"{affine.tolist()} in {path}", "export it again"
        ) from error


def read_itk(path: Path, intensity: Intensity) -> Loaded:
    """Read a NRRD or MetaImage volume of one channel, in the types of `datasets.io.nifti.read_nifti`.

    Raises:
        InputRefused: As `read_itk_header`, and `not_finite`.
    """
    grid = read_itk_header(path)
    try:
        # One file, and never a list of them.
        reader: Any = sitk.ImageFileReader()  # type: ignore[no-untyped-call]
        reader.SetFileName(str(path))
        frames = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise _unreadable(path, "a whole NRRD or MetaImage file") from error
    return Loaded(Image.from_slices(held(frames, intensity, str(path)), intensity, grid.affine))


@dataclass(frozen=True, eq=False)
class TiffHeader:
    """What a TIFF says before it is decoded.

    Attributes:
        shape: (rows, columns), (rows, columns, 3) or (slices, rows, columns).
        is_colour: Whether the last axis counts colours.
        grid: Of a stack whose spacing is stated beside it; else None.
        repairs: What about the geometry was decided.
    """

    shape: tuple[int, ...]
    is_colour: bool
    grid: Grid | None = None
    repairs: tuple[Repair, ...] = ()


def read_tiff_header(path: Path) -> TiffHeader:
    """Read shape and grid of a TIFF.

    A stack gets a grid where nnU-Net's `<case>.json` with {"spacing": [slices, rows, columns]} lies beside it; which
    way is left nobody says, so its axes are taken as they come, and that is told.

    Raises:
        InputRefused: `unreadable_file`, `unsupported_dimensions`, `no_spacing` (that file says no three distances).
    """
    try:
        with tifffile.TiffFile(path) as file:
            shape, axes = tuple(int(n) for n in file.series[0].shape), str(file.series[0].axes)
    except _TIFF_BROKEN as error:
        raise _unreadable(path, "a TIFF file") from error
    is_colour = axes.endswith("S")
    if not 2 <= len(shape) <= 3 or (is_colour and shape[-1] != 3) or 0 in shape:
        raise _dimensions(path, f"the axes {axes} of {shape}")
    affine = None if is_colour or len(shape) == 2 else _stated_affine(path)
    if affine is None:
        return TiffHeader(shape, is_colour)
    message = "a TIFF stack tells no orientation; its axes were taken as columns, rows and slices"
    grid = Grid((shape[2], shape[1], shape[0]), affine)
    return TiffHeader(shape, False, grid, (Repair(RepairCode.GEOMETRY_CHOSEN, message),))


def read_tiff(path: Path, intensity: Intensity) -> Loaded:
    """Read a TIFF picture or stack.

    Returns:
        (1, columns, rows, slices), or (3, columns, rows, 1) of colours; an affine where `read_tiff_header` knows one.

    Raises:
        InputRefused: As `read_tiff_header`, `truncated_file`, `not_finite`.
    """
    header = read_tiff_header(path)
    try:
        values: Array = np.asarray(tifffile.imread(path)).reshape(header.shape)
    except _TIFF_BROKEN as error:
        raise InputRefused(
            RefusalCode.TRUNCATED_FILE, "a whole TIFF file", f"{type(error).__name__} in {path}", "copy it again"
        ) from error
    if header.is_colour:
        planes = np.ascontiguousarray(values.transpose(2, 0, 1))[:, np.newaxis].transpose(0, 3, 2, 1)
        return Loaded(Image(held(planes, intensity, str(path)), Intensity.COLOUR))
    stack = values if values.ndim == 3 else values[np.newaxis]
    frames = np.ascontiguousarray(held(stack, intensity, str(path)))
    affine = None if header.grid is None else header.grid.affine
    return Loaded(Image.from_slices(frames, intensity, affine), header.repairs)


def _stated_affine(path: Path) -> Affine | None:
    stem = path.name[: path.name.rfind(".")]
    names = [stem, *([stem[: -len(_CHANNEL_DIGITS)]] if stem[-5:-4] == "_" and stem[-4:].isdigit() else [])]
    beside = next((file for name in names if (file := path.with_name(f"{name}.json")).is_file()), None)
    if beside is None:
        return None
    try:
        between_slices, between_rows, between_columns = (
            float(v) for v in json.loads(beside.read_text(encoding="utf-8-sig"))["spacing"]
        )
        affine = np.diag([between_columns, between_rows, between_slices, 1.0])
        return Grid((1, 1, 1), affine).affine
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputRefused(
            RefusalCode.NO_SPACING,
            'a file {"spacing": [slices, rows, columns]} in mm',
            f"{type(error).__name__} in {beside}",
            "correct it, or remove it where the spacing is unknown",
        ) from error


def _unreadable(path: Path, expected: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE, expected, f"{path}", "check that the file opens in a viewer, and copy it again"
    )


def _dimensions(path: Path, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSUPPORTED_DIMENSIONS, "one volume or picture", f"{got} in {path}", "write one file per channel"
    )
