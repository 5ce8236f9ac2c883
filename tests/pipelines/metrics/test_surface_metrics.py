"""Distances of borders: by hand for lines and plates, and as MONAI has them for masks at random."""

import warnings

import numpy as np
import pytest
import torch
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice
from monai.metrics.surface_distance import compute_average_surface_distance
from numpy.typing import NDArray

from pipelines.metrics.hausdorff import hausdorff, hausdorff_percentile
from pipelines.metrics.mean_surface_distance import average_symmetric_surface_distance, root_mean_square_distance
from pipelines.metrics.surface_dice import surface_dice
from pipelines.metrics.surface_distances import border, surface_distances
from tests.pipelines.metrics.boxes import Mask, box, nothing, random_masks

# MONAI calls a function of its own by an argument that it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")

SPACING = (0.7, 1.1, 2.5)


def _tensor(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(mask.astype(np.float32))[None, None]


@pytest.mark.parametrize("axis", range(3))
def test_plates_that_lie_apart_are_as_far_as_they_were_moved(axis: int) -> None:
    size = [6, 6, 6]
    size[axis] = 1
    start = [4, 4, 4]
    moved = list(start)
    moved[axis] += 3
    found = surface_distances(box(tuple(moved), tuple(size)), box(tuple(start), tuple(size)), SPACING)
    apart = 3 * SPACING[axis]
    for figure in (hausdorff, hausdorff_percentile, average_symmetric_surface_distance, root_mean_square_distance):
        assert figure(found) == pytest.approx(apart, abs=1e-12)
    assert surface_dice(found, apart) == 1.0
    assert surface_dice(found, apart - 0.01) == 0.0


def test_a_line_that_is_too_long_by_hand() -> None:
    # Six voxels said, the first four there: distances 0 0 0 0 1 2 steps one way, 0 0 0 0 the other.
    found = surface_distances(box((5, 5, 2), (1, 1, 6)), box((5, 5, 2), (1, 1, 4)), SPACING)
    step = SPACING[2]
    assert hausdorff(found) == pytest.approx(2 * step)
    assert hausdorff_percentile(found) == pytest.approx(1.75 * step)  # 95 % of five steps between ranks is 4.75
    assert average_symmetric_surface_distance(found) == pytest.approx(3 * step / 10)
    assert root_mean_square_distance(found) == pytest.approx(step * np.sqrt(5 / 10))
    assert surface_dice(found, step) == pytest.approx(9 / 10)
    assert surface_dice(found, 0.0) == pytest.approx(8 / 10)


def test_the_far_side_of_a_shifted_cube_is_as_far_as_the_shift() -> None:
    found = surface_distances(box((6, 5, 4), (8, 8, 8)), box((4, 5, 4), (8, 8, 8)), SPACING)
    assert hausdorff(found) == pytest.approx(2 * SPACING[0])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), SPACING])
def test_is_what_monai_says_of_masks_at_random(seed: int, spacing: tuple[float, float, float]) -> None:
    first, second = random_masks(seed)
    found = surface_distances(first, second, spacing)
    told = {"y_pred": _tensor(first), "y": _tensor(second), "include_background": True, "spacing": spacing}
    assert hausdorff(found) == pytest.approx(float(compute_hausdorff_distance(**told)), rel=1e-6)
    robust = float(compute_hausdorff_distance(**told, percentile=95))
    assert hausdorff_percentile(found) == pytest.approx(robust, rel=1e-6)
    mean = float(compute_average_surface_distance(**told, symmetric=True))
    assert average_symmetric_surface_distance(found) == pytest.approx(mean, rel=1e-6)
    for tolerance in (0.0, 0.7, 1.0, 1.1, 2.2):
        shares = float(compute_surface_dice(**told, class_thresholds=[tolerance]))
        assert surface_dice(found, tolerance) == pytest.approx(shares, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_pictures_have_borders_in_their_plane_as_monai_has_them(seed: int) -> None:
    first, second = random_masks(seed, (15, 13))
    found = surface_distances(first[..., None], second[..., None], (*SPACING[:2], 1.0))
    told = {"y_pred": _tensor(first), "y": _tensor(second), "include_background": True, "spacing": SPACING[:2]}
    mean = float(compute_average_surface_distance(**told, symmetric=True))
    assert average_symmetric_surface_distance(found) == pytest.approx(mean, rel=1e-6)
    whole = np.ones((9, 9, 1), np.bool_)
    assert np.count_nonzero(border(whole, (0, 1))) == 32


def test_axes_that_are_not_perpendicular_are_measured_along_their_steps() -> None:
    sheared = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.5], [0.0, 0.0, 2.0]])
    plates = box((4, 9, 4), (1, 1, 1)), box((4, 9, 6), (1, 1, 1))
    assert hausdorff(surface_distances(*plates, sheared)) == pytest.approx(np.hypot(2 * 1.5, 2 * 2.0))
    straight = surface_distances(*plates, np.diag(SPACING))
    assert hausdorff(straight) == hausdorff(surface_distances(*plates, SPACING))


def test_empty_masks_by_the_stated_rule_and_by_monais() -> None:
    full = box((4, 4, 4), (3, 3, 3))
    both, one = surface_distances(nothing(), nothing(), SPACING), surface_distances(full, nothing(), SPACING)
    for figure in (hausdorff, hausdorff_percentile, average_symmetric_surface_distance, root_mean_square_distance):
        assert figure(both) is None
        assert figure(one) is None
    assert surface_dice(both, 1.0) == 1.0
    assert surface_dice(one, 1.0) == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        empty, there = _tensor(nothing()), _tensor(full)
        assert np.isnan(float(compute_hausdorff_distance(empty, empty, include_background=True)))
        assert np.isinf(float(compute_hausdorff_distance(there, empty, include_background=True)))
        assert np.isnan(float(compute_surface_dice(empty, empty, [1.0], include_background=True)))
        assert float(compute_surface_dice(there, empty, [1.0], include_background=True)) == 0.0


def test_what_cannot_be_compared_is_refused() -> None:
    full = box((4, 4, 4), (3, 3, 3))
    with pytest.raises(ValueError, match="one shape"):
        surface_distances(full, full[1:], SPACING)
    with pytest.raises(ValueError, match="three distances"):
        surface_distances(full, full, SPACING[:2])
    with pytest.raises(ValueError, match="tolerance"):
        surface_dice(surface_distances(full, full, SPACING), -1.0)


def test_a_border_ends_at_the_edge_of_the_image() -> None:
    expected: NDArray[np.bool_] = np.ones((5, 5, 5), np.bool_)
    expected[1:-1, 1:-1, 1:-1] = False
    assert np.array_equal(border(np.ones((5, 5, 5), np.bool_)), expected)
