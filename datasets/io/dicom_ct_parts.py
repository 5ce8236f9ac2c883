"""What classic and enhanced CT instances share when an image is written: options, planes, identity, pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pydicom.valuerep import DSfloat

from datasets.errors import ConfigError
from datasets.geometry import Grid, lps_from_ras
from datasets.image import Image
from datasets.io.atomic import atomic_path
from datasets.io.dicom_uid import derive_uid

IMPLEMENTATION = derive_uid("implementation", "ct writer")
_NO_DATE, _NO_TIME = "20000101", "120000"


class Compression(StrEnum):
    """Transfer syntax of the pixels; all are lossless."""

    NONE = "none"
    DEFLATED = "deflated"
    RLE = "rle"
    JPEG_2000 = "jpeg_2000"
    JPEG_LS = "jpeg_ls"


_SYNTAX = {
    Compression.NONE: ExplicitVRLittleEndian,
    Compression.DEFLATED: DeflatedExplicitVRLittleEndian,
    Compression.RLE: RLELossless,
    Compression.JPEG_2000: JPEG2000Lossless,
    Compression.JPEG_LS: JPEGLSLossless,
}
_ENCAPSULATED = {Compression.RLE, Compression.JPEG_2000, Compression.JPEG_LS}


@dataclass(frozen=True)
class CtSeriesOptions:
    """How a CT series is written. Each option stands on its own; the defaults make a plain, honest series.

    Attributes:
        study: Text from which StudyInstanceUID and FrameOfReferenceUID derive; the same text, the same study.
        series: Text from which, with `study`, SeriesInstanceUID and SOPInstanceUIDs derive.
        series_number: SeriesNumber.
        description: SeriesDescription.
        image_type: ImageType; ("ORIGINAL", "PRIMARY", "LOCALIZER") makes localizers.
        slice_thickness_mm: SliceThickness; None writes the distance between the planes, anything else may be a lie.
        instance_numbers: InstanceNumber of each slice k, which also names its file `IM0001.dcm`; 1, 2, 3 … when None.
        signed: PixelRepresentation 1 or 0.
        bits_stored: 2..16, in words of 16 bits.
        slopes: RescaleSlope, taken in turn by the slices; one value serves all.
        intercepts: RescaleIntercept, taken in turn by the slices.
        padding: Stored value outside the circle inscribed in each frame, also written as PixelPaddingValue; None: no
            padding.
        monochrome1: PhotometricInterpretation MONOCHROME1 instead of MONOCHROME2; the stored values are the same.
        gantry_tilt_deg: GantryDetectorTilt, a tag that moves nothing; geometry is the image's affine. None: no tag.
        compression: Transfer syntax.
    """

    study: str = "phantom"
    series: str = "1"
    series_number: int = 1
    description: str = "Phantom"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    slice_thickness_mm: float | None = None
    instance_numbers: tuple[int, ...] | None = None
    signed: bool = True
    bits_stored: int = 16
    slopes: tuple[float, ...] = (1.0,)
    intercepts: tuple[float, ...] = (0.0,)
    padding: int | None = None
    monochrome1: bool = False
    gantry_tilt_deg: float | None = None
    compression: Compression = Compression.NONE

    def rescale(self, k: int) -> tuple[float, float]:
        """Slope and intercept of slice k."""
        return self.slopes[k % len(self.slopes)], self.intercepts[k % len(self.intercepts)]

    def uid(self, *parts: str) -> UID:
        """A UID that depends on the study and the given parts."""
        return UID(derive_uid("ct", self.study, *parts))

    def number(self, k: int) -> int:
        """InstanceNumber of slice k."""
        return k + 1 if self.instance_numbers is None else self.instance_numbers[k]


PLAIN = CtSeriesOptions()


@dataclass(frozen=True, eq=False)
class FrameGeometry:
    """Where the frames of an image lie, as DICOM tells it (LPS).

    Attributes:
        positions_mm: (K, 3), centre of the first pixel of each frame.
        orientation: Direction cosines of the row, then of the column.
        spacing_mm: (between rows, between columns).
        step_mm: Distance between neighbouring planes along their normal.
    """

    positions_mm: NDArray[np.float64]
    orientation: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    step_mm: float


def save(dataset: Dataset, path: Path) -> None:
    """Write one instance, whole or not at all."""
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def frame_geometry(grid: Grid) -> FrameGeometry:
    """Say where the slices of a grid lie, as DICOM does.

    Raises:
        ConfigError: Rows and columns of a slice are not perpendicular.
    """
    lps = Grid(grid.shape, lps_from_ras(grid.affine))
    row, column = lps.direction[:, 0], lps.direction[:, 1]
    if abs(row @ column) > 1e-4:
        raise ConfigError("slices whose rows and columns are perpendicular", str(grid.direction), "sample a CT grid")
    positions = lps.points_mm([(0, 0, k) for k in range(grid.shape[2])])
    step = abs(float(np.cross(row, column) @ lps.affine[:3, 2]))
    return FrameGeometry(positions, np.concatenate((row, column)), (lps.spacing_mm[1], lps.spacing_mm[0]), step)


def stored_values(image: Image, k: int, options: CtSeriesOptions) -> NDArray[Any]:
    """The words (rows, columns) that hold slice k, 16 bits each.

    Raises:
        ConfigError: They do not fit the bits.
    """
    slope, intercept = options.rescale(k)
    values = np.rint((image.slices()[k].astype(np.float64) - intercept) / slope).astype(np.int64)
    if options.padding is not None:
        values[~_inscribed(values.shape)] = options.padding
    low, high = (-(1 << options.bits_stored - 1), (1 << options.bits_stored - 1) - 1)
    if not options.signed:
        low, high = 0, (1 << options.bits_stored) - 1
    if values.min() < low or values.max() > high:
        got = f"{values.min()}..{values.max()} with intercept {intercept} and slope {slope} in slice {k}"
        raise ConfigError(f"stored values within {low}..{high}", got, "choose another intercept, slope or more bits")
    return np.asarray(values, dtype="<i2" if options.signed else "<u2")


def new_file(sop_class: UID, uid: UID, compression: Compression) -> FileDataset:
    """An instance with file meta information and nothing else but its identity."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if compression in _ENCAPSULATED else _SYNTAX[compression]
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # type: ignore[arg-type]
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid
    return dataset


