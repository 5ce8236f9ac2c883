"""Slide files whose pixels are known by formula."""

from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

Pixels = NDArray[np.uint8]
WSM = UID("1.2.840.10008.5.1.4.1.1.77.1.6")


def ramp(columns: int, rows: int) -> Pixels:
    """Red grows to the right, green downwards, blue along both: (rows, columns, 3), 8 bits."""
    x, y = np.arange(columns) + 0.5, np.arange(rows)[:, np.newaxis] + 0.5
    shades = (20 + 200 * x / columns + 0 * y, 10 + 220 * y / rows + 0 * x, 30 + 90 * x / columns + 90 * y / rows)
    return np.rint(np.stack(shades, axis=-1)).astype(np.uint8)


def halved(pixels: Pixels, by: int = 2) -> Pixels:
    """Averages of whole squares; what is left over at the right and below is cut off."""
    rows, columns = pixels.shape[0] // by, pixels.shape[1] // by
    cut = pixels[: rows * by, : columns * by].reshape(rows, by, columns, by, -1)
    return np.rint(cut.mean(axis=(1, 3))).astype(np.uint8)


def padded(pixels: Pixels, tile: int) -> Pixels:
    """Filled up with white to whole tiles."""
    rows, columns = pixels.shape[:2]
    return np.pad(pixels, ((0, -rows % tile), (0, -columns % tile), (0, 0)), constant_values=255)


def write_pyramid(
    path: Path,
    levels: list[Pixels],
    mpp: float | tuple[float, float] | None = 0.25,
    writer: dict[str, object] | None = None,
    **tags: object,
) -> Path:
    """A generic tiled TIFF: the levels are pages, the coarser ones marked as reduced."""
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    options: dict[str, object] = {"tile": (64, 64), "photometric": "rgb", "metadata": None, **tags}
    with tifffile.TiffWriter(path, **(writer or {})) as file:  # type: ignore[arg-type]
        for index, level in enumerate(levels):
            said = (
                {}
                if x is None or y is None
                else {"resolution": (1e4 / x / 2**index, 1e4 / y / 2**index), "resolutionunit": "CENTIMETER"}
            )
            file.write(level, subfiletype=int(index > 0), **said, **options)  # type: ignore[arg-type]
    return path


def write_wsm(
    folder: Path,
    levels: list[Pixels],
    mpp: tuple[float, float] | None = (0.5, 0.5),
    tile: int = 64,
    *,
    jpeg: bool = False,
    sparse_without: frozenset[tuple[int, int]] = frozenset(),
) -> list[Path]:
    """DICOM whole slide images, one file per level; TILED_SPARSE where tiles of (row, column) are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, level in enumerate(levels):
        rows, columns = level.shape[:2]
        places = [
            (r, c) for r in range(-(-rows // tile)) for c in range(-(-columns // tile)) if (r, c) not in sparse_without
        ]
        full = padded(level, tile)
        frames = [full[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile] for r, c in places]
        scale = levels[0].shape[1] / columns
        header = _wsm_header(number, level, tile, places if sparse_without else None, len(frames))
        if mpp is not None:
            measures = Dataset()
            measures.PixelSpacing = [round(mpp[1] * scale / 1000, 9), round(mpp[0] * scale / 1000, 9)]
            measures.SliceThickness = 0.001
            header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = Sequence([measures])
        if jpeg:
            # Coded as RGB, which the photometric interpretation says: no conversion of colours in between.
            header.PixelData = encapsulate(
                [imagecodecs.jpeg8_encode(f, level=95, colorspace="RGB", outcolorspace="RGB") for f in frames]
            )
            header.LossyImageCompression = "01"
        else:
            header.PixelData = np.stack(frames).tobytes()
        header["PixelData"].VR = "OB"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = WSM
        meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
        file = FileDataset("", header, preamble=b"\0" * 128, file_meta=meta)
        path = folder / f"level{number}.dcm"
        file.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


def _wsm_header(number: int, level: Pixels, tile: int, places: list[tuple[int, int]] | None, frames: int) -> Dataset:
    header = Dataset()
    header.ImageType = ["DERIVED" if number else "ORIGINAL", "PRIMARY", "VOLUME", "RESAMPLED" if number else "NONE"]
    header.SOPClassUID = WSM
    header.SOPInstanceUID = f"1.2.3.4.{number + 1}"
    header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    header.FrameOfReferenceUID = "1.2.3.3"
    header.Modality = "SM"
    header.PatientID = header.PatientName = "nobody"
    header.ContainerIdentifier = "slide"
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.Rows = header.Columns = tile
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    header.NumberOfFrames = frames
    header.TotalPixelMatrixRows, header.TotalPixelMatrixColumns = level.shape[:2]
    header.TotalPixelMatrixFocalPlanes = header.NumberOfOpticalPaths = 1
    header.ImagedVolumeWidth, header.ImagedVolumeHeight, header.ImagedVolumeDepth = 10.0, 10.0, 0.001
    header.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    header.FocusMethod, header.ExtendedDepthOfField = "AUTO", "NO"
    header.VolumetricProperties, header.SpecimenLabelInImage, header.BurnedInAnnotation = "VOLUME", "NO", "NO"
    header.LossyImageCompression = "00"
    header.DimensionOrganizationType = "TILED_SPARSE" if places else "TILED_FULL"
    path = Dataset()
    path.OpticalPathIdentifier = "0"
    header.OpticalPathSequence = Sequence([path])
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 20.0, 40.0
    header.TotalPixelMatrixOriginSequence = Sequence([origin])
    header.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    if places:
        header.PerFrameFunctionalGroupsSequence = Sequence(
            [_place(row * tile + 1, column * tile + 1) for row, column in places]
        )
    return header


def _place(row: int, column: int) -> Dataset:
    position = Dataset()
    position.RowPositionInTotalImagePixelMatrix, position.ColumnPositionInTotalImagePixelMatrix = row, column
    position.XOffsetInSlideCoordinateSystem = position.YOffsetInSlideCoordinateSystem = 0.0
    position.ZOffsetInSlideCoordinateSystem = 0.0
    frame = Dataset()
    frame.PlanePositionSlideSequence = Sequence([position])
    return frame
