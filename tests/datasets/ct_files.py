"""DICOM datasets of a scene, written tag by tag, apart from the project's own writer: errors cannot cancel."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom import Sequence as Items
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

from tests.datasets.scene import PLAIN, Acquisition

ROOT = "1.2.826.0.1.3680043.10.543"
Files = dict[str, Dataset | bytes]


@dataclass(frozen=True)
class Header:
    """What the pixels of a frame mean and whose they are.

    Attributes:
        study: Number of the study.
        series: Number of the series within it.
        first: Number of the first instance.
        signed: PixelRepresentation.
        slope: RescaleSlope.
        intercept: RescaleIntercept.
        bits: BitsStored.
        padding: Stored value outside the circle inscribed in the frame.
    """

    study: int = 1
    series: int = 1
    first: int = 1
    signed: bool = True
    slope: float = 1.0
    intercept: float = 0.0
    bits: int = 16
    padding: int | None = None


CT = Header()


def slice_dataset(acquisition: Acquisition, k: int, header: Header = CT) -> Dataset:
    """Frame k as a CT Image."""
    ds = _instance(header, CTImageStorage, header.first + k)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.ImagePositionPatient = decimals(acquisition.position_mm(k))
    ds.ImageOrientationPatient = decimals((*acquisition.along_row, *acquisition.along_column))
    ds.PixelSpacing = decimals((acquisition.row_gap_mm, acquisition.column_gap_mm))
    ds.SliceThickness = decimals([abs(acquisition.gap_mm)])[0]
    ds.RescaleSlope, ds.RescaleIntercept = decimals((header.slope, header.intercept))
    ds.RescaleType = "HU"
    set_pixels(ds, stored(acquisition.frame_hu(k), header), header)
    return ds


def series(acquisition: Acquisition = PLAIN, header: Header = CT) -> list[Dataset]:
    """All frames, in the order of the acquisition, with instance numbers in that order."""
    return [slice_dataset(acquisition, k, header) for k in range(len(acquisition.offsets_mm))]


def enhanced(acquisition: Acquisition = PLAIN, order: Sequence[int] | None = None, header: Header = CT) -> Dataset:
    """An Enhanced CT Image whose frames are those named by `order`."""
    order = list(range(len(acquisition.offsets_mm)) if order is None else order)
    ds = _instance(header, EnhancedCTImageStorage, header.first)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    measures = Dataset()
    measures.PixelSpacing = decimals((acquisition.row_gap_mm, acquisition.column_gap_mm))
    measures.SliceThickness = decimals([abs(acquisition.gap_mm)])[0]
    orientation = Dataset()
    orientation.ImageOrientationPatient = decimals((*acquisition.along_row, *acquisition.along_column))
    rescale = Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = decimals((header.slope, header.intercept))
    rescale.RescaleType = "HU"
    shared = Dataset()
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    shared.PixelValueTransformationSequence = Items([rescale])
    ds.SharedFunctionalGroupsSequence = Items([shared])
    ds.PerFrameFunctionalGroupsSequence = Items([_frame_groups(acquisition, k) for k in order])
    ds.NumberOfFrames = len(order)
    set_pixels(ds, np.stack([stored(acquisition.frame_hu(k), header) for k in order]), header)
    return ds


def _frame_groups(acquisition: Acquisition, k: int) -> Dataset:
    position, content, groups = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient = decimals(acquisition.position_mm(k))
    content.StackID, content.InStackPositionNumber = "1", k + 1
    content.DimensionIndexValues = [1, k + 1]
    groups.PlanePositionSequence = Items([position])
    groups.FrameContentSequence = Items([content])
    return groups


def without_pixels(sop_class: str, modality: str, header: Header = CT) -> Dataset:
    """An object of the study that holds no image, such as a report."""
    ds = _instance(header, sop_class, 1)
    ds.Modality = modality
    ds.SeriesInstanceUID = f"{ROOT}.{header.study}.{header.series}.9"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{ds.SeriesInstanceUID}.{len(modality)}")
    return ds


def _instance(header: Header, sop_class: str, number: int) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = sop_class
    ds.StudyInstanceUID = f"{ROOT}.{header.study}"
    ds.SeriesInstanceUID = f"{ROOT}.{header.study}.{header.series}"
    ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.{number}"
    ds.FrameOfReferenceUID = f"{ROOT}.{header.study}.0"
    ds.Modality = "CT"
    ds.PatientName = ds.PatientID = f"Phantom{header.study}"
    ds.StudyDate, ds.StudyTime = "20240102", "030405"
    ds.SeriesNumber, ds.InstanceNumber = header.series, number
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def stored(hu: NDArray[np.int64], header: Header) -> NDArray[np.int64]:
    """The values that a file holds for Hounsfield units (rows, columns)."""
    values: NDArray[np.int64] = np.rint((hu - header.intercept) / header.slope).astype(np.int64)
    if header.padding is None:
        return values
    return np.where(outside_circle(hu.shape), header.padding, values)


def outside_circle(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels outside the ellipse inscribed in a frame of that shape."""
    first, second = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    return np.asarray(first**2 + second**2 > 1.0)


def set_pixels(ds: Dataset, values: NDArray[np.int64], header: Header) -> None:
    """Put stored values (…, rows, columns) into a dataset, in words of 16 bits."""
    ds.Rows, ds.Columns = values.shape[-2:]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, header.bits, header.bits - 1
    ds.PixelRepresentation = int(header.signed)
    if header.padding is not None:
        ds.add_new("PixelPaddingValue", "SS" if header.signed else "US", header.padding)
    ds.PixelData = values.astype("<i2" if header.signed else "<u2").tobytes()
    ds["PixelData"].VR = "OW"


def decimals(values: Sequence[float] | NDArray[np.float64]) -> list[DSfloat]:
    """Decimal strings of at most sixteen characters, as files hold them."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def write(files: Files, folder: Path) -> list[Path]:
    """Write files by their names, folders among them; datasets in the transfer syntax they name."""
    paths = []
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