def describe_study(dataset: Dataset, options: CtSeriesOptions) -> None:
    """Fill patient, study, series, frame of reference and equipment, neutral and without a clock."""
    dataset.PatientName, dataset.PatientID = "Phantom^CT", "PHANTOM"
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = options.uid("study"), options.uid("frame of reference")
    dataset.SeriesInstanceUID = options.uid("series", options.series)
    dataset.StudyID, dataset.SeriesNumber = "1", options.series_number
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = _NO_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = _NO_TIME
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    dataset.StudyDescription, dataset.SeriesDescription = "Phantom", options.description
    dataset.Modality, dataset.PatientPosition, dataset.BodyPartExamined = "CT", "HFS", "ABDOMEN"
    dataset.Manufacturer, dataset.ManufacturerModelName = "DenseLens", "Phantom"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", "1"


def set_pixels(dataset: Dataset, frames: Sequence[NDArray[Any]], options: CtSeriesOptions) -> None:
    """Fill the image pixel module and compress where asked."""
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if options.monochrome1 else "MONOCHROME2"
    dataset.Rows, dataset.Columns = frames[0].shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, options.bits_stored, options.bits_stored - 1
    dataset.PixelRepresentation = int(options.signed)
    pixels = b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames)
    dataset.add_new("PixelData", "OW", pixels)
    if options.compression in _ENCAPSULATED:
        dataset.compress(_SYNTAX[options.compression], generate_instance_uid=False)


def set_padding(dataset: Dataset, options: CtSeriesOptions) -> None:
    """Tell which stored value is padding, if there is one."""
    if options.padding is not None:
        dataset.add_new("PixelPaddingValue", "SS" if options.signed else "US", options.padding)


def decimals(values: Sequence[float] | NDArray[np.float64]) -> list[DSfloat]:
    """Decimal strings of at most 16 characters, as precise as they can be."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def _inscribed(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in shape)
    # An ellipse where the frame is no square; its half axes reach the outer edges of the pixels.
    return np.asarray((rows[:, None] / (shape[0] / 2)) ** 2 + (columns / (shape[1] / 2)) ** 2 <= 1)
