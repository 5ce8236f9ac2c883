"""What tests of reports say, of two labels in a small volume and of a film."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import (
    SecondaryCaptureImageStorage,
)

from datasets.dicom_source import DicomSource
from datasets.image import Image, Intensity
from datasets.io import report_concepts as concepts
from datasets.io.dicom_film import FilmOptions, write_film
from datasets.io.dicom_seg import write_dicom_seg
from datasets.io.dicom_sr import write_dicom_sr
from datasets.io.report_content import Assessment, Decision, Measure, ReportDescription, Statement
from datasets.io.seg_object import Making
from datasets.labels import LIVER_AND_TUMOR
from tests.datasets import seg_source
from tests.datasets.heat_maps import load
from tests.datasets.seg_source import GRID, source_of, two_labels

LIVER, TUMOR = LIVER_AND_TUMOR["liver"], LIVER_AND_TUMOR["liver_tumor"]
MAKING = Making("DenseLens liver_ct (compact)", "0.1.0", "ab" * 32, "cd" * 32)
SURE = Assessment(0.8125, 0.5, positive=True, calibrated=True, raw_probability=0.7)
# Values no shorter than what DICOM's sixteen characters hold, very small and below 0.
MEASURES = (
    Measure("volume", 1234.567890123456789, "ml"),
    Measure("mean_attenuation", -12.345678901234567, codes.UCUM.HounsfieldUnit.value),
    Measure("longest_axial_diameter", 0.1 + 0.2, "mm"),
    Measure("perpendicular_diameter", 1e-7, "mm"),
    Measure("area", 3.0, "mm2"),
    Measure("of_no_common_name_at_all", 2.5, "1/{megapixel}"),
)
CODES = ("118565006", "112031", "103339001", "103340004", "42798000", concepts.own("of_no_common_name_at_all").value)
READER = Decision(
    "modified", "Jürgen Müller", datetime(2024, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=1))), "größer"
)
ALONE = Statement(TUMOR, 1, MEASURES, SURE, (2,), alone=True, centre_mm=(1.0, 2.0, 3.0), site=concepts.LIVER)
SECOND = replace(ALONE, number=2, alone=False)
WHOLE = Statement(LIVER, measures=(Measure("volume", 5.5, "ml"), Measure("count", None, "1")), segments=(1, 2))
REMARK = "warning, phantom_weights: of no use on patients"
WHAT = ReportDescription("liver_ct", MAKING, (ALONE, SECOND, WHOLE), (REMARK,))


def written(what: ReportDescription, folder: Path, source: DicomSource | None = None) -> Path:
    """A report beside a segmentation of two labels."""
    source = source or source_of(GRID)
    write_dicom_seg(two_labels(GRID), source, folder / "segmentation.dcm", seg_source.WHAT)
    write_dicom_sr(what, [source], folder / "report.dcm", folder / "segmentation.dcm")
    return folder / "report.dcm"


def film(folder: Path, kind: str = "DX", spacing: bool = True, study: str = "1") -> DicomSource:
    grey = np.random.default_rng(1).integers(0, 4096, (1, 31, 23, 1)).astype(np.uint16)
    affine = np.diag([0.2, 0.3, 1.0, 1.0]) if spacing else None
    options = FilmOptions(modality="DX" if kind == "DX" else "CR", study=study)
    path = write_film(Image(grey, Intensity.GREY, affine), folder / f"{kind}{study}.dcm", options)
    if kind == "OT":
        dataset = pydicom.dcmread(path)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        dataset.Modality, dataset.ConversionType = "OT", "DF"
        dataset.save_as(path)
    return load([path])[1]


def of_film(label: str = "effusion") -> ReportDescription:
    return ReportDescription("chest_xray", MAKING, (Statement(label, assessment=SURE, site=concepts.CHEST),))
