"""Where voxels are: the grid, orientation letters, and the one place where LPS meets RAS.

An affine maps a voxel index (i, j, k), counted at voxel centres, to millimetres in RAS+ (coordinates grow towards the
patient's Right, Anterior, Superior), which is the convention of NIfTI. DICOM and ITK count towards Left, Posterior,
Superior; `ras_from_lps` and `lps_from_ras` are the only crossings.
"""

from dataclasses import dataclass
from functools import cached_property

import nibabel.orientations as nio
import numpy as np
from numpy.typing import ArrayLike, NDArray

Affine = NDArray[np.float64]

_FLIP_XY: Affine = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM3_PER_ML = 1000.0


def ras_from_lps(affine: ArrayLike) -> Affine:
    """Turn an affine whose world is LPS (DICOM, ITK) into one whose world is RAS (NIfTI).

    Args:
        affine: 4x4, index to mm in LPS.

    Returns:
        4x4, the same indices to mm in RAS. The operation is its own inverse.
    """
    return np.asarray(_FLIP_XY @ np.asarray(affine, dtype=np.float64), dtype=np.float64)


def lps_from_ras(affine: ArrayLike) -> Affine:
    """Turn an affine whose world is RAS (NIfTI) into one whose world is LPS (DICOM, ITK)."""
    return ras_from_lps(affine)


def points_lps_from_ras(points_mm: ArrayLike) -> NDArray[np.float64]:
    """Turn points (..., 3) in mm from RAS to LPS or back; an empty (0, 3) gives (0, 3)."""
    return np.asarray(np.asarray(points_mm) * (-1.0, -1.0, 1.0), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of voxels in the patient, without the voxels.

    Attributes:
        shape: Number of voxels along (i, j, k); 2D images have k = 1.
        affine: 4x4 float64, index (i, j, k) at voxel centres to mm in RAS+; read-only, copied from what was given.

    Raises:
        ValueError: The shape is not three positive numbers, or the affine is not an invertible, finite 4x4.
    """

    shape: tuple[int, int, int]
    affine: Affine

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"expected a shape of three positive sizes (i, j, k); got {self.shape}")
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"expected a finite 4x4 affine; got shape {affine.shape}: {affine.tolist()}")
        if not np.array_equal(affine[3], (0.0, 0.0, 0.0, 1.0)):
            raise ValueError(f"expected the last row of the affine to be 0 0 0 1; got {affine[3].tolist()}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError(f"expected an invertible affine; got {affine.tolist()}")
        affine.setflags(write=False)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "affine", affine)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxel centres along i, j and k."""
        return _triple(np.linalg.norm(self.affine[:3, :3], axis=0))

    @cached_property
    def direction(self) -> NDArray[np.float64]:
        """3x3; column a is the unit vector (RAS) along index axis a."""
        return np.asarray(self.affine[:3, :3] / np.asarray(self.spacing_mm), dtype=np.float64)

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """Centre of voxel (0, 0, 0) in RAS mm."""
        return _triple(self.affine[:3, 3])

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel; the determinant, so a sheared grid is measured right."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / _MM3_PER_ML)

    @property
    def orientation(self) -> str:
        """Three letters naming the patient direction each index axis is closest to, such as "LPS"."""
        return "".join(nio.aff2axcodes(self.affine))  # type: ignore[no-untyped-call]

    @property
    def is_orthogonal(self) -> bool:
        """Whether the index axes are perpendicular within 1e-4 (about 0.006 degrees)."""
        return bool(np.allclose(self.direction.T @ self.direction, np.eye(3), atol=1e-4))

    def points_mm(self, indices: ArrayLike) -> NDArray[np.float64]:
        """Map indices (..., 3), fractions allowed, to RAS mm (..., 3)."""
        return np.asarray(np.asarray(indices) @ self.affine[:3, :3].T + self.affine[:3, 3], dtype=np.float64)

    def indices(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Map RAS mm (..., 3) to fractional indices (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(np.asarray(points_mm) @ inverse[:3, :3].T + inverse[:3, 3], dtype=np.float64)

    def matches(self, other: "Grid", tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same shape and no corner differs by more than `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1).T
        return bool(np.abs(self.points_mm(corners) - other.points_mm(corners)).max() <= tolerance_mm)

    def cropped(self, box: tuple[slice, slice, slice]) -> "Grid":
        """The part of the grid in a box of indices (starts and stops set, step 1); voxels stay where they are."""
        affine = self.affine.copy()
        affine[:3, 3] = self.points_mm([part.start for part in box])
        i, j, k = (part.stop - part.start for part in box)
        return Grid((i, j, k), affine)

    def with_spacing(self, spacing_mm: tuple[float | None, float | None, float | None]) -> "Grid":
        """The grid that covers the same box with another spacing; None keeps an axis as it is.

        The outer faces of the first voxels stay where they are, and the number of voxels is rounded up, so that the
        whole box is covered, the last slice too, and less than one new voxel lies outside of it.
        """
        pairs = zip(self.spacing_mm, spacing_mm, strict=True)
        new = np.array([mine if asked is None else asked for mine, asked in pairs])
        ratio = new / np.asarray(self.spacing_mm)
        # The millionth keeps a size that is whole but for rounding from gaining a voxel.
        shape = np.maximum(1, np.ceil(np.asarray(self.shape) / ratio - 1e-6)).astype(int)
        scale = np.diag([*ratio, 1.0])
        # Voxel centres are counted, so keeping the outer face moves the first centre by half the change of size.
        scale[:3, 3] = (ratio - 1.0) / 2.0
        return Grid((int(shape[0]), int(shape[1]), int(shape[2])), self.affine @ scale)


def grid_from_axes(
    shape: tuple[int, int, int],
    spacing_mm: ArrayLike,
    direction: ArrayLike | None = None,
    origin_mm: ArrayLike = (0.0, 0.0, 0.0),
) -> Grid:
    """Build a grid from spacing, unit vectors and origin, all in RAS.

    Args:
        shape: (i, j, k).
        spacing_mm: Three positive distances.
        direction: 3x3 whose columns are unit vectors; identity when None.
        origin_mm: Centre of voxel (0, 0, 0).
    """
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if direction is None else np.asarray(direction)) * np.asarray(spacing_mm, dtype=float)
    affine[:3, 3] = np.asarray(origin_mm)
    return Grid(shape, affine)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
