"""What is said about an organ and its lesions, on masks counted by hand."""

import numpy as np
import pytest

from datasets.geometry import grid_from_axes
from pipelines.lesions import HOUNSFIELD_UCUM, measure_lesion, organ_flags, stream_flags
from pipelines.sliding_window import Statistics


def _block(*part: slice) -> np.ndarray:
    mask = np.zeros((10, 10, 10), bool)
    mask[part] = True
    return mask


INSIDE = (slice(3, 7), slice(3, 7), slice(3, 7))


def test_a_lesion_is_measured_with_units() -> None:
    grid = grid_from_axes((10, 10, 10), (2.0, 2.0, 5.0))
    mask = _block(slice(2, 8), slice(4, 6), slice(3, 5))
    values = np.where(mask, 60, -1000).astype(np.int16)
    values[2, 4, 3] = 108
    measured = {quantity.name: (quantity.value, quantity.unit) for quantity in measure_lesion(mask, values, grid)}
    # 24 voxels of 0.02 ml; one of them is 48 above the others.
    assert measured["volume"] == (pytest.approx(0.48), "ml")
    assert measured["mean_attenuation"] == (pytest.approx(62.0), HOUNSFIELD_UCUM)
    # Six by two voxels of 2 mm, the corners cut: between the sides and the diagonal.
    assert 12.0 <= measured["longest_axial_diameter"][0] <= np.hypot(12.0, 4.0)
    assert measured["perpendicular_diameter"][0] == pytest.approx(4.0, abs=1.0)
    assert measured["longest_axial_diameter"][1] == measured["perpendicular_diameter"][1] == "mm"


def test_an_organ_inside_the_scan_needs_no_warning() -> None:
    assert organ_flags(_block(*INSIDE), 0, "liver") == ()


@pytest.mark.parametrize(
    ("axis", "end", "side"),
    [(0, 0, "right"), (0, 9, "left"), (1, 0, "front"), (1, 9, "back"), (2, 0, "low"), (2, 9, "high")],
)
def test_each_edge_has_its_name(axis: int, end: int, side: str) -> None:
    # LPS: the first index grows to the left, the second to the back, the third to the head.
    part = list(INSIDE)
    part[axis] = slice(0, 7) if end == 0 else slice(3, 10)
    (flag,) = organ_flags(_block(*part), 0, "liver")
    assert (flag.code, flag.severity) == ("touches_border", "warning")
    assert flag.message == f"the liver reaches the {side} edge of the scan: its volume is a lower bound"


def test_an_organ_that_is_not_there_is_an_error() -> None:
    (flag,) = organ_flags(np.zeros((4, 4, 4), bool), 0, "liver")
    assert (flag.code, flag.severity) == ("empty_result", "error")


def test_only_large_losses_are_told() -> None:
    # 64 voxels are kept: 3 of 67 are 4.5 %, 4 of 68 are 5.9 %.
    assert organ_flags(_block(*INSIDE), 3, "liver") == ()
    (flag,) = organ_flags(_block(*INSIDE), 4, "liver")
    assert flag.code == "fragments_dropped"
    assert flag.message.startswith("6% of what looked like liver")


def test_how_the_network_was_run_is_told() -> None:
    assert stream_flags(Statistics(10)) == ()
    codes = [flag.code for flag in stream_flags(Statistics(10, windows_skipped=4, batch=1, batch_halved=2))]
    assert codes == ["air_skipped", "batch_halved"]
    assert stream_flags(Statistics(10, windows_skipped=4))[0].message.startswith("4 of 10 windows")
