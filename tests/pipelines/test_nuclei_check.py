"""Figures of several micrographs, by hand."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.metrics.panoptic import PanopticQuality
from pipelines.nuclei_check import Checked, summary
from pipelines.nuclei_data import Labelled


def checked(truth: np.ndarray, probability: np.ndarray, panoptic: PanopticQuality, two: float, one: float) -> Checked:
    case = Labelled(Path("a.png"), np.zeros((3, *truth.shape), np.uint8), truth.astype(np.uint16))
    return Checked(case, probability.astype(np.uint8), truth.astype(np.int32), two, one, panoptic, two / 2)


def test_means_and_pools() -> None:
    first = checked(np.array([[1, 1, 0, 0]]), np.array([[255, 255, 255, 0]]), PanopticQuality(1, 1, 0, 0.6), 0.5, 0.7)
    second = checked(np.array([[2, 0]]), np.array([[255, 0]]), PanopticQuality(3, 0, 2, 2.4), 0.9, 0.8)
    found = summary([first, second])
    assert found["micrographs"] == 2
    assert (found["two_class_iou"], found["foreground_iou"]) == (0.7, 0.75)
    assert found["aggregated_jaccard"] == 0.35
    assert found["panoptic_quality"] == pytest.approx((0.6 / 1.5 + 2.4 / 4) / 2)
    # Three of four pixels, and two of three of the background; four pairs of 4 + (1 + 2) / 2.
    assert found["foreground_iou_pooled"] == 0.75
    assert found["two_class_iou_pooled"] == pytest.approx((3 / 4 + 2 / 3) / 2, abs=1e-4)
    assert found["recognition_quality_pooled"] == pytest.approx(4 / 5.5, abs=1e-4)
    assert found["segmentation_quality_pooled"] == 0.75
    assert found["panoptic_quality_pooled"] == pytest.approx(3 / 5.5, abs=1e-4)
