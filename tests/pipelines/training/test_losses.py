"""Losses by formula and beside MONAI's."""

import math

import numpy as np
import pytest
import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor, nn
from torch.nn import functional

from pipelines.classification import ClassesHead, FindingsHead, ScoreHead
from pipelines.training.losses import (
    UNKNOWN,
    combined,
    distilled,
    head_loss,
    soft_dice_loss,
    voxel_loss,
)
from pipelines.training_settings import LossSettings


def some(classes: int, size: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((3, classes, *size), generator=generator)
    return logits, torch.randint(0, max(classes, 2), (3, *size), generator=generator)


@pytest.mark.parametrize("size", [(8, 9), (4, 5, 6)])
@pytest.mark.parametrize("over", ["batch", "example"])
def test_entropy_and_dice_as_monai_has_them(size: tuple[int, ...], over: str) -> None:
    logits, classes = some(3, size)
    theirs = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=over == "batch", smooth_nr=1e-5, smooth_dr=1e-5
    )
    ours = voxel_loss(logits, classes, LossSettings(dice_over=over))
    torch.testing.assert_close(ours, theirs(logits, classes[:, None]))


def test_weighted_entropy_of_h_dense_unet() -> None:
    logits, classes = some(3, (6, 7))
    weights = (0.78, 0.65, 8.57)
    ours = voxel_loss(logits, classes, LossSettings(dice=0, class_weights=weights))
    log_p = logits.double().log_softmax(dim=1).numpy()
    weight = np.asarray(weights)[classes.numpy()]
    picked = np.take_along_axis(log_p, classes.numpy()[:, None], axis=1)[:, 0]
    assert float(ours) == pytest.approx(-(weight * picked).sum() / weight.sum(), rel=1e-5)


def test_sigmoid_of_one_class() -> None:
    logits, classes = some(1, (6, 7))
    truth = (classes == 1).float()[:, None]
    said = torch.sigmoid(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    dice = 1 - 2 * (said * truth).sum((1, 2, 3)) / (said.sum((1, 2, 3)) + truth.sum((1, 2, 3)))
    ours = voxel_loss(logits, classes, LossSettings(entropy=0.5))
    assert float(ours) == pytest.approx(float(0.5 * entropy + dice.mean()), rel=1e-5)


def test_focal_by_formula() -> None:
    logits, classes = some(4, (5, 5))
    p = logits.softmax(dim=1).gather(1, classes[:, None])[:, 0]
    expected = ((1 - p) ** 2 * -p.log()).mean()
    torch.testing.assert_close(voxel_loss(logits, classes, LossSettings(dice=0, focus=2.0)), expected)


@pytest.mark.parametrize("focus", [0.0, 2.0])
@pytest.mark.parametrize("classes", [1, 3])
def test_unknown_voxels_count_in_no_term(classes: int, focus: float) -> None:
    logits, truth = some(classes, (6, 6))
    truth[:, :2] = UNKNOWN
    settings = LossSettings(focus=focus, dice_over="example")
    before = voxel_loss(logits, truth, settings)
    logits[:, :, :2] = torch.randn(3, classes, 2, 6) * 5
    torch.testing.assert_close(voxel_loss(logits, truth, settings), before)
    kept = voxel_loss(logits[:, :, 2:], truth[:, 2:], settings)
    torch.testing.assert_close(before, kept)


def test_heads_alike_or_halving() -> None:
    values = [torch.tensor(8.0), torch.tensor(4.0), torch.tensor(2.0)]
    assert float(combined(values, LossSettings())) == pytest.approx(14 / 3)
    # The last head, the finest, has 1, the one before 1/2, the first 1/4; together 1.75.
    assert float(combined(values, LossSettings(heads="halving"))) == pytest.approx((2 + 2 + 2) / 1.75)


def test_a_gap_costs_more_than_a_thinner_line() -> None:
    classes = torch.zeros(1, 24, 24, dtype=torch.int64)
    classes[:, 8:13, 3:21] = 1

    def loss(said: Tensor) -> float:
        settings = LossSettings(entropy=0, dice=0, center_line=1.0)
        return float(voxel_loss((said * 2 - 1)[:, None] * 30.0, classes, settings))

    whole = (classes == 1).float()
    thinner, torn = whole.clone(), whole.clone()
    thinner[:, 8], thinner[:, 12] = 0.0, 0.0
    torn[:, :, 10:14] = 0.0
    assert loss(whole) == pytest.approx(0.0, abs=1e-3)
    assert loss(thinner) == pytest.approx(0.0, abs=1e-3)
    # Four of the eighteen columns are missing, so nearly so much of the true centre line.
    assert loss(torn) > 0.08


def test_nothing_said_of_nothing_is_no_loss() -> None:
    empty = torch.zeros(2, 1, 4, 4)
    assert float(soft_dice_loss(empty, empty, "example")) == pytest.approx(0.0)


FINDINGS = FindingsHead(labels=("a", "b"))
CLASSES = ClassesHead(labels=("x", "y", "z"))
SCORE = ScoreHead(name="s", low=0.0, high=8.0)


def test_findings_without_those_unknown() -> None:
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.7]])
    truth = torch.tensor([[1.0, math.nan], [0.0, 1.0]])
    terms = [-math.log(1 / (1 + math.exp(-0.3))), -math.log(1 - 1 / (1 + math.exp(-2.0))), math.log(1 + math.exp(-0.7))]
    assert float(head_loss(logits, truth, (FINDINGS,), LossSettings())) == pytest.approx(sum(terms) / 3, rel=1e-5)
    nothing = torch.full((2, 2), math.nan)
    assert float(head_loss(logits, nothing, (FINDINGS,), LossSettings())) == 0.0


def test_positives_may_weigh_more() -> None:
    logits = torch.tensor([[0.3, -1.2]])
    truth = torch.tensor([[1.0, 0.0]])
    settings = LossSettings(class_weights=(5.0, 3.0))
    expected = (5.0 * math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(-1.2))) / 2
    assert float(head_loss(logits, truth, (FINDINGS,), settings)) == pytest.approx(expected, rel=1e-5)


def test_heads_of_all_sorts() -> None:
    logits = torch.tensor([[0.3, -1.2, 1.0, 0.0, -1.0, 5.0]])
    truth = torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0, 2.0]])
    findings = (math.log(1 + math.exp(-0.3)) + math.log(1 + math.exp(-1.2))) / 2
    classes = math.log(math.exp(1) + 1 + math.exp(-1))
    score = (3.0 - 0.5) / 8.0
    expected = (findings + classes + score) / 3
    settings = LossSettings()
    assert float(head_loss(logits, truth, (FINDINGS, CLASSES, SCORE), settings)) == pytest.approx(expected, rel=1e-5)


def test_a_teacher_is_met_where_answers_agree() -> None:
    teacher = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    for independent in (True, False):
        assert float(distilled(teacher, teacher, 3.0, independent=independent)) == pytest.approx(0.0, abs=1e-6)
    student = nn.Parameter(torch.zeros(4, 5))
    soft = functional.softmax(teacher / 2.0, dim=1)
    expected = 4.0 * (soft * (soft.log() - math.log(1 / 5))).sum(dim=1).mean()
    loss = distilled(student, teacher, 2.0, independent=False)
    torch.testing.assert_close(loss.detach(), expected)
    loss.backward()
    # d/ds T^2 KL = T (softmax(s / T) - softmax(t / T)), a mean over the batch.
    torch.testing.assert_close(student.grad, 2.0 * (torch.full((4, 5), 0.2) - soft) / 4)
