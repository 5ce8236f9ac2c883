"""Overlap, volumes and lesions of masks: by hand, and as MONAI has them."""

import numpy as np
import pytest
import torch
from monai.metrics.froc import compute_froc_curve_data, compute_froc_score
from monai.metrics.meandice import compute_dice
from monai.metrics.meaniou import compute_iou

from pipelines.metrics.dice import dice, dice_of
from pipelines.metrics.froc import USUAL_RATES, froc
from pipelines.metrics.iou import iou, volumetric_overlap_error
from pipelines.metrics.lesion_detection import LesionCounts, find_lesions
from pipelines.metrics.mask_counts import NO_VOXELS, MaskCounts, count_masks
from pipelines.metrics.volume_difference import relative_volume_difference, volume_error_ml, volume_error_percent
from tests.pipelines.metrics.boxes import box, nothing, random_masks


@pytest.mark.parametrize("seed", range(6))
def test_dice_and_iou_are_what_monai_says(seed: int) -> None:
    first, second = random_masks(seed)
    told = [torch.from_numpy(mask.astype(np.float32))[None, None] for mask in (first, second)]
    assert dice(first, second) == pytest.approx(float(compute_dice(*told)), rel=1e-6)
    assert iou(first, second) == pytest.approx(float(compute_iou(*told)), rel=1e-6)


def test_counts_of_cases_add_up_to_the_global_figure() -> None:
    cases = [MaskCounts(10, 10, 10), MaskCounts(100, 80, 30)]
    together = sum(cases, NO_VOXELS)
    assert together == MaskCounts(110, 90, 40)
    assert dice_of(together) == pytest.approx(2 * 40 / 200)
    assert together.joined == 160


def test_volumes_by_hand() -> None:
    counts = MaskCounts(predicted=150, reference=100, shared=90)
    assert relative_volume_difference(counts) == pytest.approx(0.5)
    assert volume_error_percent(counts) == pytest.approx(50.0)
    assert volume_error_ml(counts, 0.01) == pytest.approx(0.5)
    assert volumetric_overlap_error(counts) == pytest.approx(1 - 90 / 160)


def test_empty_masks_by_the_stated_rule_and_by_monais() -> None:
    full = box((2, 2, 2), (3, 3, 3))
    both, missed, invented = (count_masks(*pair) for pair in ((nothing(),) * 2, (nothing(), full), (full, nothing())))
    assert [dice_of(one) for one in (both, missed, invented)] == [1.0, 0.0, 0.0]
    assert [volumetric_overlap_error(one) for one in (both, missed, invented)] == [0.0, 1.0, 1.0]
    assert [relative_volume_difference(one) for one in (both, missed, invented)] == [0.0, -1.0, None]
    assert volume_error_percent(invented) is None
    tensors = {
        name: torch.from_numpy(mask.astype(np.float32))[None, None]
        for name, mask in (("nothing", nothing()), ("full", full))
    }
    assert np.isnan(float(compute_dice(tensors["nothing"], tensors["nothing"])))
    assert np.isnan(float(compute_dice(tensors["full"], tensors["nothing"])))
    assert float(compute_dice(tensors["nothing"], tensors["nothing"], ignore_empty=False)) == 1.0


def test_lesions_by_both_rules() -> None:
    # There: two. Said: one that covers the first by half its union and more, one that touches the second, one invented.
    reference = box((2, 2, 2), (4, 4, 4)) | box((12, 10, 8), (4, 4, 4))
    prediction = box((2, 2, 2), (4, 4, 3)) | box((15, 13, 11), (2, 2, 2)) | box((2, 14, 2), (2, 2, 2))
    lesions = find_lesions(prediction, reference)
    assert lesions.counts("overlap") == LesionCounts(reference=2, found=2, predicted=3, right=2)
    assert lesions.counts("iou") == LesionCounts(reference=2, found=1, predicted=3, right=1)
    by_iou = lesions.counts("iou")
    assert (by_iou.recall, by_iou.precision) == (0.5, pytest.approx(1 / 3))
    assert by_iou.f1 == pytest.approx(2 * 0.5 / 3 / (0.5 + 1 / 3))
    assert lesions.counts("iou", least_iou=0.75).found == 0  # 48 of 64 voxels is not more than that.


def test_one_prediction_over_two_lesions_finds_both_by_overlap_and_one_at_most_by_iou() -> None:
    reference = box((2, 2, 2), (4, 4, 4)) | box((8, 2, 2), (4, 4, 4))
    lesions = find_lesions(box((2, 2, 2), (10, 4, 4)), reference)
    assert lesions.counts("overlap") == LesionCounts(2, 2, 1, 1)
    assert lesions.counts("iou", least_iou=0.3).found == 1


def test_lesions_of_empty_masks() -> None:
    full = box((2, 2, 2), (3, 3, 3))
    none = find_lesions(nothing(), nothing()).counts("overlap")
    assert (none.recall, none.precision, none.f1) == (None, None, 1.0)
    missed, invented = find_lesions(nothing(), full).counts("iou"), find_lesions(full, nothing()).counts("iou")
    assert (missed.recall, missed.precision, missed.f1) == (0.0, None, 0.0)
    assert (invented.recall, invented.precision, invented.f1) == (None, 0.0, 0.0)
    assert find_lesions(full, full).counts("iou") + none == LesionCounts(1, 1, 1, 1)


def test_froc_by_hand() -> None:
    # Four lesions in two images; found at 0.9 and 0.5, invented at 0.7 and 0.5.
    curve = froc(np.array([0.9, 0.5]), np.array([0.7, 0.5]), lesions=4, images=2)
    assert curve is not None
    assert curve.false_per_image.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert curve.sensitivity.tolist() == [0.0, 0.25, 0.25, 0.5]
    assert curve.at(0.75) == pytest.approx(0.375)
    assert curve.at(8.0) == 0.5
    assert curve.average((0.5, 1.0)) == pytest.approx(0.375)
    assert froc(np.empty(0), np.array([0.5]), 0, 2) is None


@pytest.mark.parametrize("seed", range(5))
def test_froc_is_what_monai_says_where_lesions_were_missed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, invented = rng.random(30).round(2), rng.random(40).round(2)
    found, invented = found[found > 0], invented[invented > 0]
    curve = froc(found, invented, found.size + 9, 8)
    assert curve is not None
    theirs = compute_froc_curve_data(invented, np.concatenate([found, np.zeros(9)]), found.size + 9, 8)
    assert curve.average() == pytest.approx(float(compute_froc_score(*theirs, USUAL_RATES)), rel=1e-6)


def test_froc_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="at most 1"):
        froc(np.array([0.5, 0.6]), np.empty(0), 1, 1)
    with pytest.raises(ValueError, match="NaN"):
        froc(np.array([np.nan]), np.empty(0), 1, 1)
