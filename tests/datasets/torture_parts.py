"""Pieces that tortured series are made of."""

import copy
import io
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import gdcm
import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian

from tests.datasets.ct_files import Files, series
from tests.datasets.scene import PLAIN, Acquisition

Change = Callable[[Dataset], object]
Make = Callable[[], Files]


def named(datasets: Sequence[Dataset], prefix: str = "IM") -> Files:
    """Files that are called after their place in the sequence."""
    return {f"{prefix}{place:04}.dcm": ds for place, ds in enumerate(datasets)}


def encoded(ds: Dataset, *, complete: bool = True) -> bytes:
    """The bytes of a file; with `complete` its identifiers must be there and are copied to the file's meta."""
    buffer = io.BytesIO()
    ds.preamble = bytes(128)
    ds.save_as(buffer, enforce_file_format=complete)
    return buffer.getvalue()


def at(datasets: Sequence[Dataset], places: Iterable[int]) -> list[Dataset]:
    """The datasets at these places."""
    return [datasets[k] for k in places]


def each(change: Change, acquisition: Acquisition = PLAIN) -> list[Dataset]:
    """A series with every slice changed."""
    datasets = series(acquisition)
    for ds in datasets:
        change(ds)
    return datasets


def one(k: int, change: Change) -> list[Dataset]:
    """The plain series with slice k changed."""
    datasets = series()
    change(datasets[k])
    return datasets


def tagged(**values: object) -> Change:
    """A change that sets tags; None takes them away."""

    def change(ds: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return change


def compressed(syntax: UID) -> list[Dataset]:
    """The plain series in a compressed transfer syntax."""
    return each(lambda ds: ds.compress(syntax, generate_instance_uid=False))


def declared(syntax: UID) -> list[Dataset]:
    """The plain series in a transfer syntax that is a way of writing tags."""
    return each(lambda ds: setattr(ds.file_meta, "TransferSyntaxUID", syntax))


def numbered(numbers: Iterable[int]) -> list[Dataset]:
    """The plain series with other instance numbers."""
    datasets = series()
    for ds, number in zip(datasets, numbers, strict=True):
        ds.InstanceNumber = number
    return datasets


def copied(ds: Dataset, number: int, add_hu: int = 0) -> Dataset:
    """The same slice as another instance, brightened by so much."""
    twin = copy.deepcopy(ds)
    twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = UID(f"{ds.SeriesInstanceUID}.{number}")
    twin.InstanceNumber = number
    twin.PixelData = (np.frombuffer(ds.PixelData, "<i2") + add_hu).astype("<i2").tobytes()
    return twin


def words(ds: Dataset, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """A dataset whose stored 16 bit words, unsigned, have been changed."""
    ds.PixelData = change(np.frombuffer(ds.PixelData, "<u2")).astype("<u2").tobytes()
    return ds


def big_endian(ds: Dataset) -> bytes:
    """A file in Explicit VR Big Endian."""
    words(ds, lambda values: values.byteswap())
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    return encoded(ds)


def jpeg_lossless(ds: Dataset) -> bytes:
    """A file in JPEG Lossless, Process 14, first-order prediction."""
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "plain.dcm"), Path(folder, "packed.dcm")
        plain.write_bytes(encoded(ds))
        reader = gdcm.ImageReader()
        reader.SetFileName(str(plain))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(packed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return packed.read_bytes()
