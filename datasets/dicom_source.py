"""The DICOM instances behind an image: what objects made from it must reference, and where each frame lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from datasets.geometry import Affine, ras_from_lps
from datasets.io.dicom_uid import is_uid

# What an object that refers to an instance has to tell of it.
_NAMES = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


@dataclass(frozen=True, eq=False)
class Plane:
    """One frame of a source instance in the patient.

    Attributes:
        instance: Index into `DicomSource.datasets`.
        frame: Frame number within that instance, from 1 as DICOM counts.
        position_mm: Centre of the first pixel, LPS mm (3,), as ImagePositionPatient gives it.
        along_row: Unit vector (LPS) in which the column index grows.
        along_column: Unit vector (LPS) in which the row index grows.
        spacing_mm: (between rows, between columns), the order of PixelSpacing.
        size: (rows, columns).
    """

    instance: int
    frame: int
    position_mm: NDArray[np.float64]
    along_row: NDArray[np.float64]
    along_column: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    size: tuple[int, int]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector (LPS) perpendicular to the frame: along_row x along_column."""
        return np.cross(self.along_row, self.along_column)

    @property
    def affine(self) -> Affine:
        """4x4, (column, row, offset along the normal in mm) to RAS mm."""
        affine = np.eye(4)
        affine[:3, 0] = self.along_row * self.spacing_mm[1]
        affine[:3, 1] = self.along_column * self.spacing_mm[0]
        affine[:3, 2] = self.normal
        affine[:3, 3] = self.position_mm
        return ras_from_lps(affine)


@dataclass(frozen=True, eq=False)
class DicomSource:
    """Source instances of a volume, without pixels.

    Attributes:
        datasets: Headers of the instances (one for an enhanced multi-frame series), complete: identifiers that were
            blank in the files have been derived and filled in.
        planes: One per frame, ordered along the slice axis of the image they became (before any resampling of a
            tilted or unevenly spaced series).
    """

    datasets: tuple[Dataset, ...]
    planes: tuple[Plane, ...]

    @property
    def misnamed(self) -> tuple[str, ...]:
        """Keywords of identifiers that are no UIDs in some instance, to which no object can refer then."""
        names = (*_NAMES, "FrameOfReferenceUID") if self.planes else _NAMES
        return tuple(name for name in names if not all(is_uid(header.get(name)) for header in self.datasets))
