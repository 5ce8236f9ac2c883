"""Trees of DICOM for tests: a CT series, segmentations of boxes, and what was read of them."""

from pathlib import Path

import numpy as np
import pydicom

from datasets.defects import DefectCode
from datasets.example import Dataset, Example, MaskTruth
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.io.dicom import read_studies
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from datasets.io.dicom_seg import SegDescription, write_dicom_seg
from datasets.labels import LIVER_AND_TUMOR, Label, LabelSet

GRID = grid_from_axes((24, 20, 8), (1.5, 1.5, 3.0), np.diag([-1.0, -1.0, 1.0]), (18.0, 12.0, 5.0))
BOX = (slice(4, 12), slice(5, 14), slice(2, 6))
INNER = (slice(6, 9), slice(8, 11), slice(3, 5))
APART = (slice(15, 20), slice(5, 14), slice(1, 4))


def ct(folder: Path, study: str = "one", series: str = "1", grid: Grid = GRID, patient: str = "P-7") -> Path:
    values = np.random.default_rng(3).integers(-100, 300, grid.shape[::-1]).astype(np.int16)
    image = Image.from_slices(values, Intensity.HOUNSFIELD, grid.affine)
    for file in write_ct_series(image, folder, CtSeriesOptions(study=study, series=series)):
        dataset = pydicom.dcmread(file)
        dataset.PatientID = patient
        dataset.save_as(file)
    return folder


def boxes(*values: tuple[int, tuple[slice, slice, slice]], grid: Grid = GRID) -> Image:
    array = np.zeros((1, *grid.shape), np.uint8)
    for value, box in values:
        array[0][box] = value
    return Image(array, Intensity.LABEL, grid.affine)


def seg(folder: Path, path: Path, labels: Image, label_set: LabelSet = LIVER_AND_TUMOR, config: str = "") -> Path:
    (study,) = read_studies(sorted(folder.iterdir()), "ct").studies
    source = study.series[0].load().source
    assert source is not None
    write_dicom_seg(labels, source, path, SegDescription(label_set, "by hand", "1", "", config))
    return path


def label_set(*names: str) -> LabelSet:
    first = LIVER_AND_TUMOR.labels[0]
    return LabelSet(
        tuple(Label(n, name, first.colour, first.concept, first.category) for n, name in enumerate(names, 1))
    )


def headers(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted(folder.iterdir())]


def truth(example: Example) -> MaskTruth:
    assert isinstance(example.truth, MaskTruth)
    return example.truth


def told(found: Dataset) -> list[tuple[DefectCode, str]]:
    return [(defect.code, defect.gravity) for defect in found.defects]
