"""Small label maps for the metrics of instances."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

_SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)
PAIRS = _SHAPES.flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.int64, shape, elements=st.integers(0, 4))] * 2)  # gaps and all
)


def blocks(*corners: tuple[int, int, int, int], shape: tuple[int, int] = (8, 12)) -> NDArray[np.int64]:
    """Rectangles [top, bottom) x [left, right), numbered from 1."""
    labels = np.zeros(shape, np.int64)
    for number, (top, bottom, left, right) in enumerate(corners, start=1):
        labels[top:bottom, left:right] = number
    return labels


def renumbered(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same regions under other numbers, in the opposite order."""
    return np.where(labels > 0, 1000 - 7 * labels, 0)


def regions(labels: NDArray[np.int64]) -> dict[int, set[int]]:
    """Number -> places."""
    return {int(number): set(np.flatnonzero(labels == number)) for number in np.unique(labels) if number}
