"""Spacing told by positions: what is even, uneven, missing or doubled."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from datasets.codes import RefusalCode, RepairCode
from datasets.errors import InputRefused
from datasets.io.dicom.frames import Frame, Place
from datasets.io.dicom.geometry import same_places, stack_of
from datasets.io.dicom.instance import Instance
from datasets.io.dicom.resampling import rectified

SPACING = (0.8, 0.7)


def instance() -> Instance:
    header = Dataset()
    header.Rows, header.Columns = 4, 5
    return Instance(Path("a.dcm"), header, is_image=True)


def frames(heights: Sequence[float], drift: Sequence[float] | None = None) -> list[Frame]:
    """Axial frames at these heights, moved along their columns by these distances in mm."""
    drift = drift or [0.0] * len(heights)
    return [
        Frame(
            instance(),
            number=1,
            place=Place(np.array([10.0, 20.0 + y, z]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), SPACING),
            problem=None,
            scaled=True,
            slope=1.0,
            intercept=0.0,
            order=(n, 1),
            kind=(),
            thickness_mm=None,
        )
        for n, (z, y) in enumerate(zip(heights, drift, strict=True))
    ]


def refusal(heights: Sequence[float]) -> RefusalCode:
    with pytest.raises(InputRefused) as refused:
        stack_of(frames(heights))
    return refused.value.code


def test_even_slices_have_the_mean_of_their_gaps() -> None:
    stack = stack_of(frames([-30, -27.5, -25, -22.5]))
    # LPS x and y change sign in RAS.
    assert stack.grid.affine == pytest.approx(
        np.array([[-0.7, 0, 0, -10], [0, -0.8, 0, -20], [0, 0, 2.5, -30], [0, 0, 0, 1]])
    )
    assert stack.grid.shape == (5, 4, 4)
    assert stack.repairs == ()


@pytest.mark.parametrize("noise", [1e-4, 5e-3])
def test_rounding_of_positions_is_no_unevenness(noise: float) -> None:
    wobble = np.random.default_rng(3).uniform(-noise, noise, 300)
    stack = stack_of(frames(list(np.arange(300) * 0.5 + wobble)))
    assert stack.offsets_mm is None
    assert stack.grid.spacing_mm[2] == pytest.approx(0.5, abs=2 * noise / 299 + 1e-12)


def test_small_errors_that_add_up_are_unevenness() -> None:
    # Each gap is within one per cent of the mean, but the middle slice lies half a gap from its even place.
    gaps = [1.01] * 100 + [0.99] * 100
    stack = stack_of(frames([0.0, *np.cumsum(gaps)]))
    assert [repair.code for repair in stack.repairs] == [RepairCode.UNEVEN_SPACING_RESAMPLED]


@pytest.mark.parametrize(
    "heights",
    [
        pytest.param([0, 1, 2, 4, 5, 6], id="one"),
        pytest.param([0, 2, 3], id="one of few"),
        pytest.param([0, 1, 2, 3, 6, 7, 8, 9], id="two together"),
        pytest.param([0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12], id="two apart"),
        pytest.param([0, 1.5, 3, 4, 5, 9.5, 10], id="wider than three usual gaps"),
        pytest.param([0, 8, 16, 22, 40], id="wider than fifteen millimetres"),
    ],
)
def test_gaps_with_slices_missing_are_refused(heights: list[float]) -> None:
    assert refusal(heights) == RefusalCode.MISSING_SLICE


def test_the_refusal_tells_between_which_slices() -> None:
    with pytest.raises(InputRefused, match=r"gap of 5\.000 mm between the slices at 5\.000 and 10\.000 mm"):
        stack_of(frames([0, 2.5, 5, 10, 12.5]))


@pytest.mark.parametrize(
    ("heights", "spacing", "count"),
    [
        pytest.param([0, 2, 4, 6, 8, 10, 14, 18, 22], 2.0, 12, id="zone of wider slices at the end"),
        pytest.param([0, 4, 8, 12, 14, 16, 18, 20, 22], 2.0, 12, id="zone of wider slices at the start"),
        pytest.param([0, 2, 5, 7, 10, 12, 15], 2.5, 7, id="alternating"),
        pytest.param([0, 1, 2.2, 3.1, 4.4], 1.1, 5, id="irregular"),
    ],
)
def test_uneven_slices_go_to_their_median(heights: list[float], spacing: float, count: int) -> None:
    stack = stack_of(frames(heights))
    assert [repair.code for repair in stack.repairs] == [RepairCode.UNEVEN_SPACING_RESAMPLED]
    assert stack.grid.spacing_mm[2] == pytest.approx(spacing)
    assert stack.grid.shape[2] == count
    assert stack.grid.origin_mm == (-10.0, -20.0, 0.0)
    # Linear interpolation keeps a field that is linear along the normal.
    slices = np.array(heights, dtype=np.float32)[:, None, None] * np.ones((1, 4, 5), np.float32)
    evened = rectified(slices, stack, fill=-1.0)
    assert evened[:, 0, 0] == pytest.approx(np.arange(count) * spacing, abs=1e-5)
    assert np.ptp(evened, axis=(1, 2)).max() == 0


def test_one_slice_has_no_spacing() -> None:
    assert refusal([3.0]) == RefusalCode.SINGLE_SLICE


@pytest.mark.parametrize("heights", [[0, 0, 2, 4], [0, 0.005, 2, 4], [0, 0.1, 2, 4]])
def test_slices_closer_than_any_scan_are_one_place(heights: list[float]) -> None:
    assert [len(place) for place in same_places(frames(heights))] == [2, 1, 1]


def test_drift_below_a_quarter_of_a_pixel_is_rounding() -> None:
    stack = stack_of(frames([0, 2, 4], [0, 0.05, 0.1]))
    assert stack.shifts_px is None
    assert stack.grid.is_orthogonal


@pytest.mark.parametrize("sign", [1, -1])
def test_a_tilted_stack_gets_rows_so_that_no_pixel_is_lost(sign: int) -> None:
    # 0.4 mm are half a row: slices lie 0, 0.5 and 1 rows away.
    stack = stack_of(frames([0, 2, 4], [0, 0.4 * sign, 0.8 * sign]))
    assert [repair.code for repair in stack.repairs] == [RepairCode.GANTRY_TILT_RESAMPLED]
    assert stack.grid.shape == (5, 5, 3)
    assert stack.grid.is_orthogonal
    assert stack.grid.origin_mm == pytest.approx((-10, -20 if sign > 0 else -20 + 0.8, 0))
    rows = np.array([10.0, 20.0, 30.0, 40.0], np.float32)
    slices = np.tile(rows[None, :, None], (3, 1, 5))
    result = rectified(slices, stack, fill=0.0)[:, :, 0]
    middle = [5, 15, 25, 35, 20]
    up = [[10, 20, 30, 40, 0], middle, [0, 10, 20, 30, 40]]
    assert result.tolist() == (up if sign > 0 else [up[2], middle, up[0]])


def test_resampled_whole_numbers_are_rounded() -> None:
    stack = stack_of(frames([0, 2, 5, 7, 10]))
    slices = np.array([0, 1, 2, 3, 4], np.int16)[:, None, None] * np.ones((1, 4, 5), np.int16)
    result = rectified(slices, stack, fill=0.0)
    assert result.dtype == np.int16
    # At 2.5 mm between slices at 2 (1) and 5 (2): 1 + 1/6.
    assert result[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_numbers_that_do_not_follow_positions_are_told() -> None:
    stack = stack_of([replace(f, order=(n, 1)) for f, n in zip(frames([0, 1, 2, 3]), [1, 3, 2, 4], strict=True)])
    assert [repair.code for repair in stack.repairs] == [RepairCode.SLICES_REORDERED]
    assert stack_of([replace(f, order=(9 - n, 1)) for n, f in enumerate(frames([0, 1, 2]))]).repairs == ()
    assert stack_of([replace(f, order=None) for f in frames([0, 1, 2])]).repairs == ()


def test_thickness_is_told_and_not_used() -> None:
    stack = stack_of([replace(f, thickness_mm=5.0) for f in frames([0, 2, 4])])
    assert stack.grid.spacing_mm[2] == pytest.approx(2.0)
    (repair,) = stack.repairs
    assert repair.code == RepairCode.SPACING_FROM_POSITIONS
    assert "5 mm" in repair.message
    assert "2.000 mm" in repair.message
