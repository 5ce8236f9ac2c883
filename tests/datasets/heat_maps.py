"""Heat maps with values by formula: linear in mm, so that linear sampling anywhere gives them exactly."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.dicom_source import DicomSource, Plane
from datasets.geometry import Grid, points_lps_from_ras
from datasets.image import Image, Intensity
from datasets.io.dicom import read_studies
from datasets.io.dicom_heat_map import HeatMapDescription
from datasets.labels import LIVER_AND_TUMOR

WHAT = HeatMapDescription(LIVER_AND_TUMOR["liver_tumor"], "grad_cam", "liver_ct compact", "0.1.0", "ab" * 32, "cd" * 32)
# Values are stored to 1/255, so they come back to half of that; float32 adds the rest.
HALF_STEP = 0.5 / 255 + 1e-6
# RAS, per mm: unlike along all axes, so that a flip or an exchange of axes gives other values.
SLOPE = np.array([0.004, -0.006, 0.005])


def ramp(points_mm: ArrayLike, middle_mm: ArrayLike) -> NDArray[np.float64]:
    """Values at points (..., 3) in RAS mm: 0.5 in the middle, linear, cut to 0..1."""
    return np.clip(0.5 + (np.asarray(points_mm) - np.asarray(middle_mm)) @ SLOPE, 0.0, 1.0)


def ramp_on(grid: Grid, middle_mm: ArrayLike) -> Image:
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return Image(ramp(points, middle_mm)[np.newaxis], Intensity.PROBABILITY, grid.affine)


def middle_of(grid: Grid) -> NDArray[np.float64]:
    return grid.points_mm((np.array(grid.shape) - 1) / 2)


def pixels_mm(plane: Plane) -> NDArray[np.float64]:
    """(rows, columns, 3): RAS of each pixel centre of a frame, from the header's words alone."""
    row, column = np.indices(plane.size)[..., np.newaxis]
    lps = plane.position_mm + row * plane.spacing_mm[0] * plane.along_column
    return points_lps_from_ras(lps + column * plane.spacing_mm[1] * plane.along_row)


def load(files: list[Path]) -> tuple[Image, DicomSource]:
    """What the product reads of one series or film."""
    (study,) = read_studies(files, "phantom").studies
    (series,) = study.series
    loaded = series.load()
    assert loaded.source is not None
    return loaded.image, loaded.source
