"""Writes an image as a CT series of DICOM: classic, one file per slice, or enhanced, one file with all frames."""

from pathlib import Path

import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from datasets.errors import ConfigError
from datasets.image import Image
from datasets.io.dicom_ct_parts import (
    PLAIN,
    Compression,
    CtSeriesOptions,
    FrameGeometry,
    decimals,
    describe_study,
    frame_geometry,
    new_file,
    save,
    set_padding,
    set_pixels,
    stored_values,
)

__all__ = [
    "PLAIN",
    "Compression",
    "CtSeriesOptions",
    "ct_datasets",
    "enhanced_ct_dataset",
    "write_ct_series",
    "write_enhanced_ct",
]


def ct_datasets(image: Image, options: CtSeriesOptions = PLAIN) -> list[FileDataset]:
    """Make a classic CT series in memory.

    Args:
        image: One channel of Hounsfield units; any orientation. The grid may be sheared as a tilted gantry shears it,
            as long as rows and columns of a slice are perpendicular.
        options: How to write it.

    Returns:
        The instances, one per slice k in the order of k, ready for `save_as(path, enforce_file_format=True)`.

    Raises:
        ConfigError: The values do not fit the bits, a slice's rows and columns are not perpendicular, or the instance
            numbers are not one per slice.
        ValueError: The image has no affine.
    """
    geometry = frame_geometry(image.grid)
    _check_numbers(image, options)
    return [_slice_dataset(image, k, geometry, options) for k in range(image.shape[2])]


def write_ct_series(image: Image, folder: Path, options: CtSeriesOptions = PLAIN) -> list[Path]:
    """Write a classic CT series, one file per slice, named after the instance numbers.

    Args:
        image: As for `ct_datasets`.
        folder: Made when missing.
        options: How to write it.

    Returns:
        The files in the order of k.

    Raises:
        ConfigError, ValueError: As `ct_datasets`.
        OSError: The folder cannot be written to.
    """
    paths = []
    for dataset in ct_datasets(image, options):
        path = folder / f"IM{int(dataset.InstanceNumber):04d}.dcm"
        save(dataset, path)
        paths.append(path)
    return paths


def enhanced_ct_dataset(image: Image, options: CtSeriesOptions = PLAIN) -> FileDataset:
    """Make an Enhanced CT multi-frame instance in memory.

    Args:
        image: As for `ct_datasets`.
        options: As for a series; `instance_numbers` gives the order in which the slices stand as frames (1 first) and
            `gantry_tilt_deg` has its place in every frame.

    Returns:
        One instance with a frame for each slice.

    Raises:
        ConfigError, ValueError: As `ct_datasets`.
    """
    geometry = frame_geometry(image.grid)
    _check_numbers(image, options)
    numbers = [options.number(k) for k in range(image.shape[2])]
    if sorted(numbers) != list(range(1, len(numbers) + 1)):
        raise ConfigError("frame numbers 1 to the number of slices", str(numbers), "give each slice one")
    order = [int(k) for k in np.argsort(numbers)]
    dataset = new_file(EnhancedCTImageStorage, options.uid("enhanced", options.series), options.compression)
    describe_study(dataset, options)
    _describe_enhanced(dataset, options)
    set_padding(dataset, options)
    organisation = options.uid("dimension", options.series)
    dataset.DimensionOrganizationSequence = Items([_item(DimensionOrganizationUID=organisation)])
    dataset.DimensionIndexSequence = Items([_dimension(organisation, pointer) for pointer in (0x00209056, 0x00209057)])
    dataset.SharedFunctionalGroupsSequence = Items([_shared_groups(geometry, options)])
    groups = [_frame_groups(k, geometry, options) for k in order]
    dataset.NumberOfFrames, dataset.PerFrameFunctionalGroupsSequence = len(order), Items(groups)
    set_pixels(dataset, [stored_values(image, k, options) for k in order], options)
    return dataset


def write_enhanced_ct(image: Image, path: Path, options: CtSeriesOptions = PLAIN) -> Path:
    """Write an Enhanced CT multi-frame instance as one file.

    Returns:
        `path`.

    Raises:
        ConfigError, ValueError: As `enhanced_ct_dataset`.
        OSError: The folder cannot be written to.
    """
    save(enhanced_ct_dataset(image, options), path)
    return path


