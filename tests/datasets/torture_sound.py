"""Series from which one right volume can be read, as hospitals send them: plain, bent, mixed, disguised."""

from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    RTStructureSetStorage,
)

from tests.datasets import scene
from tests.datasets.ct_files import CT, Files, Header, enhanced, series, slice_dataset, without_pixels
from tests.datasets.scene import PLAIN
from tests.datasets.torture_parts import (
    Make,
    at,
    big_endian,
    compressed,
    copied,
    declared,
    each,
    encoded,
    jpeg_lossless,
    named,
    numbered,
    tagged,
    words,
)

OTHER_SERIES, OTHER_STUDY, LATER = replace(CT, series=2), replace(CT, study=2), replace(CT, first=50)
UNSIGNED = Header(signed=False, intercept=-1000)
TWELVE_BITS = Header(signed=False, intercept=-1024, bits=12)
MIXED = np.random.default_rng(7).permutation(12).tolist()


def _ramp(acquisition: scene.Acquisition) -> list[Dataset]:
    return series(replace(acquisition, scene=scene.ramp_hu))


def _rescale_per_slice() -> list[Dataset]:
    # Slopes that divide every difference of the scene's values, so that the truth stays exact.
    headers = [replace(CT, slope=(1.0, 2.0, 5.0)[k % 3], intercept=-1000.0 - 10 * (k % 2)) for k in range(12)]
    return [slice_dataset(PLAIN, k, header) for k, header in enumerate(headers)]


def _mixed_representation() -> list[Dataset]:
    return [slice_dataset(PLAIN, k, UNSIGNED if k % 2 else CT) for k in range(12)]


def _litter_above_twelve_bits(values: np.ndarray) -> np.ndarray:
    return values | (np.arange(values.size) * 7 % 16 << 12)


def _localizer(*, rows: int, columns: int) -> Dataset:
    return slice_dataset(replace(scene.CORONAL, rows=rows, columns=columns), 5, replace(CT, first=90))


def _companions() -> list[Dataset]:
    return [without_pixels(ComprehensiveSRStorage, "SR"), without_pixels(RTStructureSetStorage, "RTSTRUCT")]


def _dicomdir() -> Dataset:
    ds = without_pixels(MediaStorageDirectoryStorage, "")
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "Modality"):
        delattr(ds, keyword)
    record = Dataset()
    record.DirectoryRecordType, record.PatientID = "PATIENT", "Phantom1"
    ds.FileSetID, ds.DirectoryRecordSequence = "TORTURE", [record]
    return ds


def _scout_that_says_so() -> Dataset:
    # As many rows and columns as the slices have, so that nothing but its pose tells it apart for a hasty reader.
    scout = _localizer(rows=40, columns=48)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return scout


def _blank_identifiers() -> Files:
    # An anonymiser that empties identifiers, SOP class included, but leaves the file meta as it was.
    blank = tagged(SOPClassUID="", SOPInstanceUID="", StudyInstanceUID="", SeriesInstanceUID="", PatientID="")
    return {f"CT.{k}": encoded(ds, complete=False) for k, ds in enumerate(each(blank))}


