"""Series from which no volume can be read without guessing."""

from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    ComprehensiveSRStorage,
    JPEG2000Lossless,
    ParametricMapStorage,
)

from tests.datasets import scene
from tests.datasets.ct_files import ROOT, Files, decimals, enhanced, series, without_pixels
from tests.datasets.scene import PLAIN
from tests.datasets.torture_parts import Make, at, compressed, copied, each, encoded, named, one, tagged


def _cut(ds: Dataset, *, keep: int | None = None, lose: int = 0) -> Files:
    """The plain series with its sixth file cut."""
    whole = encoded(ds)
    return named(series()) | {"IM0005.dcm": whole[: keep or len(whole) - lose]}


def _truncated_j2k() -> Files:
    datasets = compressed(JPEG2000Lossless)
    return named(datasets) | {"IM0005.dcm": encoded(datasets[5])[:-300]}


def _not_a_number() -> Dataset:
    ds = enhanced()
    values = np.frombuffer(ds.PixelData, "<i2").astype("<f4")
    values[4321] = np.nan
    tagged(PixelData=None, BitsStored=None, HighBit=None, PixelRepresentation=None)(ds)
    ds.BitsAllocated, ds.FloatPixelData = 32, values.tobytes()
    return ds


def _parametric_map() -> Dataset:
    ds = _not_a_number()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = ParametricMapStorage
    return ds


def _with_one_frame_more() -> Dataset:
    ds = enhanced()
    ds.NumberOfFrames = 13
    ds.PixelData = ds.PixelData + bytes(40 * 48 * 2)
    return ds


def _garbled(good: bytes, bad: bytes) -> Files:
    """The plain series with some bytes exchanged for as many others."""
    files: Files = {f"IM{k:04}.dcm": encoded(ds).replace(good, bad) for k, ds in enumerate(series())}
    assert all(bad in content for content in files.values() if isinstance(content, bytes))
    return files


def _series_uid_per_slice() -> list[Dataset]:
    datasets = series()
    for k, ds in enumerate(datasets):
        ds.SeriesInstanceUID = f"{ROOT}.1.1.{k}.5"
    return datasets


def _one_uid_for_all() -> list[Dataset]:
    return each(lambda ds: setattr(ds, "SOPInstanceUID", f"{ROOT}.1.1.1"))


def _one_lies_beside() -> list[Dataset]:
    position = PLAIN.position_mm(5) + (30.0, 0.0, 0.0)
    return one(5, tagged(ImagePositionPatient=decimals(position)))


def _another_size() -> list[Dataset]:
    return [*series()[:5], *series(replace(PLAIN, rows=36))[5:6], *series()[6:]]


def _film(ds: Dataset) -> None:
    ds.PixelData = encapsulate([ds.PixelData])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = MPEG2MPML


def _colours() -> list[Dataset]:
    def colour(ds: Dataset) -> None:
        ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation = 3, 0, "RGB"
        ds.BitsAllocated = ds.BitsStored = 8
        ds.HighBit, ds.PixelRepresentation = 7, 0
        ds.PixelData = np.random.default_rng(1).integers(0, 255, ds.Rows * ds.Columns * 3, dtype=np.uint8).tobytes()

    return each(colour)


BROKEN: dict[str, Make] = {
    # Slices that are not there, are there twice, or do not belong.
    "missing_slice": lambda: named(at(series(), [k for k in range(12) if k != 5])),
    "huge_gap": lambda: named(at(series(), [0, 1, 2, 3, 9, 10, 11])),
    "two_missing_slices": lambda: named(at(series(), [0, 1, 3, 4, 5, 6, 7, 9, 10, 11])),
    "enhanced_missing_frame": lambda: named([enhanced(order=[k for k in range(12) if k != 5])]),
    "foreign_uid_in_one": lambda: named(one(5, tagged(StudyInstanceUID=f"{ROOT}.77"))),
    "foreign_frame_of_reference_in_one": lambda: named(one(5, tagged(FrameOfReferenceUID=f"{ROOT}.78"))),
    "another_size": lambda: named(_another_size()),
    "single_slice": lambda: named(series()[:1]),
    "series_uid_per_slice": lambda: named(_series_uid_per_slice()),
    "one_uid_for_all": lambda: named(_one_uid_for_all()),
    "conflicting_duplicate": lambda: named([*series(), copied(series()[4], 99, add_hu=50)]),
    "one_lies_beside": lambda: named(_one_lies_beside()),
    "no_two_parallel": lambda: named([series(scene.tilted(5.0 * k))[k] for k in range(6)]),
    # Geometry that is not told.
    "missing_orientation": lambda: named(each(tagged(ImageOrientationPatient=None))),
    "missing_position": lambda: named(each(tagged(ImagePositionPatient=None))),
    "missing_spacing": lambda: named(each(tagged(PixelSpacing=None))),
    "zero_spacing": lambda: named(each(tagged(PixelSpacing=[0, 3]))),
    "skewed_orientation": lambda: named(each(tagged(ImageOrientationPatient=[1, 0, 0, 0.1, 1, 0]))),
    "decimal_commas": lambda: _garbled(b"-69.0\\-60.5\\", b"-69,0\\-60,5\\"),
    # Pixels that are not there, or mean nothing.
    "no_pixels": lambda: named(one(5, tagged(PixelData=None))),
    "more_rows_than_pixels": lambda: named(each(tagged(Rows=80))),
    "fewer_rows_than_pixels": lambda: named(each(tagged(Rows=20))),
    "more_frames_than_places": lambda: {"frames.dcm": _with_one_frame_more()},
    "nan_in_float": lambda: {"float.dcm": _not_a_number()},
    "zero_slope": lambda: named(each(tagged(RescaleSlope="0"))),
    # RescaleSlope is (0028,1053), a decimal string of four characters.
    "unreadable_slope": lambda: _garbled(b"\x28\x00\x53\x10DS\x04\x001.0 ", b"\x28\x00\x53\x10DS\x04\x001.O "),
    "nothing_but_air": lambda: named(series(replace(PLAIN, scene=lambda points: np.full(points.shape[:-1], -1000)))),
    "colours": lambda: named(_colours()),
    "video": lambda: named(each(_film)),
    # What is no image, or not the wanted one.
    "only_sr": lambda: named([without_pixels(ComprehensiveSRStorage, "SR")]),
    "parametric_map": lambda: {"map.dcm": _parametric_map()},
    "only_localizer": lambda: named(each(tagged(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))),
    "magnetic_resonance": lambda: named(each(tagged(Modality="MR"))),
    "only_text": lambda: {"readme.dcm": b"These are not the slices you look for.\n" * 20},
    # Files that end too early.
    "truncated": lambda: _cut(series()[5], lose=1500),
    "truncated_header": lambda: _cut(series()[5], keep=500),
    "truncated_j2k": _truncated_j2k,
}
