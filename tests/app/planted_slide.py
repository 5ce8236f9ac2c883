"""A slide as `score` leaves it: a phantom in a tiled TIFF, a map whose values are known, one outline."""

from pathlib import Path
from typing import Any

import numpy as np

from datasets.io.discover import open_inputs
from datasets.io.slide_tiff import PyramidOptions, write_array_pyramid, write_pyramid_tiff
from datasets.phantoms import slide_phantom
from pipelines.histology.geojson import Annotation, write_geojson
from pipelines.histology.outlines import outlines
from pipelines.image_records import SlideRecord
from pipelines.results import Finding, Result, StudyRecord
from tests.app.planted import MODEL, write

MPP = 1.0
CELL_UM = 100.0
SIZE_UM = (1100.0, 700.0)
# 0 is unknown, 1 to 255 stand for probabilities from 0 to 1.
HEAT = np.arange(77, dtype=np.uint8).reshape(7, 11) * 3 // 2


def plant_slide(root: Path, seed: int = 5, **changes: Any) -> Path:
    """A phantom's slide of 1100 x 700 pixels of a micrometre. Gives the study's folder."""
    name = f"slide-{seed}"
    source = root / "slides" / f"{name}.tiff"
    source.parent.mkdir(parents=True, exist_ok=True)
    write_pyramid_tiff(slide_phantom(seed, SIZE_UM), source, MPP, PyramidOptions(compression="deflate"))
    with open_inputs([source]) as inventory:
        (study,) = inventory.studies
    folder = root / "results" / name
    folder.mkdir(parents=True)
    write_array_pyramid(HEAT, folder / "heatmap.tif", CELL_UM, PyramidOptions(compression="deflate"), nearest=True)
    polygons = [part.scaled(CELL_UM, CELL_UM) for part in outlines(HEAT > 100)]
    region = Annotation("Tumor 1", "Tumor", (200, 0, 0), polygons, {"Area mm^2": 0.1})
    write_geojson([region], (MPP, MPP), folder / "regions.geojson")
    result = Result(
        study=StudyRecord(uid=study.uid, modality="", source=str(source), series_uid=study.series[0].uid),
        task="histopathology",
        model=MODEL,
        config_digest="cd" * 32,
        findings=(Finding(label="tumor", probability=0.7, threshold=0.5, positive=True, calibrated=True),),
        slide=SlideRecord(size_px=(1100, 700), mpp=(MPP, MPP), kind="tiled TIFF"),
        outputs={"heatmap": "heatmap.tif", "regions": "regions.geojson"},
        seconds={"load": 0.1},
    )
    return write(result.model_copy(update=changes), folder)
