"""The header of a NIfTI file: where the voxels are and how their numbers are stored, by stated rules.

Geometry, as nibabel reads it: the sform where its code is above 0, else the qform where its code is above 0. Where both
codes are 0 the file does not say where the patient's right is; nibabel then invents an affine, this reader refuses.
Spatial units of metres and micrometres are turned into mm as the header states (nibabel ignores the units, ITK does
not), and told. Where the sform, the qform and pixdim do not agree, the choice is told.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from datasets.codes import RefusalCode, Repair, RepairCode
from datasets.errors import InputRefused
from datasets.geometry import Affine, Grid

_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_AGREEMENT_MM = 0.1
_AGREEMENT_RATIO = 1e-3


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """What a NIfTI file says before its values are read.

    Attributes:
        grid: Where the voxels are.
        dtype: Type of the stored numbers, in the file's byte order.
        slope: Stored numbers are multiplied by this.
        intercept: And this is added.
        offset: Where the values start, in bytes of the decompressed file.
        repairs: What about the geometry was decided.
    """

    grid: Grid
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    offset: int
    repairs: tuple[Repair, ...]

    @property
    def size_bytes(self) -> int:
        """Size of the values."""
        return math.prod(self.grid.shape) * self.dtype.itemsize


def parse_header(stream: Any, path: Path) -> NiftiHeader:
    """Read a header from the start of a decompressed stream.

    Args:
        stream: Binary and readable, at its start; afterwards just behind the header.
        path: Named in refusals.

    Raises:
        EOFError: The stream ends within the header.
        InputRefused: `unreadable_file`, `unsupported_dimensions`, `empty_image`, `missing_orientation`, `no_spacing`.
    """
    start = stream.read(4)
    kinds: tuple[Any, ...] = (nib.nifti1.Nifti1Header, nib.nifti2.Nifti2Header)
    for kind in kinds:
        size = int(kind.sizeof_hdr)
        if size in (int.from_bytes(start, "little"), int.from_bytes(start, "big")):
            rest = stream.read(size - 4)
            if len(rest) < size - 4:
                raise EOFError(f"{4 + len(rest)} bytes of a header of {size}")
            # check=False: nibabel's checks would put some fields right in silence; what matters is checked below.
            header = kind(start + rest, check=False)
            if bytes(header["magic"].item())[:2] != b"n+":
                raise unreadable(path, f"a header with magic {header['magic'].item()!r}")
            return _understand(header, path)
    raise unreadable(path, f"a file that starts with {start.hex() or 'nothing'}")


def _understand(header: Any, path: Path) -> NiftiHeader:
    shape = _shape(header, path)
    try:
        dtype = np.dtype(header.get_data_dtype())
        slope, intercept = header.get_slope_inter()
        offset = int(header["vox_offset"])
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise unreadable(path, f"a header that does not hold together ({error})") from error
    if dtype.names is not None:
        raise _dimensions(path, f"colour voxels {dtype.names}")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise unreadable(path, f"voxels of type {dtype}")
    affine, repairs = _geometry(header, shape, path)
    return NiftiHeader(
        Grid(shape, affine),
        dtype,
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
        max(offset, int(header.sizeof_hdr)),
        repairs,
    )


def _shape(header: Any, path: Path) -> tuple[int, int, int]:
    dims = [int(n) for n in header["dim"]]
    axes = dims[0]
    if not 1 <= axes <= 7:
        raise unreadable(path, f"a header that counts {axes} dimensions")
    shape = dims[1 : axes + 1]
    if min(shape) < 1:
        raise InputRefused(
            RefusalCode.EMPTY_IMAGE, "an image with voxels", f"the shape {tuple(shape)} in {path}", "export it again"
        )
    if axes < 2 or any(n > 1 for n in shape[3:]):
        raise _dimensions(path, f"the shape {tuple(shape)}")
    padded = [*shape, 1]
    return padded[0], padded[1], padded[2]


def _geometry(header: Any, shape: tuple[int, int, int], path: Path) -> tuple[Affine, tuple[Repair, ...]]:
    unit = header.get_xyzt_units()[0] if int(header["xyzt_units"]) & 7 in (0, 1, 2, 3) else "unknown"
    sform, qform = (_scaled(form, _MM_PER_UNIT[unit]) for form in _forms(header, path))
    chosen = sform if sform is not None else qform
    spacing = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64)) * _MM_PER_UNIT[unit]
    if chosen is None:
        if not (np.isfinite(spacing).all() and (spacing > 0).all()):
            raise _no_spacing(path, f"no sform, no qform and pixdim {spacing.tolist()}")
        raise InputRefused(
            RefusalCode.MISSING_ORIENTATION,
            "an sform or qform code above 0",
            f"both codes 0 in {path}, which leaves left and right unknown",
            "set the sform if you know it (nibabel: image.set_sform(affine, code=1)), or convert the source again",
        )
    try:
        grid = Grid(shape, chosen)
    except ValueError as error:
        raise _no_spacing(path, f"an affine that maps no volume ({chosen.tolist()})") from error
    repairs = [*_disagreements(grid, sform, qform, spacing), *_shear(grid)]
    if _MM_PER_UNIT[unit] != 1.0:
        message = f"the header counts in units of {unit}; the spacing in mm is {_told(grid.spacing_mm)}"
        repairs.append(Repair(RepairCode.UNITS_CONVERTED, message))
    return grid.affine, tuple(repairs)


def _scaled(form: Affine | None, mm_per_unit: float) -> Affine | None:
    return None if form is None else np.diag([mm_per_unit, mm_per_unit, mm_per_unit, 1.0]) @ form


def _forms(header: Any, path: Path) -> tuple[Affine | None, Affine | None]:
    sform = np.asarray(header.get_sform(), dtype=np.float64) if int(header["sform_code"]) > 0 else None
    qform = None
    if int(header["qform_code"]) > 0:
        try:
            qform = np.asarray(header.get_qform(), dtype=np.float64)
        except (HeaderDataError, ValueError) as error:
            if sform is None:
                raise _no_spacing(path, f"a qform that cannot be read ({error})") from error
    return sform, qform


def _disagreements(grid: Grid, sform: Affine | None, qform: Affine | None, pixdim: NDArray[np.float64]) -> list[Repair]:
    if sform is None:
        return []
    if not np.allclose(grid.spacing_mm, pixdim, rtol=_AGREEMENT_RATIO, atol=0.0):
        message = f"the sform's spacing {_told(grid.spacing_mm)} was taken; pixdim says {_told(pixdim)}"
        return [Repair(RepairCode.GEOMETRY_CHOSEN, message)]
    if qform is not None and abs(np.linalg.det(qform[:3, :3])) > 1e-9:
        other = Grid(grid.shape, qform)
        if not grid.matches(other, _AGREEMENT_MM):
            message = f"the sform ({grid.orientation}) was taken; the qform ({other.orientation}) lies elsewhere"
            return [Repair(RepairCode.GEOMETRY_CHOSEN, message)]
    return []


def _shear(grid: Grid) -> list[Repair]:
    """Leaning axes, as of a tilted gantry: measured right, because millimetres come from the affine, but told."""
    if grid.is_orthogonal:
        return []
    along = grid.direction
    leaning = max(abs(float(along[:, a] @ along[:, b])) for a, b in ((0, 1), (0, 2), (1, 2)))
    angle_deg = float(np.degrees(np.arcsin(min(1.0, leaning))))
    message = f"the axes lean by {angle_deg:.2f} degrees; the voxels were kept where they are, on that grid"
    return [Repair(RepairCode.SHEARED_GRID_KEPT, message)]


def _told(values: Any) -> str:
    return " x ".join(f"{float(v):.6g}" for v in values)


def unreadable(path: Path, got: str) -> InputRefused:
    """The refusal of a file that is no NIfTI."""
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        "a NIfTI file (.nii, .nii.gz)",
        f"{got} in {path}",
        "check that the file opens in a viewer, and convert or copy it again",
    )


def truncated(path: Path, got: str) -> InputRefused:
    """The refusal of a file that ends too early."""
    return InputRefused(
        RefusalCode.TRUNCATED_FILE,
        "a file as long as its header says",
        f"{got} in {path}",
        "copy or download the file again",
    )


def _dimensions(path: Path, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.UNSUPPORTED_DIMENSIONS,
        "one volume of grey values (2D or 3D)",
        f"{got} in {path}",
        "split the file into volumes, or convert colour to grey",
    )


def _no_spacing(path: Path, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.NO_SPACING,
        "a distance in mm between voxels",
        f"{got} in {path}",
        "convert the source images again with a tool that keeps their geometry",
    )
