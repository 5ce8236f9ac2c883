"""However the patient lies, the frames lean and the pixels are shaped: voxels land where the formula says."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datasets.codes import RepairCode
from datasets.geometry import Grid
from datasets.io.dicom import read_studies
from datasets.study import Loaded
from tests.datasets import scene
from tests.datasets.ct_files import enhanced, series, write
from tests.datasets.scene import Acquisition
from tests.datasets.torture_parts import named

Angles = tuple[float, float, float]
# What a stack may slide from its first to its last slice before it counts as sheared, and what surely does, in pixels.
SURELY_SHEARED_PX, SURELY_STRAIGHT_PX = 0.3, 0.2

poses = settings(max_examples=40, deadline=None, derandomize=True)
degrees = st.tuples(st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
gaps = st.floats(0.8, 4.0)


def _read(acquisition: Acquisition, *, frames_in_one_file: bool = False) -> Loaded:
    with tempfile.TemporaryDirectory() as folder:
        datasets = [enhanced(acquisition)] if frames_in_one_file else series(acquisition)
        (study,) = read_studies(write(named(datasets), Path(folder)), "folder").studies
        (one,) = study.series
        loaded = one.load()
        assert one.grid is not None
        assert one.grid.matches(loaded.image.grid, tolerance_mm=0)
        return loaded


def _turned(angles: Angles, *, row_gap_mm: float, column_gap_mm: float, gap_mm: float) -> Acquisition:
    axes = Rotation.from_euler("zyx", angles, degrees=True).as_matrix().T
    row, column, normal = (tuple(float(v) for v in axis) for axis in axes)
    return Acquisition(
        offsets_mm=tuple(k * gap_mm for k in range(6)),
        columns=13,
        rows=11,
        row_gap_mm=row_gap_mm,
        column_gap_mm=column_gap_mm,
        along_row=row,  # type: ignore[arg-type]
        along_column=column,  # type: ignore[arg-type]
        step=normal,  # type: ignore[arg-type]
        scene=scene.ramp_hu,
    )


@poses
@given(degrees, gaps, gaps, gaps, st.booleans(), st.booleans())
def test_any_pose_is_read_to_the_voxel(
    angles: Angles, row_gap_mm: float, column_gap_mm: float, gap_mm: float, downwards: bool, frames_in_one_file: bool
) -> None:
    truth = _turned(angles, row_gap_mm=row_gap_mm, column_gap_mm=column_gap_mm, gap_mm=gap_mm)
    taken = replace(truth, offsets_mm=truth.offsets_mm[::-1]) if downwards else truth
    loaded = _read(taken, frames_in_one_file=frames_in_one_file)
    assert loaded.repairs == ()
    assert loaded.image.grid.matches(Grid(truth.shape(), truth.affine()))
    assert np.array_equal(loaded.image.slices(), np.stack([truth.frame_hu(k) for k in range(6)]))


@poses
@given(degrees, gaps, gaps, gaps, st.floats(-0.6, 0.6), st.floats(-0.6, 0.6))
def test_any_shear_is_undone(
    angles: Angles, row_gap_mm: float, column_gap_mm: float, gap_mm: float, along_row: float, along_column: float
) -> None:
    straight = _turned(angles, row_gap_mm=row_gap_mm, column_gap_mm=column_gap_mm, gap_mm=gap_mm)
    slide = along_row * np.asarray(straight.along_row) + along_column * np.asarray(straight.along_column)
    truth = replace(straight, step=tuple(np.asarray(straight.normal) + slide))
    loaded = _read(truth)
    total_px = 5 * gap_mm * np.array((along_row / column_gap_mm, along_column / row_gap_mm))
    told = {repair.code for repair in loaded.repairs}
    assert told <= {RepairCode.GANTRY_TILT_RESAMPLED}
    if not told:
        assert np.abs(total_px).max() < SURELY_SHEARED_PX
        return
    assert np.abs(total_px).max() > SURELY_STRAIGHT_PX
    grid = loaded.image.grid
    assert grid.is_orthogonal
    assert grid.spacing_mm == pytest.approx((column_gap_mm, row_gap_mm, gap_mm), abs=1e-4)
    # The first frame's pixels are voxels of the new grid, and every frame's corners lie within it.
    own = grid.indices(Grid(truth.shape(), truth.affine(gap_mm)).points_mm(np.zeros(3)))
    assert own == pytest.approx(np.rint(own), abs=1e-3)
    for k in range(6):
        corners = _corners_ras(truth, k)
        index = grid.indices(corners)
        assert (index > -1e-3).all()
        assert (index < np.array(grid.shape) - 1 + 1e-3).all()
    _assert_ramp(truth, loaded)


def _corners_ras(truth: Acquisition, k: int) -> NDArray[np.float64]:
    far_column = np.asarray(truth.along_row) * truth.column_gap_mm * (truth.columns - 1)
    far_row = np.asarray(truth.along_column) * truth.row_gap_mm * (truth.rows - 1)
    corners = truth.position_mm(k) + np.stack([0 * far_row, far_row, far_column, far_row + far_column])
    return corners * (-1.0, -1.0, 1.0)


def _assert_ramp(truth: Acquisition, loaded: Loaded) -> None:
    """Each voxel that lies among the pixels of its frame has the ramp's value there."""
    grid = loaded.image.grid
    points = grid.points_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))
    values = loaded.image.array[0]
    for k in range(6):
        away = points[:, :, k] * (-1.0, -1.0, 1.0) - truth.position_mm(k)
        column = away @ np.asarray(truth.along_row) / truth.column_gap_mm
        row = away @ np.asarray(truth.along_column) / truth.row_gap_mm
        inside = (column > 1e-3) & (column < truth.columns - 1.001) & (row > 1e-3) & (row < truth.rows - 1.001)
        assert inside.any()
        # Half a unit is lost where a frame is stored, half where a voxel is.
        wrong = np.abs(values[:, :, k] - points[:, :, k] @ scene.RAMP_HU_PER_MM)[inside]
        assert wrong.max() <= 1.01
