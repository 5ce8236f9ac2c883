"""Dice of masks whose overlap can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipelines.metrics.dice import dice

shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)
pairs = shapes.flatmap(lambda shape: st.tuples(*[hnp.arrays(np.bool_, shape)] * 2))


def test_by_hand() -> None:
    first, second = np.zeros((2, 5), bool), np.zeros((2, 5), bool)
    first[0, :4], second[0, 2:] = True, True
    # Four and three voxels, two in common: 2 * 2 / 7.
    assert dice(first, second) == pytest.approx(4 / 7)


def test_empty_masks() -> None:
    nothing, something = np.zeros((3, 3), bool), np.eye(3, dtype=bool)
    assert dice(nothing, nothing) == 1.0
    assert dice(nothing, something) == dice(something, nothing) == 0.0
    assert dice(something, ~something) == 0.0


@settings(deadline=None)
@given(pairs)
def test_symmetric_and_by_the_formula(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    value = dice(first, second)
    assert value == dice(second, first)
    assert dice(first, first) == 1.0
    a, b = set(np.flatnonzero(first)), set(np.flatnonzero(second))
    assert value == pytest.approx(2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0)


def test_masks_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape; got \(2, 3\) and \(3, 2\)"):
        dice(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
