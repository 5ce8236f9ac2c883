"""What the trainings of all weights that ship have in common: schedule, loop, and the way to a file with its card."""

import argparse
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Generic, TypeVar

import torch
from monai.losses.dice import DiceLoss
from torch import Tensor, nn

from networks.build import build
from networks.configs import NetworkConfig
from pipelines.model_store import SHIPPED_FOLDER, Card, save_weights

_LOG = logging.getLogger(__name__)

Case = TypeVar("Case")
Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Schedule:
    """How long and on how much.

    Attributes:
        phantoms: Number of training phantoms.
        steps: Optimiser steps.
        batch: Crops per step.
        crop_px: Edge of a crop, in pixels of the network's grid.
        peak_rate: Highest learning rate of the one-cycle schedule.
        settle_steps: Further steps without dropout; see `settle`.
        settle_rate: Their highest learning rate.
        seed: Of everything random.
    """

    phantoms: int = 150
    steps: int = 2400
    batch: int = 6
    crop_px: int = 160
    peak_rate: float = 4e-3
    settle_steps: int = 400
    settle_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Recipe(Generic[Case]):
    """Weights that ship and how they are made.

    Attributes:
        card: What is known of them, but for the figures of phantoms nobody trained on.
        network: What is trained.
        schedule: How long.
        make_case: One training phantom by its seed, ready to be cut; runs in a process of its own.
        batches: Inputs (batch, C, H, W) and labels (batch, 1, H, W), as many as the schedule has steps.
        check: Figures of a weights file on phantoms nobody trained on.
    """

    card: Card
    network: NetworkConfig
    schedule: Schedule
    make_case: Callable[[int], Case]
    batches: Callable[[list[Case], Schedule], Batches]
    check: Callable[[Path], dict[str, float]]


def make_weights(recipe: Recipe[Case], description: str | None, arguments: list[str] | None = None) -> int:
    """Train, check on unseen phantoms, and write the weights with their card.

    Args:
        recipe: What to make.
        description: For `--help`.
        arguments: Of the command line; None takes the process's own.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER)
    parser.add_argument("--steps", type=int, default=recipe.schedule.steps)
    parser.add_argument("--phantoms", type=int, default=recipe.schedule.phantoms)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    schedule = replace(recipe.schedule, phantoms=options.phantoms, steps=options.steps)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        cases = list(pool.map(recipe.make_case, range(schedule.phantoms)))
    _LOG.info("%d phantoms", len(cases))
    network = train(recipe.network, lambda part: recipe.batches(cases, part), schedule)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{recipe.card.name}.safetensors"
    save_weights(network, recipe.network, recipe.card, path)
    held_out = recipe.check(path)
    save_weights(network, recipe.network, recipe.card.model_copy(update={"held_out": held_out}), path)
    for name, figure in held_out.items():
        _LOG.info("%s: %.4f", name, figure)
    return 0


def train(config: NetworkConfig, batches: Callable[[Schedule], Batches], schedule: Schedule) -> nn.Module:
    """Train a new network on slices of phantoms.

    Args:
        config: What to train.
        batches: Inputs and labels for a schedule, from its seed.
        schedule: How long.

    Returns:
        The network in eval mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        network = build(config, seed=schedule.seed).train()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        learn(network, batches(schedule), schedule)
        settle(network, batches, schedule)
    return network.eval()


def learn(network: nn.Module, batches: Batches, schedule: Schedule, *, with_overlap: bool = True) -> None:
    """Train in place, from where the network is.

    Args:
        network: In training mode.
        batches: What to learn from.
        schedule: How long.
        with_overlap: Whether Dice loss is added to cross-entropy. It finds the tumours, few voxels that they are; its
            share falls to nothing towards the end.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.peak_rate, weight_decay=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.peak_rate, total_steps=schedule.steps)
    entropy, overlap = nn.CrossEntropyLoss(), DiceLoss(softmax=True, to_onehot_y=True, include_background=False)
    start = time.perf_counter()
    for step, (inputs, targets) in enumerate(batches, start=1):
        optimiser.zero_grad(set_to_none=True)
        logits = network(inputs)
        value: Tensor = entropy(logits, targets[:, 0])
        if with_overlap:
            value = value + (1.0 - step / schedule.steps) * overlap(logits, targets)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 12.0)
        optimiser.step()
        cycle.step()
        if step % 50 == 0:
            seconds = time.perf_counter() - start
            _LOG.info("step %d of %d, loss %.3f, %.0f s", step, schedule.steps, value.item(), seconds)


def settle(network: nn.Module, batches: Callable[[Schedule], Batches], schedule: Schedule) -> None:
    """Train on for a while without dropout, in place.

    DenseUNet has its dropout before a batch norm, which sees other variances in training than at inference (Li et al.,
    "Understanding the Disharmony between Dropout and Batch Normalization by Variance Shift", CVPR 2019): outlines came
    out half a pixel too wide, livers 2 to 3 % too large. Learning that is finished without it has no such shift.
    """
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    last = replace(schedule, steps=schedule.settle_steps, peak_rate=schedule.settle_rate, seed=schedule.seed + 1)
    learn(network, batches(last), last, with_overlap=False)
