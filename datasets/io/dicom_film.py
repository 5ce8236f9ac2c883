"""Writes grey films as DICOM: digital radiography (DX) or computed radiography (CR), in either photometric sense."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from datasets.io.dicom_ct_parts import Compression, decimals, new_file, save
from datasets.io.dicom_uid import derive_uid

FilmView = Literal["PA", "AP", "LL"]

_NO_DATE, _NO_TIME = "20000101", "120000"
# Directions in which columns and rows grow (PS3.3 C.7.6.1.1.1): towards the patient's left, or his back, and his feet.
_ORIENTATION: dict[FilmView, list[str]] = {"PA": ["L", "F"], "AP": ["L", "F"], "LL": ["P", "F"]}


@dataclass(frozen=True)
class FilmOptions:
    """How a film is written. Each option stands on its own; the defaults make a plain, honest DX film.

    Attributes:
        study: Text from which StudyInstanceUID derives; the same text, the same study.
        series: Text from which, with `study`, SeriesInstanceUID derives.
        series_number: SeriesNumber.
        instance_number: InstanceNumber, from which, with `series`, SOPInstanceUID derives.
        modality: "DX" or "CR".
        view: ViewPosition.
        bits_stored: 6 to 16; up to 8 they take a byte, else two.
        monochrome1: Whether low values are stored for what is to be shown white; the film that is shown is the same.
        window: WindowCenter and WindowWidth in the image's own values; None for none, which only CR permits.
    """

    study: str = "phantom film"
    series: str = "1"
    series_number: int = 1
    instance_number: int = 1
    modality: Literal["DX", "CR"] = "DX"
    view: FilmView = "PA"
    bits_stored: int = 12
    monochrome1: bool = False
    window: tuple[float, float] | None = (2048.0, 4096.0)

    @property
    def highest(self) -> int:
        """The largest stored value there is."""
        return (1 << self.bits_stored) - 1

    def uid(self, *parts: str) -> UID:
        """A UID that depends on the study and the given parts."""
        return UID(derive_uid("film", self.study, *parts))


def options_for(image: Image, options: FilmOptions | None = None) -> FilmOptions:
    """Options with the bits an image needs and a window over what it shows.

    Args:
        image: A film of unsigned integers.
        options: The rest.

    Raises:
        ConfigError: The image is not of unsigned integers.
    """
    if image.array.dtype.kind != "u":
        raise ConfigError("grey values as unsigned integers", str(image.array.dtype), "round the film to integers")
    low, high = image.shown or (0.0, float(np.iinfo(image.array.dtype).max))
    bits = min(max(int(high).bit_length(), 6), 16)
    return replace(options or FilmOptions(), bits_stored=bits, window=((low + high + 1) / 2, high - low + 1))


def film_dataset(image: Image, options: FilmOptions) -> FileDataset:
    """Make a film in memory.

    Args:
        image: (1, columns, rows, 1), whole grey numbers of which more is brighter, as readers give them.
        options: How to write it.

    Returns:
        One instance, ready for `save_as(path, enforce_file_format=True)`.

    Raises:
        ConfigError: It is no grey film, its values do not fit the bits, or a DX film lacks what it must tell: the
            spacing of its pixels and its window.
    """
    values = _stored(image, options)
    _check(image, options)
    kind = ComputedRadiographyImageStorage if options.modality == "CR" else DigitalXRayImageStorageForPresentation
    uid = options.uid("instance", options.series, str(options.instance_number))
    dataset = new_file(kind, uid, Compression.NONE)
    _describe(dataset, options)
    if options.modality == "DX":
        _describe_dx(dataset, options)
    if image.affine is not None:
        across, down, _ = image.grid.spacing_mm
        dataset.ImagerPixelSpacing = decimals([down, across])
    if options.window is not None:
        centre, width = options.window
        # A window spans centre - 1/2 -+ (width - 1)/2 (PS3.3 C.11.2.1.2), so turning values over moves it by one.
        centre = options.highest - centre + 1 if options.monochrome1 else centre
        dataset.WindowCenter, dataset.WindowWidth = decimals([centre])[0], decimals([width])[0]
    _set_pixels(dataset, values, options)
    return dataset


def write_film(image: Image, path: Path, options: FilmOptions) -> Path:
    """Write a film, whole or not at all.

    Returns:
        `path`.

    Raises:
        ConfigError: As `film_dataset`.
        OSError: The folder cannot be written to.
    """
    save(film_dataset(image, options), path)
    return path


def write_film_study(films: Sequence[tuple[Image, FilmView]], folder: Path, options: FilmOptions) -> list[Path]:
    """Write the films of one examination, each a series of its own, as detectors send them.

    Args:
        films: Each with its view, in the order of series numbers.
        folder: Made when missing; files are called `PA1.dcm`, `LL2.dcm`.
        options: What they share.

    Returns:
        The files in the order given.

    Raises:
        ConfigError: As `film_dataset`.
        OSError: The folder cannot be written to.
    """
    return [
        write_film(
            image,
            folder / f"{view}{number}.dcm",
            replace(options, view=view, series=f"{options.series}.{number}", series_number=number),
        )
        for number, (image, view) in enumerate(films, start=1)
    ]


def _check(image: Image, options: FilmOptions) -> None:
    if options.modality == "DX" and (image.affine is None or options.window is None):
        missing = "no spacing" if image.affine is None else "no window"
        raise ConfigError("a spacing and a window, which every DX film tells", missing, "give it, or write a CR film")


def _stored(image: Image, options: FilmOptions) -> NDArray[Any]:
    """Rows by columns, turned over where low values are white."""
    if image.intensity is not Intensity.GREY or image.channels != 1 or image.shape[2] != 1:
        got = f"{image.intensity} {image.array.shape}"
        raise ConfigError("a film: grey values (1, columns, rows, 1)", got, "write each channel or slice by itself")
    if not 6 <= options.bits_stored <= 16:
        raise ConfigError("6 to 16 bits", str(options.bits_stored), "choose a number of bits in between")
    values = np.rint(image.slices()[0].astype(np.float64)).astype(np.int64)
    if values.min() < 0 or values.max() > options.highest:
        got = f"{values.min()}..{values.max()}"
        raise ConfigError(f"stored values within 0..{options.highest}", got, "choose more bits, or scale the film")
    turned = options.highest - values if options.monochrome1 else values
    return np.ascontiguousarray(turned, dtype=np.uint8 if options.bits_stored <= 8 else "<u2")


def _describe(dataset: Dataset, options: FilmOptions) -> None:
    """Fill patient, study, series, equipment and image, neutral and without a clock."""
    dataset.PatientName, dataset.PatientID = "Phantom^Film", "PHANTOM"
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID = options.uid("study")
    dataset.SeriesInstanceUID = options.uid("series", options.series)
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", options.series_number, options.instance_number
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = _NO_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = dataset.AcquisitionTime = _NO_TIME
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyDescription, dataset.SeriesDescription = "Phantom", f"Chest {options.view}"
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = options.modality, "CHEST", options.view
    dataset.Manufacturer, dataset.ManufacturerModelName = "DenseLens", "Phantom"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", "1"
    dataset.PatientOrientation = _ORIENTATION[options.view]
    dataset.ImageType, dataset.BurnedInAnnotation = ["ORIGINAL", "PRIMARY", ""], "NO"


def _describe_dx(dataset: Dataset, options: FilmOptions) -> None:
    """What DX asks for beyond CR (PS3.3 A.26)."""
    dataset.PresentationIntentType, dataset.ImageLaterality = "FOR PRESENTATION", "U"
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "43799004", "SCT", "Chest"
    dataset.AnatomicRegionSequence = Items([region])
    dataset.LossyImageCompression, dataset.DetectorType = "00", ""
    # Sign -1: higher values where less of the beam arrived.
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", 1 if options.monochrome1 else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PresentationLUTShape = "INVERSE" if options.monochrome1 else "IDENTITY"
    dataset.AcquisitionContextSequence = Items([])
    dataset.PositionerType = ""


def _set_pixels(dataset: FileDataset, values: NDArray[Any], options: FilmOptions) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if options.monochrome1 else "MONOCHROME2"
    dataset.Rows, dataset.Columns = values.shape
    allocated = 8 * values.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, options.bits_stored, options.bits_stored - 1
    dataset.PixelRepresentation = 0
    pixels = values.tobytes()
    dataset.add_new("PixelData", "OW" if allocated == 16 else "OB", pixels + b"\0" * (len(pixels) % 2))
