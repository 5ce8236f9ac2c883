"""Schedules by formula, beside torch's; averages; what is not drawn to zero."""

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import OneCycleLR, PolynomialLR

from pipelines.training.optimisation import averaged_into, optimiser_of, rate_at
from pipelines.training_settings import OptimiserSettings, ScheduleSettings


def test_one_cycle_as_torch_has_it() -> None:
    settings, steps = ScheduleSettings(kind="one_cycle"), 200
    optimiser = AdamW([nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = OneCycleLR(optimiser, max_lr=0.1, total_steps=steps + 1)
    for step in range(steps + 1):
        # Theirs has its highest rate a step early: its rise ends at 0.3 * total_steps - 1.
        share = step / steps
        assert rate_at(share, settings) * 0.1 == pytest.approx(theirs.get_last_lr()[0], abs=2.5e-3)
        if step < steps:
            optimiser.step()
            theirs.step()
    assert rate_at(0.0, settings) == pytest.approx(1 / 25)
    assert rate_at(0.3, settings) == pytest.approx(1.0)
    assert rate_at(1.0, settings) == pytest.approx(1 / 25e4)


def test_poly_as_torch_has_it() -> None:
    settings, steps = ScheduleSettings(kind="poly", power=0.9), 50
    optimiser = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = PolynomialLR(optimiser, total_iters=steps, power=0.9)
    for step in range(steps):
        assert rate_at(step / steps, settings) == pytest.approx(theirs.get_last_lr()[0], rel=1e-6)
        optimiser.step()
        theirs.step()


def test_cosine_and_constant() -> None:
    cosine = ScheduleSettings(kind="cosine")
    for share in (0.0, 0.2, 0.5, 1.0):
        assert rate_at(share, cosine) == pytest.approx((1 + math.cos(math.pi * share)) / 2)
    assert {rate_at(share, ScheduleSettings(kind=kind)) for kind in ("constant", "plateau") for share in (0, 1)} == {
        1.0
    }


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_scales_and_biases_are_not_decayed(kind: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    network[0].bias.requires_grad_(False)
    optimiser = optimiser_of(network, OptimiserSettings(kind=kind, weight_decay=0.3, rate=0.02))
    decayed, rest = optimiser.param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(2, 1, 3, 3)]
    assert decayed["weight_decay"] == 0.3
    assert len(rest["params"]) == 2
    assert rest["weight_decay"] == 0.0
    assert decayed["lr"] == rest["lr"] == 0.02


def test_an_average_forgets() -> None:
    average = {"w": torch.tensor([0.0]), "count": torch.tensor(0)}
    for step in range(400):
        averaged_into(average, {"w": torch.tensor([1.0]), "count": torch.tensor(step)}, 10, step)
    assert float(average["w"]) == pytest.approx(1.0)
    assert int(average["count"]) == 399
    # Long after the start each step has a tenth: what was 1 is 0.9 ^ 5 after five steps of 0.
    for step in range(400, 405):
        averaged_into(average, {"w": torch.tensor([0.0]), "count": torch.tensor(step)}, 10, step)
    assert float(average["w"]) == pytest.approx(0.9**5, rel=1e-5)
    # The first step counts nearly whole: nothing is remembered of random weights.
    fresh = {"w": torch.tensor([100.0])}
    averaged_into(fresh, {"w": torch.tensor([1.0])}, 1000, 0)
    assert float(fresh["w"]) == pytest.approx(10.9)
