"""IoU of masks counted by hand, and against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import jaccard_score

from pipelines.metrics.iou import THRESHOLDS, iou, two_class_iou

shapes = hnp.array_shapes(min_dims=1, max_dims=3, max_side=5)
pairs = shapes.flatmap(lambda shape: st.tuples(*[hnp.arrays(np.bool_, shape)] * 2))
# Steps of 1/64 meet a threshold exactly at 0.5 and 0.75 only, in float32 and in float64.
maps = shapes.flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=st.integers(0, 64).map(lambda step: step / 64)),
        hnp.arrays(np.bool_, shape),
    )
)


def test_by_hand() -> None:
    first, second = np.zeros((2, 5), bool), np.zeros((2, 5), bool)
    first[0, :4], second[0, 2:] = True, True
    assert iou(first, second) == pytest.approx(2 / 5)


def test_empty_masks() -> None:
    nothing, something = np.zeros((3, 3), bool), np.eye(3, dtype=bool)
    assert iou(nothing, nothing) == 1.0
    assert iou(nothing, something) == iou(something, nothing) == 0.0
    assert iou(something, ~something) == 0.0


@settings(deadline=None)
@given(pairs)
def test_as_scikit_learn_counts(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    assert iou(first, second) == iou(second, first)
    assert iou(first, second) == pytest.approx(jaccard_score(second.ravel(), first.ravel(), zero_division=1.0))


def test_thresholds_are_those_of_the_authors() -> None:
    assert np.array(THRESHOLDS) == pytest.approx(np.arange(0.5, 1.0, 0.05))
    assert len(THRESHOLDS) == 10


def test_two_classes_by_hand() -> None:
    probability = np.array([0.97, 0.72, 0.3, 0.1])
    truth = np.array([True, True, False, False])
    # Above 0.5 to 0.7, five thresholds, everything is right. From 0.75 to 0.95 the second pixel is lost: 1 of 2 and
    # 2 of 3 in common.
    assert two_class_iou(probability, truth) == pytest.approx((5 * 1.0 + 5 * (1 / 2 + 2 / 3) / 2) / 10)
    assert two_class_iou(probability, truth, [0.2]) == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_two_classes_where_one_is_nowhere() -> None:
    none = np.zeros((2, 2))
    assert two_class_iou(none, none > 0) == 1.0
    assert two_class_iou(none + 1.0, none < 1) == 1.0
    # A threshold is exceeded, not reached.
    assert two_class_iou(none + 0.5, none < 1, [0.5]) == 0.0


@settings(deadline=None)
@given(maps)
def test_two_classes_as_scikit_learn_counts(pair: tuple[np.ndarray, np.ndarray]) -> None:
    probability, truth = pair
    expected = []
    for threshold in np.arange(10, 20) / 20:
        said = (probability > threshold).ravel()
        present = sorted({*truth.ravel().tolist(), *said.tolist()})
        # The authors' measure leaves out a class that is nowhere.
        expected.append(jaccard_score(truth.ravel(), said, labels=present, average="macro", zero_division=0.0))
    assert two_class_iou(probability, truth) == pytest.approx(np.mean(expected))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape; got \(2, 3\) and \(3, 2\)"):
        iou(np.zeros((2, 3), bool), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="one shape"):
        two_class_iou(np.zeros((2, 3)), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="at least one threshold"):
        two_class_iou(np.zeros(2), np.zeros(2, bool), [])
