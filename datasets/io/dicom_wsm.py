"""Writes slides as DICOM VL Whole Slide Microscopy: one instance per level of a pyramid, in one series.

PS3.3 A.32.8; TILED_FULL, so that a tile's place follows from its number. Frames are encoded one by one into a file of
their own before the instance is put together, so that memory stays small.
"""

import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Literal

import numpy as np
from PIL import ImageCms
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from datasets.errors import ConfigError
from datasets.io.atomic import atomic_path
from datasets.io.dicom_ct_parts import decimals
from datasets.io.dicom_uid import derive_uid
from datasets.io.slide_pyramid import PyramidLevel, SlideSource, encode_jpeg, plan_levels, tiles

_NO_DATE, _NO_TIME = "20000101", "120000"
_WHITE, _CHANNELS = 255, 3
# The glass is 1 mm thick, a section some micrometres.
_SECTION_UM = 4.0
_MPP_TIMES_MAGNIFICATION = 10.0
_MOST_BYTES = 2**32 - 2
# Where a profile tells when it was made and what its checksum is.
_PROFILE_DATE, _PROFILE_ID = slice(24, 36), slice(84, 100)
_BRIGHT_FIELD = ("111744", "DCM", "Brightfield illumination")
_FULL_SPECTRUM = ("414298005", "SCT", "Full Spectrum")
_SLIDE = ("433466003", "SCT", "Microscope slide")


@dataclass(frozen=True)
class WsmOptions:
    """How a slide is written.

    Attributes:
        study: Text from which StudyInstanceUID and the other identifiers derive; the same text, the same study.
        series: Text from which, with `study`, SeriesInstanceUID and SOPInstanceUIDs derive.
        compression: "jpeg" (baseline, lossy) or "none".
        quality: Of JPEG, 1 to 100.
        tile_px: Edge of a tile, even.
        factor: By how much each level is coarser than the one before.
        smallest_px: Levels are added until neither edge exceeds this.
    """

    study: str = "slide phantom"
    series: str = "1"
    compression: Literal["jpeg", "none"] = "jpeg"
    quality: int = 88
    tile_px: int = 256
    factor: int = 2
    smallest_px: int = 512

    def uid(self, *parts: str) -> UID:
        """A UID that depends on the study and the given parts."""
        return UID(derive_uid("wsm", self.study, *parts))


PLAIN = WsmOptions()


def write_dicom_wsm(source: SlideSource, folder: Path, mpp: float, options: WsmOptions = PLAIN) -> list[Path]:
    """Write a slide as a series of VL Whole Slide Microscopy Image instances.

    Args:
        source: `size_um` and `read` of RGB pixels: a phantom or an open slide.
        folder: Made when missing.
        mpp: Edge of a pixel of the finest level in um.
        options: How to write it.

    Returns:
        One file per level, finest first: `level-0.dcm`, `level-1.dcm` ….

    Raises:
        ConfigError: Options, size or pixels do not go together, or a level takes 4 GB or more.
        OSError: The folder cannot be written to.
    """
    levels = plan_levels(source.size_um, mpp, options.factor, options.smallest_px)
    probe = source.read(0.0, 0.0, 1, 1, mpp)
    if probe.dtype != np.uint8 or probe.shape[2:] != (_CHANNELS,) or options.tile_px < 2 or options.tile_px % 2:
        got = f"{probe.dtype} {probe.shape}, {options.tile_px} px"
        raise ConfigError("uint8 RGB and tiles of an even number of pixels", got, "convert the pixels")
    paths = []
    for number, level in enumerate(levels):
        path = folder / f"level-{number}.dcm"
        with tempfile.TemporaryFile() as frames:
            lengths = _encode(source, level, frames, options)
            _check_size(level, lengths)
            header = _header(number, levels, sum(lengths), options)
            with atomic_path(path) as temporary:
                header.save_as(temporary, enforce_file_format=True)
                with temporary.open("ab") as file:
                    _append_pixels(file, frames, lengths, options)
        paths.append(path)
    return paths


