"""A made-up CT series as its headers and planes, two labels on it, and where a label map's voxels lie."""

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from datasets.dicom_source import DicomSource, Plane
from datasets.geometry import Affine, Grid, grid_from_axes, lps_from_ras
from datasets.image import Image, Intensity
from datasets.io.dicom_seg import SegDescription, write_dicom_seg
from datasets.io.dicom_seg_reader import SegContent, read_dicom_seg
from datasets.labels import LIVER_AND_TUMOR

WHAT = SegDescription(LIVER_AND_TUMOR, "liver_ct compact", "0.1.0", "ab" * 32, "cd" * 32, "Liver and tumour")
# A frame of 11 x 13 pixels is no whole number of bytes: frames share bytes in the packed pixel data.
GRID = grid_from_axes((13, 11, 9), (0.8, 1.2, 2.5), np.diag([-1.0, -1.0, 1.0]), (10.0, -20.0, 33.0))


def header(number: int) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"1.2.3.4.{number + 1}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    dataset.Modality = "CT"
    dataset.PatientID, dataset.PatientName = "7", "Phantom^Seven"
    dataset.StudyDate, dataset.StudyTime = "20240229", "101500"
    dataset.SliceThickness = 3.0
    return dataset


def source_of(grid: Grid, affine: Affine | None = None) -> DicomSource:
    """A classic series, one instance per slice k; `affine` places the frames when they lie elsewhere than the grid."""
    lps = lps_from_ras(grid.affine if affine is None else affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    columns, rows, slices = grid.shape
    planes = [
        Plane(
            k,
            1,
            lps[:3, 3] + k * lps[:3, 2],
            lps[:3, 0] / spacing[0],
            lps[:3, 1] / spacing[1],
            (float(spacing[1]), float(spacing[0])),
            (rows, columns),
        )
        for k in range(slices)
    ]
    return DicomSource(tuple(header(k) for k in range(slices)), tuple(planes))


def two_labels(grid: Grid) -> Image:
    """Two boxes without symmetry, one inside the other, the liver present in some slices only."""
    array = np.zeros((1, *grid.shape), np.uint8)
    array[0, 2:9, 3:8, 2:7] = 1
    array[0, 2:4, 3:4, 2:6] = 0
    array[0, 5:8, 4:6, 3:5] = 2
    return Image(array, Intensity.LABEL, grid.affine)


def places(labels: Image) -> NDArray[np.float64]:
    """(N, 4): label and RAS mm of every labelled voxel, sorted."""
    index = np.argwhere(labels.array[0])
    values = labels.array[0][tuple(index.T)][:, np.newaxis]
    table = np.concatenate([values, labels.grid.points_mm(index).round(3) + 0.0], axis=1)
    return np.asarray(table[np.lexsort(table.T)])


def round_trip(labels: Image, source: DicomSource, folder: Path) -> SegContent:
    write_dicom_seg(labels, source, folder / "segmentation.dcm", WHAT)
    return read_dicom_seg(folder / "segmentation.dcm")


def source_of_files(folder: Path) -> DicomSource:
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted(folder.iterdir())]
    headers.sort(key=lambda h: float(h.ImagePositionPatient[2]))
    planes = []
    for number, h in enumerate(headers):
        axes = np.array(h.ImageOrientationPatient, np.float64)
        position, spacing = np.array(h.ImagePositionPatient, np.float64), (h.PixelSpacing[0], h.PixelSpacing[1])
        planes.append(Plane(number, 1, position, axes[:3], axes[3:], spacing, (h.Rows, h.Columns)))
    return DicomSource(tuple(headers), tuple(planes))
