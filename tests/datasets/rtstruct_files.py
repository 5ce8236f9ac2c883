"""RT Structure Sets for tests: outlines of ellipsoids by formula, and files of any outlines."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from datasets.geometry import Grid, points_lps_from_ras
from datasets.io.dicom_uid import derive_uid
from datasets.io.rtstruct import STORAGE

Outlines = Sequence[tuple[str, NDArray[np.float64]]]
CLOSED, XOR = "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"


def circle(radius: float, corners: int = 180, centre: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """(corners, 2)."""
    angle = np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius + centre


def on_slice(grid: Grid, k: float, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 2) fractional (i, j) on slice k as (N, 3) RAS mm."""
    return grid.points_mm(np.column_stack([points, np.full(len(points), k)]))


def ellipsoid(grid: Grid, centre: Sequence[float], radii: Sequence[float]) -> list[tuple[str, NDArray[np.float64]]]:
    """Outlines on every slice; centre in voxels (i, j, k), radii in mm along the axes of the grid."""
    outlines = []
    for k in range(grid.shape[2]):
        height = (k - centre[2]) * grid.spacing_mm[2] / radii[2]
        if abs(height) < 1.0:
            scale = np.sqrt(1.0 - height**2) * np.asarray(radii[:2]) / np.asarray(grid.spacing_mm[:2])
            outlines.append((CLOSED, on_slice(grid, k, circle(1.0) * scale + np.asarray(centre[:2]))))
    return outlines


def inside_ellipsoid(grid: Grid, centre: Sequence[float], radii: Sequence[float]) -> NDArray[np.bool_]:
    """(K, J, I): voxels whose centres lie inside."""
    i, j, k = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    parts = [(n - c) * s / r for n, c, s, r in zip((i, j, k), centre, grid.spacing_mm, radii, strict=True)]
    return np.asarray((parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2 < 1.0).transpose(2, 1, 0))


def write_rtstruct(path: Path, rois: dict[str, Outlines], images: Sequence[Dataset]) -> Path:
    """Write outlines (RAS mm) drawn on a series; `images` are its headers."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = STORAGE, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = derive_uid("test structures", path.name, *rois)
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = STORAGE, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PatientID, dataset.PatientName = "RTSTRUCT", images[0].PatientID, "Nobody"
    dataset.StudyInstanceUID = images[0].StudyInstanceUID
    dataset.SeriesInstanceUID = derive_uid("test structures' series", path.name)
    dataset.StructureSetLabel = "TEST"
    dataset.ReferencedFrameOfReferenceSequence = Items([_references(images)])
    dataset.StructureSetROISequence = Items([])
    dataset.ROIContourSequence = Items([])
    for number, (name, outlines) in enumerate(rois.items(), start=1):
        item = Dataset()
        item.ROINumber, item.ROIName, item.ROIGenerationAlgorithm = number, name, "MANUAL"
        item.ReferencedFrameOfReferenceUID = images[0].FrameOfReferenceUID
        dataset.StructureSetROISequence.append(item)
        drawn = Dataset()
        drawn.ReferencedROINumber = number
        drawn.ContourSequence = Items([_contour(kind, points) for kind, points in outlines])
        dataset.ROIContourSequence.append(drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _contour(kind: str, points: NDArray[np.float64]) -> Dataset:
    item = Dataset()
    item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points)
    item.ContourData = [f"{value:.4f}" for value in points_lps_from_ras(points).ravel()]
    return item


def _references(images: Sequence[Dataset]) -> Dataset:
    frame, study, series = Dataset(), Dataset(), Dataset()
    frame.FrameOfReferenceUID = images[0].FrameOfReferenceUID
    series.SeriesInstanceUID = images[0].SeriesInstanceUID
    series.ContourImageSequence = Items([_image(image) for image in images])
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", images[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = Items([series])
    frame.RTReferencedStudySequence = Items([study])
    return frame


def _image(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item
