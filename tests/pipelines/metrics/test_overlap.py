"""Overlaps of regions that can be counted by eye."""

import numpy as np
import pytest

from pipelines.metrics.overlap import count_overlaps


def test_by_eye() -> None:
    prediction = np.array([[7, 7, 0, 0], [7, 7, 0, 3], [0, 0, 0, 3]])
    reference = np.array([[0, 5, 5, 0], [0, 5, 5, 9], [2, 0, 0, 0]])
    found = count_overlaps(prediction, reference)
    # 3 comes before 7, and 2 before 5 before 9.
    assert found.predicted_px.tolist() == [2, 4]
    assert found.reference_px.tolist() == [1, 4, 1]
    pairs = zip(found.predicted, found.reference, found.shared_px, found.joined_px, found.iou, strict=True)
    assert sorted(pairs) == [(0, 2, 1, 2, 0.5), (1, 1, 2, 6, 2 / 6)]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_nothing_and_everything(kind: type) -> None:
    nothing, everything = np.zeros((2, 3), kind), np.full((2, 3), 4, kind)
    none = count_overlaps(nothing, nothing)
    assert (none.predicted_px.size, none.reference_px.size, none.shared_px.size) == (0, 0, 0)
    one = count_overlaps(everything, nothing)
    assert (one.predicted_px.tolist(), one.reference_px.tolist(), one.iou.tolist()) == ([6], [], [])
    both = count_overlaps(everything, everything)
    assert (both.shared_px.tolist(), both.iou.tolist()) == ([6], [1.0])


def test_maps_of_two_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape; got \(2, 3\) and \(3, 2\)"):
        count_overlaps(np.zeros((2, 3), int), np.zeros((3, 2), int))
