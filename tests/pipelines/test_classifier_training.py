"""The training loop of classifiers: what it learns is known by formula, and its schedule ends when it says."""

import itertools
import time

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from networks.configs import DenseNetConfig
from pipelines import classifier_training
from pipelines.classifier_training import (
    ClassifierSchedule,
    class_weights,
    learn_classes,
    logits_of,
    train_classifier,
)
from pipelines.metrics.auroc import auroc
from pipelines.phantom_training import Batches

SMALL = DenseNetConfig(in_channels=1, out_channels=2, block_config=(2, 2), growth_rate=8, init_features=8)
SCHEDULE = ClassifierSchedule(steps=40, batch=16, peak_rate=1e-2, averaged_steps=10, check_every=10)


def pictures(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise; in class 1 with stripes from top to bottom, in class 0 with the same from left to right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    stripes = np.tile(np.repeat([1.0, -1.0], 4), (16, 2))
    shown = np.where(labels[:, None, None] == 1, stripes, stripes.T) + rng.normal(0.0, 0.7, (count, 16, 16))
    return torch.from_numpy(shown[:, None].astype(np.float32)), torch.from_numpy(labels)


def batches(schedule: ClassifierSchedule = SCHEDULE) -> Batches:
    for step in range(schedule.steps):
        yield pictures(schedule.batch, 1000 * schedule.seed + step)


def endless(asked: list[int]) -> Batches:
    for step in itertools.count():
        asked.append(step)
        yield pictures(4, step)


def figure(network: nn.Module) -> float:
    inputs, labels = pictures(200, 77_777)
    logits = logits_of(network, inputs)
    return auroc(logits[:, 1] - logits[:, 0], labels.numpy() == 1) or 0.0


def test_learns_classes_that_differ_in_direction_alone() -> None:
    network = train_classifier(SMALL, batches(), nn.CrossEntropyLoss(), SCHEDULE)
    assert not network.training
    assert figure(network) > 0.99


def test_learns_findings_that_come_together_or_alone() -> None:
    def several() -> Batches:
        for inputs, labels in batches():
            bright = torch.arange(len(inputs)) % 3 == 0
            yield inputs + 2.0 * bright[:, None, None, None], torch.stack([labels.float(), bright.float()], dim=1)

    network = train_classifier(SMALL, several(), nn.BCEWithLogitsLoss(), SCHEDULE)
    inputs, labels = pictures(200, 5)
    bright = np.arange(200) % 2 == 0
    logits = logits_of(network, inputs + 2.0 * torch.from_numpy(bright)[:, None, None, None])
    assert (auroc(logits[:, 0], labels.numpy() == 1) or 0.0) > 0.97
    assert (auroc(logits[:, 1], bright) or 0.0) > 0.97


def test_the_same_seed_gives_the_same_weights_and_leaves_others_random_numbers_alone() -> None:
    dropping = SMALL.model_copy(update={"dropout": 0.2})
    short = ClassifierSchedule(steps=3, batch=4)
    states = []
    for schedule in (short, short, ClassifierSchedule(steps=3, batch=4, seed=1)):
        torch.rand(1)  # Whatever others drew in between.
        before = torch.random.get_rng_state()
        states.append(train_classifier(dropping, batches(short), nn.CrossEntropyLoss(), schedule).state_dict())
        assert torch.equal(before, torch.random.get_rng_state())
    first, second, other = states
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_the_rate_is_that_of_torch() -> None:
    count, schedule = 801, ClassifierSchedule(peak_rate=0.3)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.3, total_steps=count)
    for step in range(count):
        # torch's rise ends a step earlier.
        assert schedule.rate(step / (count - 1)) == pytest.approx(cycle.get_last_lr()[0], rel=1e-2)
        optimiser.step()
        if step < count - 1:
            cycle.step()


def test_ends_on_time_with_the_rate_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=1.0)  # Every look at the clock is a second later.
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    rates: list[float] = []
    told = ClassifierSchedule.rate
    monkeypatch.setattr(ClassifierSchedule, "rate", lambda self, share: rates.append(told(self, share)) or rates[-1])
    asked: list[int] = []
    timed = ClassifierSchedule(steps=10_000, batch=4, max_minutes=0.1)
    train_classifier(SMALL, endless(asked), nn.CrossEntropyLoss(), timed)
    assert len(asked) == 6
    assert rates[-1] == pytest.approx(timed.peak_rate / 25e4)
    assert max(rates) > 0.8 * timed.peak_rate


def test_ends_after_its_steps_and_asks_for_no_more() -> None:
    asked: list[int] = []
    train_classifier(SMALL, endless(asked), nn.CrossEntropyLoss(), ClassifierSchedule(steps=3))
    assert asked == [0, 1, 2]


def test_ends_when_nothing_better_comes_and_gives_back_the_best() -> None:
    figures = iter([0.5, 0.9, 0.7, 0.8, 0.6])
    seen: list[Tensor] = []

    def judge(network: nn.Module) -> float:
        assert not network.training
        seen.append(network.get_parameter("classifier.weight").detach().clone())
        return next(figures)

    schedule = ClassifierSchedule(steps=100, check_every=2, patience=2)
    asked: list[int] = []
    network = train_classifier(SMALL, endless(asked), nn.CrossEntropyLoss(), schedule, judge)
    assert len(asked) == 8
    assert torch.equal(network.get_parameter("classifier.weight"), seen[1])
    assert not torch.equal(seen[1], seen[3])


def test_what_is_given_back_is_a_mean_of_the_weights_on_the_way() -> None:
    class Number(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.tensor(0.0))

        def forward(self, x: Tensor) -> Tensor:
            return self.value + 0.0 * x

    network = Number()
    on_the_way: list[float] = []

    def shown() -> Batches:
        for _ in range(6):
            on_the_way.append(network.value.item())
            yield torch.zeros(1), torch.zeros(1)

    schedule = ClassifierSchedule(steps=6, averaged_steps=2, peak_rate=0.1, weight_decay=0.0)
    averaged = learn_classes(network, shown(), lambda logits, _: -logits.sum(), schedule)
    passed = [*on_the_way[1:], network.value.item()]
    expected = passed[0]
    for count, value in enumerate(passed[1:], start=1):
        expected += (value - expected) * max(0.5, 9 / (10 + count))
    assert averaged.get_parameter("value").item() == pytest.approx(expected, rel=1e-5)
    assert min(passed) < expected < max(passed)


def test_rare_classes_count_as_much() -> None:
    labels = np.array([0] * 30 + [2] * 10)
    weights = class_weights(labels, 3)
    assert weights.tolist() == pytest.approx([40 / 60, 0.0, 2.0])
    assert float(weights[torch.from_numpy(labels)].mean()) == pytest.approx(1.0)


def test_biases_and_scales_are_not_drawn_to_zero() -> None:
    heavy, light = classifier_training._decayed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), 0.1)
    assert (heavy["weight_decay"], light["weight_decay"]) == (0.1, 0.0)
    assert [parameter.ndim for parameter in heavy["params"]] == [4]
    assert [parameter.ndim for parameter in light["params"]] == [1, 1, 1]


def test_no_pictures_have_no_logits() -> None:
    network = train_classifier(SMALL, batches(ClassifierSchedule(steps=1)), nn.CrossEntropyLoss(), ClassifierSchedule())
    inputs, _ = pictures(5, 0)
    assert logits_of(network, inputs[:0]).shape == (0, 2)
    np.testing.assert_allclose(logits_of(network, inputs, batch=2), logits_of(network, inputs), atol=1e-5)