def _encode(source: SlideSource, level: PyramidLevel, file: IO[bytes], options: WsmOptions) -> list[int]:
    """Write the frames one after another, each of an even number of bytes; returns their lengths."""
    lengths = []
    for tile in tiles(source, level, options.tile_px, _WHITE):
        frame = tile.tobytes() if options.compression == "none" else encode_jpeg(tile, options.quality, "422")
        lengths.append(file.write(frame + b"\0" * (len(frame) % 2)))
    file.seek(0)
    return lengths


def _check_size(level: PyramidLevel, lengths: Sequence[int]) -> None:
    # An item's tag and length take eight bytes.
    if sum(lengths) + 8 * len(lengths) > _MOST_BYTES:
        got = f"{sum(lengths)} bytes for {level.columns} x {level.rows} px"
        raise ConfigError("less than 4 GB per level", got, "write it coarser, or compressed")


def _append_pixels(file: IO[bytes], frames: IO[bytes], lengths: Sequence[int], options: WsmOptions) -> None:
    """Put the element of pixel data behind the header (PS3.5 A.4)."""
    if options.compression == "none":
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, sum(lengths)))
        copyfileobj(frames, file)
        return
    file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
    offsets = np.concatenate(([0], np.cumsum(np.asarray(lengths) + 8)[:-1])).astype("<u4").tobytes()
    file.write(struct.pack("<HHI", 0xFFFE, 0xE000, len(offsets)) + offsets)
    for length in lengths:
        file.write(struct.pack("<HHI", 0xFFFE, 0xE000, length))
        file.write(frames.read(length))
    file.write(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))


def _header(number: int, levels: Sequence[PyramidLevel], length: int, options: WsmOptions) -> FileDataset:
    """Everything but the pixels."""
    uid = options.uid("instance", options.series, str(number))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = VLWholeSlideMicroscopyImageStorage, uid
    meta.TransferSyntaxUID = JPEGBaseline8Bit if options.compression == "jpeg" else ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(derive_uid("implementation", "wsm writer"))
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # type: ignore[arg-type]
    dataset.SOPClassUID, dataset.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, uid
    _describe_study(dataset, options)
    _describe_image(dataset, number, options)
    _describe_pixels(dataset, levels[number], length, options)
    _describe_geometry(dataset, levels[number], number, options)
    _describe_specimen(dataset, options)
    dataset.OpticalPathSequence = Items([_optical_path(levels[0].mpp)])
    return dataset


def _describe_study(dataset: Dataset, options: WsmOptions) -> None:
    """Fill patient, study, series, frame of reference and equipment, neutral and without a clock."""
    dataset.PatientName, dataset.PatientID = "Phantom^Slide", "PHANTOM"
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = options.uid("study"), options.uid("frame of reference")
    dataset.SeriesInstanceUID, dataset.PyramidUID = (
        options.uid("series", options.series),
        options.uid("pyramid", options.series),
    )
    dataset.StudyID, dataset.SeriesNumber, dataset.Modality = "1", 1, "SM"
    dataset.StudyDate = dataset.ContentDate = _NO_DATE
    dataset.StudyTime = dataset.ContentTime = _NO_TIME
    dataset.AcquisitionDateTime, dataset.AcquisitionDuration = _NO_DATE + _NO_TIME, 1.0
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.PositionReferenceIndicator = "SLIDE_CORNER"
    dataset.Manufacturer, dataset.ManufacturerModelName = "DenseLens", "Phantom"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", "1"


def _image_type(number: int) -> list[str]:
    return ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"] if number == 0 else ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]


