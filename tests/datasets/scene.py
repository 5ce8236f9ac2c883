"""A scene known by formula, and the frames of a scanner that looks at it: where truths about geometry come from."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Points = NDArray[np.float64]
Scene = Callable[[Points], NDArray[np.int64]]

AIR_HU, TISSUE_HU = -1000, 40
# (centre RAS mm, semi-axes mm, HU); no two overlap, nothing is symmetric, so that any mix-up of axes shows.
ORGANS: tuple[tuple[Vector, Vector, int], ...] = (
    ((28, 4, 3), (25, 30, 22), 110),
    ((-34, -12, -5), (15, 20, 14), 160),
    ((-24, 24, 8), (14, 12, 11), -900),
    ((3, -37, 0), (9, 9, 60), 700),
)
RAMP_HU_PER_MM = (2.0, -3.0, 5.0)
TORSO = ((0.0, 0.0, 0.0), (66.0, 56.0, 45.0))


def organs_hu(points_mm: Points) -> NDArray[np.int64]:
    """Hounsfield units of the scene at points (..., 3) in RAS mm: homogeneous organs in tissue in air."""
    values = np.where(_inside(points_mm, *TORSO), TISSUE_HU, AIR_HU)
    for centre, semi_axes, value in ORGANS:
        values = np.where(_inside(points_mm, centre, semi_axes), value, values)
    return values


def ramp_hu(points_mm: Points) -> NDArray[np.int64]:
    """Hounsfield units that grow evenly in a slanted direction: interpolation gives them back but for rounding."""
    return np.rint(points_mm @ RAMP_HU_PER_MM).astype(np.int64)


def deep_in_organ(points_mm: Points, margin_mm: float) -> list[NDArray[np.bool_]]:
    """For each organ, which points lie at least `margin_mm` inside its surface."""
    return [
        _inside(points_mm, centre, (a - margin_mm, b - margin_mm, c - margin_mm)) for centre, (a, b, c), _ in ORGANS
    ]


def _inside(points_mm: Points, centre: Vector, semi_axes: Vector) -> NDArray[np.bool_]:
    return np.asarray((((points_mm - centre) / semi_axes) ** 2).sum(axis=-1) <= 1.0)


@dataclass(frozen=True)
class Acquisition:
    """Where a scanner's frames lie, in DICOM's terms (LPS mm).

    Attributes:
        offsets_mm: Where each frame lies along `step`, from the first.
        columns: Number of columns.
        rows: Number of rows.
        row_gap_mm: First value of PixelSpacing: distance between rows.
        column_gap_mm: Second value of PixelSpacing.
        along_row: Unit vector, columns grow.
        along_column: Unit vector, rows grow.
        step: Unit vector from frame to frame: the normal, unless the gantry is tilted.
        centre: Middle of the stack.
        scene: What stands in the scanner.
    """

    offsets_mm: tuple[float, ...] = tuple(4.0 * k for k in range(12))
    columns: int = 48
    rows: int = 40
    row_gap_mm: float = 3.0
    column_gap_mm: float = 3.0
    along_row: Vector = (1.0, 0.0, 0.0)
    along_column: Vector = (0.0, 1.0, 0.0)
    step: Vector = (0.0, 0.0, 1.0)
    centre: Vector = (1.5, -2.0, 0.5)
    scene: Scene = field(default=organs_hu)

    @property
    def normal(self) -> Points:
        """Unit vector perpendicular to the frames."""
        return np.cross(self.along_row, self.along_column)

    @property
    def gap_mm(self) -> float:
        """Distance between the first two frames along the normal; negative where they go down it."""
        return float((self.position_mm(1) - self.position_mm(0)) @ self.normal)

    def position_mm(self, k: int) -> Points:
        """ImagePositionPatient of frame k: the centre of its first pixel, LPS."""
        middle = (self.offsets_mm[0] + self.offsets_mm[-1]) / 2
        corner = np.asarray(self.centre) + (self.offsets_mm[k] - middle) * np.asarray(self.step)
        corner = corner - np.asarray(self.along_row) * self.column_gap_mm * (self.columns - 1) / 2
        # Sixteen characters of a decimal string are what a file can tell.
        return np.round(corner - np.asarray(self.along_column) * self.row_gap_mm * (self.rows - 1) / 2, 6)

    def frame_hu(self, k: int) -> NDArray[np.int64]:
        """Hounsfield units of frame k, (rows, columns)."""
        rows = np.arange(self.rows)[:, None, None] * (self.row_gap_mm * np.asarray(self.along_column))
        columns = np.arange(self.columns)[None, :, None] * (self.column_gap_mm * np.asarray(self.along_row))
        lps = self.position_mm(k) + rows + columns
        return self.scene(lps * (-1.0, -1.0, 1.0))

    def affine(self, gap_mm: float | None = None, shift_px: Vector = (0, 0, 0)) -> Points:
        """The truth: index (column, row, slice along the normal) to RAS mm.

        Args:
            gap_mm: Distance between slices; that of the first two frames along the normal when None.
            shift_px: Where in the first frame's own grid the first voxel lies.
        """
        affine = np.eye(4)
        affine[:3, 0] = np.asarray(self.along_row) * self.column_gap_mm
        affine[:3, 1] = np.asarray(self.along_column) * self.row_gap_mm
        affine[:3, 2] = self.normal * (self.gap_mm if gap_mm is None else gap_mm)
        affine[:3, 3] = self.position_mm(0) + affine[:3, :3] @ np.asarray(shift_px, dtype=float)
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine

    def shape(self, more_rows: int = 0, slices: int | None = None) -> tuple[int, int, int]:
        """Voxels along (column, row, slice)."""
        return self.columns, self.rows + more_rows, slices or len(self.offsets_mm)


def tilted(degrees: float, acquisition: Acquisition | None = None) -> Acquisition:
    """The same table feed under a gantry that leans: frames turn about the row axis and slide along their columns."""
    angle = np.radians(degrees)
    return replace(acquisition or Acquisition(), along_column=(0.0, float(np.cos(angle)), float(np.sin(angle))))


def oblique(first_degrees: float, second_degrees: float) -> Acquisition:
    """Frames turned about two axes, stacked along their normal."""
    a, b = np.radians((first_degrees, second_degrees))
    about_x = np.array([(1, 0, 0), (0, np.cos(a), -np.sin(a)), (0, np.sin(a), np.cos(a))])
    about_y = np.array([(np.cos(b), 0, np.sin(b)), (0, 1, 0), (-np.sin(b), 0, np.cos(b))])
    row, column, normal = (about_y @ about_x).T
    return Acquisition(along_row=tuple(row), along_column=tuple(column), step=tuple(normal))


PLAIN = Acquisition()
SHORT = Acquisition(offsets_mm=tuple(4.0 * k for k in range(5)), centre=(1.5, -2.0, -5.5))
# The same places, counted from head to feet.
DESCENDING = replace(PLAIN, offsets_mm=tuple(-4.0 * k for k in range(12)))
# From right to left as DICOM displays a sagittal frame: columns to the back, rows to the feet.
SAGITTAL = Acquisition(along_row=(0.0, 1.0, 0.0), along_column=(0.0, 0.0, -1.0), step=(-1.0, 0.0, 0.0), rows=30)
CORONAL = Acquisition(along_row=(1.0, 0.0, 0.0), along_column=(0.0, 0.0, -1.0), step=(0.0, 1.0, 0.0), rows=30)
OBLIQUE = oblique(30.0, 20.0)
FLAT_PIXELS = Acquisition(row_gap_mm=2.0, column_gap_mm=3.5, rows=56, columns=40)
# Mostly 4 mm, but 3 mm where somebody looked closely.
UNEVEN = Acquisition(offsets_mm=(0, 4, 8, 11, 14, 17, 20, 24, 28, 32, 36, 40, 44))
# Thick slices below the part that was asked for.
COARSE_ZONE = Acquisition(offsets_mm=(0, 4, 8, 12, 16, 20, 24, 32, 40, 48))
TILTED = tilted(15.0)
TILTED_BACK = tilted(-15.0)
TILTED_UNEVEN = tilted(15.0, UNEVEN)
JITTERED = Acquisition(offsets_mm=tuple(4.0 * k + 0.001 * (-1) ** k for k in range(12)))
