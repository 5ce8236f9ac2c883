"""Studies as `score` leaves them, with findings that are known: what pages, routes and exports are tried on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.dicom_ct import CtSeriesOptions, write_ct_series
from datasets.io.discover import open_inputs
from datasets.io.nifti import write_nifti
from datasets.labels import LIVER_AND_TUMOR
from datasets.phantoms import ct_phantom, default_grid, film_phantom
from pipelines.explain.card import ScoreCard
from pipelines.image_records import GridRecord, LabelRecord
from pipelines.results import (
    ErrorRecord,
    Explanation,
    Finding,
    Location,
    ModelId,
    QualityFlag,
    Quantity,
    Result,
    StudyRecord,
    digest_of_labels,
)

MODEL = ModelId(name="planted", weights_sha256="ab" * 32, version="0.0", trained_on="nothing: planted by a test")
COARSE = default_grid((6.0, 6.0, 8.0))
CARD = ScoreCard(
    verdict="not_faithful",
    reasons=("no_better_than_chance",),
    budget="quick",
    deletion_auc=0.4,
    deletion_auc_random=0.4,
    insertion_auc=0.4,
    insertion_auc_random=0.4,
    faithfulness=0.0,
    faithfulness_deviations=0.0,
)


def write(result: Result, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result.document()), encoding="utf-8")
    return folder


def plant_liver(root: Path, seed: int = 7, grid: Grid = COARSE, *, dicom: bool = True, **changes: Any) -> Path:
    """A phantom's CT and its true labels as the network's, one map, two findings. Gives the study's folder."""
    phantom, name = ct_phantom(seed), f"phantom-{seed}"
    scan, labels = phantom.image(grid), phantom.labels(grid)
    if dicom:
        source = root / "scans" / name
        write_ct_series(scan, source, CtSeriesOptions(study=name))
    else:
        source = root / "scans" / f"{name}.nii.gz"
        source.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(scan, source)
    with open_inputs([source]) as inventory:
        (study,) = inventory.studies
        series = study.series[0]
        seen = series.load().image
    # As the reader puts them: the true labels on the grid that was read.
    labels = Image(phantom.labels(seen.grid).array, Intensity.LABEL, seen.affine)
    folder = root / "results" / study.uid
    folder.mkdir(parents=True)
    write_nifti(labels, folder / "segmentation.nii.gz")
    heat = labels.like(np.float32(labels.array == 2) * 0.5, Intensity.PROBABILITY)
    write_nifti(heat, folder / "explanation-liver_tumor-grad_cam.nii.gz")
    counts = np.bincount(labels.array.ravel(), minlength=3)
    ml = [float(count) * seen.grid.voxel_volume_ml for count in counts]
    tumour = np.argwhere(labels.array[0] == 2).mean(axis=0)
    x, y, z = (seen.grid.affine @ (*tumour, 1.0))[:3]
    result = Result(
        study=StudyRecord(uid=study.uid, modality="CT", source=str(source), series_uid=series.uid),
        task="liver_ct",
        model=MODEL,
        config_digest="cd" * 32,
        grid=GridRecord.of(seen.grid),
        findings=(
            Finding(
                label="liver_tumor",
                probability=0.93,
                threshold=0.5,
                positive=True,
                calibrated=False,
                location=Location(centroid_mm=(float(x), float(y), float(z)), component=1),
                quantities=(Quantity(name="volume", value=ml[2], unit="ml"),),
            ),
            Finding(label="liver", probability=None, threshold=0.5, positive=True, calibrated=False),
        ),
        quantities=(Quantity(name="volume", label="liver", value=ml[1] + ml[2], unit="ml"),),
        quality=(QualityFlag(code="phantom_weights", severity="warning", message="planted <b>by a test</b>"),),
        explanations=(
            Explanation(
                label="liver_tumor",
                method="grad_cam",
                file="explanation-liver_tumor-grad_cam.nii.gz",
                score_card=CARD,
            ),
        ),
        outputs={"segmentation": "segmentation.nii.gz"},
        segmentation_sha256=digest_of_labels(labels),
        label_set=tuple(map(LabelRecord.of, LIVER_AND_TUMOR.labels)),
        seconds={"load": 0.1},
    )
    return write(result.model_copy(update=changes), folder)


def plant_film(root: Path, seed: int = 3, edge_px: int = 256, **changes: Any) -> Path:
    """A phantom film as PNG with two findings, one called."""
    name = f"film-{seed}"
    source = root / "films" / f"{name}.png"
    source.parent.mkdir(parents=True, exist_ok=True)
    pixels = film_phantom(seed, findings=("effusion",)).image(edge_px).array[0, :, :, 0].T
    Picture.fromarray(np.ascontiguousarray(pixels)).save(source)
    result = Result(
        study=StudyRecord(uid=name, modality="", source=str(source), series_uid=name),
        task="chest_xray",
        model=MODEL,
        config_digest="cd" * 32,
        findings=tuple(
            Finding(label=label, probability=p, threshold=0.5, positive=p >= 0.5, calibrated=True)
            for label, p in (("effusion", 0.81), ("mass", 0.2))
        ),
        seconds={"load": 0.1},
    )
    return write(result.model_copy(update=changes), root / "results" / name)


def plant_failure(root: Path, name: str = "broken") -> Path:
    """A study that could not be scored."""
    result = Result(
        study=StudyRecord(uid=name, modality="CT", source=str(root / name), series_uid=""),
        task="liver_ct",
        model=MODEL,
        error=ErrorRecord(code="missing_slice", message="a slice is missing", advice="export it again"),
    )
    return write(result, root / "results" / name)


def finer(mm: float = 3.0) -> Grid:
    """A grid with more voxels than the usual one of these tests."""
    return default_grid((mm, mm, mm))
