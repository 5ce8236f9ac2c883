"""Connected regions, against SciPy and by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from pipelines.regions import components_by_size, fill_holes, largest_component

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))
CORNERS = np.ones((3, 3, 3))


def _layouts(mask: np.ndarray) -> list[np.ndarray]:
    """The same mask in all orders and directions in memory."""
    layouts = []
    for order in itertools.permutations(range(3)):
        for steps in itertools.product((1, -1), repeat=3):
            flips = tuple(slice(None, None, step) for step in steps)
            stored = np.ascontiguousarray(mask[flips].transpose(order))
            layouts.append(stored.transpose(np.argsort(order))[flips])
    return layouts


@settings(max_examples=50, deadline=None)
@given(masks)
def test_components_are_those_of_scipy_by_falling_size(mask: np.ndarray) -> None:
    numbers, count = components_by_size(mask)
    theirs, their_count = ndimage.label(mask, structure=CORNERS)
    assert count == their_count
    assert numbers.dtype == np.uint32
    np.testing.assert_array_equal(numbers > 0, mask)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:].tolist()
    assert sizes == sorted(sizes, reverse=True)
    # One of ours is one of theirs: pairs of numbers are as many as components.
    assert len(set(zip(numbers[mask], theirs[mask], strict=True))) == count


@settings(max_examples=50, deadline=None)
@given(masks)
def test_the_largest_component_is_the_first_one(mask: np.ndarray) -> None:
    kept, dropped = largest_component(mask)
    numbers, _ = components_by_size(mask)
    np.testing.assert_array_equal(kept, numbers == 1)
    assert dropped == mask.sum() - kept.sum()


@settings(max_examples=50, deadline=None)
@given(masks)
def test_holes_are_filled_as_scipy_fills_them(mask: np.ndarray) -> None:
    before = mask.copy()
    np.testing.assert_array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))
    np.testing.assert_array_equal(mask, before)


def test_voxels_that_touch_by_a_corner_belong_together() -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert components_by_size(mask)[1] == 1
    mask[3, 3, 3] = True
    assert components_by_size(mask)[1] == 2


def test_equal_sizes_are_numbered_by_position_however_they_lie_in_memory() -> None:
    # The places span the whole mask, so that what is numbered lies in memory as the mask does.
    mask = np.zeros((5, 5, 6), bool)
    places = [(0, 4, 0), (2, 1, 5), (2, 4, 2), (4, 0, 0)]
    for place in places:
        mask[place] = True
    for layout in _layouts(mask):
        numbers, _ = components_by_size(layout)
        assert [numbers[place] for place in places] == [1, 2, 3, 4]
        kept, _ = largest_component(layout)
        assert kept[places[0]]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_voxels_in_one_row_are_told_apart(axis: int) -> None:
    mask = np.zeros((7, 7, 7), bool)
    np.moveaxis(mask, axis, 0)[1:6:2, 3, 4] = True
    assert components_by_size(mask)[1] == 3
    kept, dropped = largest_component(mask)
    assert (int(kept.sum()), dropped) == (1, 2)


def test_small_components_get_no_number() -> None:
    mask = np.zeros((9, 3, 3), bool)
    mask[0, 0, 0] = mask[2:4, 0, 0] = mask[5:8, 0, 0] = True
    numbers, count = components_by_size(mask, min_voxels=2)
    assert count == 2
    np.testing.assert_array_equal(numbers[:, 0, 0], [0, 0, 2, 2, 0, 1, 1, 1, 0])


def test_a_cavity_is_closed_in_three_dimensions_only() -> None:
    mask = np.ones((5, 5, 5), bool)
    mask[2, 2, 2] = False
    tunnel = mask.copy()
    tunnel[2, 2, :] = False
    assert fill_holes(mask).all()
    np.testing.assert_array_equal(fill_holes(tunnel), tunnel)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5)])
def test_nothing_gives_nothing(shape: tuple[int, int, int]) -> None:
    nothing = np.zeros(shape, bool)
    kept, dropped = largest_component(nothing)
    assert (kept.any(), kept.shape, dropped) == (False, shape, 0)
    numbers, count = components_by_size(nothing)
    assert (numbers.any(), count) == (False, 0)
    assert not fill_holes(nothing).any()