def _describe_image(dataset: Dataset, number: int, options: WsmOptions) -> None:
    dataset.ImageType, dataset.InstanceNumber = _image_type(number), number + 1
    dataset.VolumetricProperties, dataset.ExtendedDepthOfField, dataset.FocusMethod = "VOLUME", "NO", "AUTO"
    dataset.BurnedInAnnotation, dataset.SpecimenLabelInImage = "NO", "NO"
    dataset.AcquisitionContextSequence = Items([])
    organisation = Dataset()
    organisation.DimensionOrganizationUID = options.uid("dimension", options.series)
    dataset.DimensionOrganizationSequence = Items([organisation])
    dataset.DimensionOrganizationType = "TILED_FULL"


def _describe_pixels(dataset: Dataset, level: PyramidLevel, length: int, options: WsmOptions) -> None:
    across, down = level.tiling(options.tile_px)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PixelRepresentation = _CHANNELS, 0, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.Rows = dataset.Columns = options.tile_px
    dataset.NumberOfFrames = across * down
    dataset.PhotometricInterpretation = "RGB" if options.compression == "none" else "YBR_FULL_422"
    dataset.LossyImageCompression = "00" if options.compression == "none" else "01"
    if options.compression == "jpeg":
        ratio = across * down * options.tile_px**2 * _CHANNELS / length
        dataset.LossyImageCompressionRatio = decimals([round(ratio, 2)])[0]
        dataset.LossyImageCompressionMethod = "ISO_10918_1"


def _describe_geometry(dataset: Dataset, level: PyramidLevel, number: int, options: WsmOptions) -> None:
    spacing_mm = level.mpp / 1000
    dataset.TotalPixelMatrixColumns, dataset.TotalPixelMatrixRows = level.columns, level.rows
    dataset.TotalPixelMatrixFocalPlanes, dataset.NumberOfOpticalPaths = 1, 1
    dataset.ImagedVolumeWidth, dataset.ImagedVolumeHeight = level.columns * spacing_mm, level.rows * spacing_mm
    dataset.ImagedVolumeDepth = _SECTION_UM
    dataset.ImageOrientationSlide = decimals([0, -1, 0, -1, 0, 0])
    origin = Dataset()
    # The corner lies away from the slide's own, which is at the other end of both axes.
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = decimals([20.0, 40.0])
    dataset.TotalPixelMatrixOriginSequence = Items([origin])
    measures, kind, path, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = decimals([spacing_mm, spacing_mm]), _SECTION_UM / 1000
    kind.FrameType, path.OpticalPathIdentifier = _image_type(number), "1"
    shared.PixelMeasuresSequence = Items([measures])
    shared.WholeSlideMicroscopyImageFrameTypeSequence = Items([kind])
    shared.OpticalPathIdentificationSequence = Items([path])
    dataset.SharedFunctionalGroupsSequence = Items([shared])


def _describe_specimen(dataset: Dataset, options: WsmOptions) -> None:
    dataset.ContainerIdentifier, dataset.IssuerOfTheContainerIdentifierSequence = "PHANTOM", Items([])
    dataset.ContainerTypeCodeSequence = Items([_code(_SLIDE)])
    specimen = Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "PHANTOM", options.uid("specimen")
    specimen.IssuerOfTheSpecimenIdentifierSequence = Items([])
    specimen.SpecimenPreparationSequence = Items([])
    dataset.SpecimenDescriptionSequence = Items([specimen])


def _optical_path(mpp: float) -> Dataset:
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    path.IlluminationTypeCodeSequence = Items([_code(_BRIGHT_FIELD)])
    path.IlluminationColorCodeSequence = Items([_code(_FULL_SPECTRUM)])
    path.ObjectiveLensPower = decimals([round(_MPP_TIMES_MAGNIFICATION / mpp, 2)])[0]
    path.ICCProfile, path.ColorSpace = _srgb(), "SRGB"
    return path


def _code(coded: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = coded
    return item


def _srgb() -> bytes:
    """The profile of sRGB, without the time at which it was made."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_PROFILE_DATE] = struct.pack(">6H", 2000, 1, 1, 12, 0, 0)
    profile[_PROFILE_ID] = bytes(16)
    return bytes(profile) + b"\0" * (len(profile) % 2)
