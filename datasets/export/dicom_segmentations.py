"""Writes a dataset of CT volumes as DICOM: a series for each, and a DICOM SEG that refers to it.

`datasets.layouts.dicom_segmentations` reads it. Patients and studies get identifiers that derive from the names of the
examples; nothing of a source's headers is copied.
"""

from pathlib import Path

import numpy as np

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, Example
from datasets.export._cases import Written, check_empty, mask_examples, prepared
from datasets.image import Image, Intensity
from datasets.io.dicom import read_studies
from datasets.io.dicom_ct import CtSeriesOptions, ct_datasets
from datasets.io.dicom_ct_parts import save
from datasets.io.dicom_seg import SegDescription, write_dicom_seg
from datasets.labels import ANATOMICAL_STRUCTURE, CodedConcept, Label, LabelSet

_LONG_STRING = 64  # characters a value of VR LO may have (DICOM PS3.5, table 6.2-1)
_TISSUE = CodedConcept("85756007", "SCT", "Tissue")
_COLOUR = (255, 255, 0)


def write(dataset: Dataset, folder: Path, label_set: LabelSet | None = None) -> None:
    """Write every example as `<name>/ct/IM0001.dcm …` and `<name>/segmentation.dcm`.

    Args:
        dataset: Of label maps on CT volumes of whole Hounsfield units.
        folder: Empty or missing.
        label_set: What the labels are, coded, in the order of `Dataset.labels`. None calls every label a tissue, with
            the dataset's own name as the segment's label.

    Raises:
        ConfigError: The dataset has no label maps, the label set has other names than it, or the folder is not empty.
        InputRefused: An example cannot be read, or is no CT that DICOM can hold (`wrong_modality`, `no_spacing`).
        OSError: The folder cannot be written to.
    """
    check_empty(folder)
    coded = _coded(dataset) if label_set is None else label_set
    if coded.names != dataset.labels:
        got = f"{', '.join(coded.names)} for {', '.join(dataset.labels)}"
        raise ConfigError("a label set with the labels of the dataset", got, "give its labels in their order")
    for example in mask_examples(dataset):
        case = prepared(example, dataset.labels)
        _write_series(_ct(case), example, folder / case.name / "ct")
        found = read_studies(sorted((folder / case.name / "ct").iterdir()), case.name).studies
        source = found[0].series[0].load().source
        if source is None:
            raise InputRefused(RefusalCode.UNREADABLE_FILE, "the series just written", case.name, "report this")
        what = SegDescription(coded, "", "1", "", "", "Reference", algorithm_type="MANUAL")
        write_dicom_seg(case.labels, source, folder / case.name / "segmentation.dcm", what)


def _write_series(image: Image, example: Example, folder: Path) -> None:
    options = CtSeriesOptions(study=example.name, description="CT")
    for dataset in ct_datasets(image, options):
        dataset.PatientID = example.patient[:_LONG_STRING]
        dataset.PatientName = dataset.ManufacturerModelName = dataset.StudyDescription = ""
        save(dataset, folder / f"IM{int(dataset.InstanceNumber):04d}.dcm")


def _ct(case: Written) -> Image:
    """The image of a case, if DICOM can hold it as it is."""
    image = case.channels[0]
    if len(case.channels) != 1 or image.intensity is not Intensity.HOUNSFIELD:
        raise InputRefused(
            RefusalCode.WRONG_MODALITY, "one channel of Hounsfield units", f"others in {case.name}", "write it as NIfTI"
        )
    if image.affine is None:
        raise InputRefused(RefusalCode.NO_SPACING, "a spacing in mm", f"none in {case.name}", "write it as nnU-Net")
    if image.array.dtype.kind not in "iu" and not bool((image.array == np.rint(image.array)).all()):
        raise InputRefused(
            RefusalCode.WRONG_MODALITY, "whole Hounsfield units", f"fractions in {case.name}", "write it as NIfTI"
        )
    return image


def _coded(dataset: Dataset) -> LabelSet:
    return LabelSet(
        tuple(
            Label(value, name, _COLOUR, _TISSUE, ANATOMICAL_STRUCTURE)
            for value, name in enumerate(dataset.labels, start=1)
        )
    )