SOUND: dict[str, Make] = {
    # Geometry that is told right, and where it is told.
    "plain": lambda: named(series()),
    "descending": lambda: named(series(scene.DESCENDING)),
    "sagittal": lambda: named(series(scene.SAGITTAL)),
    "coronal": lambda: named(series(scene.CORONAL)),
    "oblique": lambda: named(series(scene.OBLIQUE)),
    "non_square_pixels": lambda: named(series(scene.FLAT_PIXELS)),
    "jitter": lambda: named(series(scene.JITTERED)),
    "uneven": lambda: named(series(scene.UNEVEN)),
    "uneven_ramp": lambda: named(_ramp(scene.UNEVEN)),
    "coarse_zone": lambda: named(series(scene.COARSE_ZONE)),
    "coarse_zone_ramp": lambda: named(_ramp(scene.COARSE_ZONE)),
    "tilt": lambda: named(series(scene.TILTED)),
    "tilt_ramp": lambda: named(_ramp(scene.TILTED)),
    "tilt_negative": lambda: named(series(scene.TILTED_BACK)),
    "tilt_negative_ramp": lambda: named(_ramp(scene.TILTED_BACK)),
    "tilt_uneven": lambda: named(series(scene.TILTED_UNEVEN)),
    "tilt_uneven_ramp": lambda: named(_ramp(scene.TILTED_UNEVEN)),
    "enhanced": lambda: named([enhanced()]),
    "enhanced_oblique": lambda: named([enhanced(scene.OBLIQUE)]),
    "enhanced_shuffled": lambda: named([enhanced(order=MIXED)]),
    "enhanced_in_two_files": lambda: named(
        [enhanced(order=range(7)), enhanced(order=range(7, 12), header=replace(CT, first=2))]
    ),
    # What the numbers mean.
    "unsigned": lambda: named(series(PLAIN, UNSIGNED)),
    "unsigned_padding": lambda: named(series(PLAIN, replace(UNSIGNED, padding=63536))),
    "signed_padding": lambda: named(series(PLAIN, Header(padding=-2000))),
    "half_slope": lambda: named(series(PLAIN, Header(slope=0.5, intercept=-1024))),
    "rescale_per_slice": lambda: named(_rescale_per_slice()),
    "missing_rescale": lambda: named(each(tagged(RescaleSlope=None, RescaleIntercept=None))),
    "mixed_representation": lambda: named(_mixed_representation()),
    "twelve_bits_in_sixteen": lambda: named(
        [words(ds, _litter_above_twelve_bits) for ds in series(PLAIN, TWELVE_BITS)]
    ),
    # The sign stands in the twelfth bit, and nothing above it.
    "signed_twelve_bits": lambda: named([words(ds, lambda v: v & 0xFFF) for ds in series(PLAIN, Header(bits=12))]),
    "monochrome1": lambda: named(each(tagged(PhotometricInterpretation="MONOCHROME1"))),
    # Order and count.
    "shuffled": lambda: named(at(series(), MIXED)),
    "reversed_numbers": lambda: named(numbered(range(12, 0, -1))),
    "mixed_numbers": lambda: named(numbered(MIXED)),
    "no_instance_numbers": lambda: named(each(tagged(InstanceNumber=None))),
    "same_file_twice": lambda: named([*series(), series()[4]]),
    "duplicate_slice": lambda: named([*series(), copied(series()[4], 99)]),
    "nested_folders": lambda: {f"DICOM/PA{k % 2}/ST0/SE{k % 3}/{k}": ds for k, ds in enumerate(series())},
    # Things of several kinds together.
    "localizer": lambda: named([_scout_that_says_so(), *series()]),
    "unnamed_localizer": lambda: named([_localizer(rows=60, columns=50), *series()]),
    "two_series": lambda: named(series()) | named(series(scene.SHORT, OTHER_SERIES), "THIN"),
    "two_studies": lambda: named([*series(), *series(scene.SHORT, OTHER_STUDY)]),
    "two_orientations": lambda: named([*series(), *series(replace(scene.CORONAL, offsets_mm=(0, 4, 8)), LATER)]),
    "sr_and_rtstruct": lambda: named([*series(), *_companions()]),
    "dicomdir_beside": lambda: named(series()) | {"DICOMDIR": _dicomdir()},
    "text_named_dcm": lambda: named(series()) | {"readme.dcm": b"These are not the slices you look for.\n" * 20},
    "text_beside": lambda: named(series()) | {"readme.txt": b"These are not the slices you look for.\n" * 20},
    "empty_file": lambda: named(series()) | {"IM0012.dcm": b""},
    # Tags that lie or are blank.
    "lying_thickness": lambda: named(each(tagged(SliceThickness="1.5", SpacingBetweenSlices="7"))),
    "lying_tilt": lambda: named(each(tagged(GantryDetectorTilt="15"))),
    "blank_identifiers": _blank_identifiers,
    # Transfer syntaxes.
    "j2k": lambda: named(compressed(JPEG2000Lossless)),
    "jpeg_ls": lambda: named(compressed(JPEGLSLossless)),
    "rle": lambda: named(compressed(RLELossless)),
    "jpeg_lossless": lambda: {f"IM{k}": jpeg_lossless(ds) for k, ds in enumerate(series())},
    "deflated": lambda: named(declared(DeflatedExplicitVRLittleEndian)),
    "implicit": lambda: named(declared(ImplicitVRLittleEndian)),
    "big_endian": lambda: {f"IM{k}": big_endian(ds) for k, ds in enumerate(series())},
}
