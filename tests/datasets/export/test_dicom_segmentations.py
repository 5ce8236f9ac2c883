"""Datasets out as DICOM: what is identified by what, and what DICOM cannot hold."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import MaskTruth
from datasets.export.dicom_segmentations import write
from datasets.image import Image, Intensity
from datasets.labels import LIVER_AND_TUMOR
from datasets.layouts import open_dataset
from datasets.resampling import reorient
from tests.datasets.export.memory_set import GRID, dataset, example, mask, scan, series


def test_patients_studies_and_labels_come_back(tmp_path: Path) -> None:
    write(dataset(example("a", mask(1)), example("b", reorient(mask(2), "RAS"))), tmp_path)
    images = {name: pydicom.dcmread(tmp_path / name / "ct" / "IM0001.dcm") for name in "ab"}
    segments = {name: pydicom.dcmread(tmp_path / name / "segmentation.dcm") for name in "ab"}
    for name in "ab":
        assert (images[name].PatientID, str(images[name].PatientName)) == (name, "")
        assert segments[name].StudyInstanceUID == images[name].StudyInstanceUID
        assert segments[name].ReferencedSeriesSequence[0].SeriesInstanceUID == images[name].SeriesInstanceUID
    assert images["a"].StudyInstanceUID != images["b"].StudyInstanceUID
    found = open_dataset(tmp_path)
    assert (found.layout, found.labels, found.defects) == ("dicom_segmentations", ("liver", "tumor"), ())
    by_uid = {str(images[name].StudyInstanceUID): seed for name, seed in (("a", 1), ("b", 2))}
    for one in found.examples:
        assert isinstance(one.truth, MaskTruth)
        np.testing.assert_array_equal(one.truth.read().array, mask(by_uid[one.name]).array)
        assert one.study.series[0].load().image.grid.matches(GRID)


def test_the_same_set_gives_the_same_files(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(dataset(example("a", mask(1))), tmp_path / folder)
    first, second = (
        {f.relative_to(tmp_path / d): f.read_bytes() for f in (tmp_path / d).rglob("*.dcm")} for d in ("one", "two")
    )
    assert first == second
    assert len(first) == 6


def test_what_dicom_cannot_hold_is_refused(tmp_path: Path) -> None:
    fractions = Image(scan().array + np.float32(0.5), Intensity.HOUNSFIELD, GRID.affine)
    flat = Image(scan().array, Intensity.HOUNSFIELD)
    grey = scan(intensity=Intensity.GREY)
    for number, (image, code) in enumerate(
        ((fractions, RefusalCode.WRONG_MODALITY), (flat, RefusalCode.NO_SPACING), (grey, RefusalCode.WRONG_MODALITY))
    ):
        labels = Image(mask().array, Intensity.LABEL, image.affine)
        with pytest.raises(InputRefused) as caught:
            write(dataset(example("a", labels, series(image))), tmp_path / str(number))
        assert caught.value.code is code


def test_a_label_set_of_other_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="liver_tumor"):
        write(dataset(example("a", mask())), tmp_path, LIVER_AND_TUMOR)