def _check_numbers(image: Image, options: CtSeriesOptions) -> None:
    if options.instance_numbers is not None and len(options.instance_numbers) != image.shape[2]:
        got = f"{len(options.instance_numbers)} numbers for {image.shape[2]} slices"
        raise ConfigError("one instance number per slice", got, "give one for each slice, or none")


def _slice_dataset(image: Image, k: int, geometry: FrameGeometry, options: CtSeriesOptions) -> FileDataset:
    dataset = new_file(CTImageStorage, options.uid("instance", options.series, str(k)), options.compression)
    describe_study(dataset, options)
    dataset.ImageType = list(options.image_type)
    dataset.InstanceNumber, dataset.AcquisitionNumber = options.number(k), 1
    dataset.ImagePositionPatient = decimals(geometry.positions_mm[k])
    dataset.ImageOrientationPatient = decimals(geometry.orientation)
    dataset.PixelSpacing = decimals(geometry.spacing_mm)
    thickness = geometry.step_mm if options.slice_thickness_mm is None else options.slice_thickness_mm
    dataset.SliceThickness = decimals([thickness])[0]
    dataset.KVP, dataset.XRayTubeCurrent, dataset.ExposureTime = "120", 200, 500
    if options.gantry_tilt_deg is not None:
        dataset.GantryDetectorTilt = decimals([options.gantry_tilt_deg])[0]
    slope, intercept = options.rescale(k)
    dataset.RescaleSlope, dataset.RescaleIntercept = decimals([slope, intercept])
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = "60", "400"
    set_padding(dataset, options)
    set_pixels(dataset, [stored_values(image, k, options)], options)
    return dataset


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _dimension(organisation: str, pointer: int) -> Dataset:
    # Stack and place in the stack, both told in the frame content group.
    return _item(
        DimensionOrganizationUID=organisation, DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111
    )


def _frame_type(options: CtSeriesOptions) -> list[str]:
    # Nothing was acquired, so none of the groups that tell of tube, table and exposure are called for.
    kind = "LOCALIZER" if "LOCALIZER" in options.image_type else "VOLUME"
    return ["DERIVED", "PRIMARY", kind, "NONE"]


def _describe_enhanced(dataset: Dataset, options: CtSeriesOptions) -> None:
    dataset.ImageType, dataset.InstanceNumber, dataset.AcquisitionNumber = _frame_type(options), 1, 1
    dataset.AcquisitionDateTime, dataset.AcquisitionDuration = dataset.ContentDate + dataset.ContentTime, 1.0
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique, dataset.ContentQualification = "NONE", "RESEARCH"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression, dataset.PresentationLUTShape = "NO", "00", "IDENTITY"
    dataset.AcquisitionContextSequence = Items([])


def _shared_groups(geometry: FrameGeometry, options: CtSeriesOptions) -> Dataset:
    thickness = geometry.step_mm if options.slice_thickness_mm is None else options.slice_thickness_mm
    region = _item(CodeValue="818983003", CodingSchemeDesignator="SCT", CodeMeaning="Abdomen")
    measures = _item(PixelSpacing=decimals(geometry.spacing_mm), SliceThickness=decimals([thickness])[0])
    anatomy = _item(FrameLaterality="U", AnatomicRegionSequence=Items([region]))
    kind = _item(
        FrameType=_frame_type(options),
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    return _item(
        PixelMeasuresSequence=Items([measures]),
        PlaneOrientationSequence=Items([_item(ImageOrientationPatient=decimals(geometry.orientation))]),
        FrameAnatomySequence=Items([anatomy]),
        FrameVOILUTSequence=Items([_item(WindowCenter="60", WindowWidth="400")]),
        CTImageFrameTypeSequence=Items([kind]),
        IrradiationEventIdentificationSequence=Items([_item(IrradiationEventUID=options.uid("event", options.series))]),
    )


def _frame_groups(k: int, geometry: FrameGeometry, options: CtSeriesOptions) -> Dataset:
    slope, intercept = options.rescale(k)
    content = _item(
        FrameAcquisitionNumber=1,
        StackID="1",
        InStackPositionNumber=k + 1,
        DimensionIndexValues=[1, k + 1],
        TemporalPositionIndex=1,
    )
    rescale = _item(RescaleSlope=decimals([slope])[0], RescaleIntercept=decimals([intercept])[0], RescaleType="HU")
    return _item(
        FrameContentSequence=Items([content]),
        PlanePositionSequence=Items([_item(ImagePositionPatient=decimals(geometry.positions_mm[k]))]),
        PixelValueTransformationSequence=Items([rescale]),
    )
