"""Trains the weights that ship: `python -m pipelines.demo_weights` (or `make demo-weights`).

A compact DenseUNet learns liver and tumours on phantoms alone, through the task's own preprocessing, and is then
scored, through the pipeline every door uses, on phantoms it has not seen. The figures go into the card.
"""

import argparse
import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from monai.losses.dice import DiceLoss
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.geometry import Grid
from datasets.labels import LIVER_AND_TUMOR
from datasets.phantoms import ct_phantom, default_grid
from networks.build import build
from pipelines.model_store import SHIPPED_FOLDER, Card, save_weights
from pipelines.phantom_check import check_phantoms
from pipelines.regions import components_by_size
from pipelines.task import Task, load_task

_LOG = logging.getLogger(__name__)

TASK = "liver_ct"
NAME = "liver_ct_phantom"
# Seeds of phantoms: training counts from 0, held-out ones lie far away, and the demo's lie elsewhere again.
HELD_OUT_SEEDS = range(10_000, 10_012)
_TUMOR = LIVER_AND_TUMOR["liver_tumor"].index
_SHARE_ON_TUMORS, _SHARE_ON_LIVER = 0.35, 0.25


@dataclass(frozen=True)
class Schedule:
    """How long and on how much; the shipped weights were made with the defaults.

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
class Case:
    """One training phantom on the network's grid.

    Attributes:
        slices: (D, H, W) float16, as `preprocess` gives them.
        labels: (D, H, W) uint8.
        tumors: (D, H, W), the number of the tumour a voxel belongs to, from 1; 0 elsewhere.
    """

    slices: NDArray[np.float16]
    labels: NDArray[np.uint8]
    tumors: NDArray[np.uint8]


def training_grid(seed: int) -> Grid:
    """The grid on which training phantom `seed` is scanned: spacing and a slight obliquity drawn at random."""
    rng = np.random.default_rng([seed, 1])
    in_plane_mm = float(rng.uniform(0.8, 1.2))
    turn_deg = rng.normal(0.0, 4.0, 3)
    return default_grid(
        (in_plane_mm, in_plane_mm, float(rng.uniform(1.5, 5.0))),
        rotation_deg=(float(turn_deg[0]), float(turn_deg[1]), float(turn_deg[2])),
    )


def make_case(seed: int) -> Case:
    """Scan one training phantom and prepare it as every door does."""
    torch.set_num_threads(1)  # A process of its own, one of several.
    task = load_task(TASK)
    phantom = ct_phantom(seed)
    prepared = task.preprocess(phantom.image(training_grid(seed)))
    labels = np.ascontiguousarray(phantom.labels(prepared.grid).slices())
    tumors, _ = components_by_size(labels == _TUMOR)
    return Case(prepared.slices().astype(np.float16), labels, tumors.astype(np.uint8))


def train(task: Task, cases: list[Case], schedule: Schedule) -> nn.Module:
    """Train the task's network on slices of phantoms.

    Returns:
        The network in eval mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        network = build(task.network, seed=schedule.seed).train()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        learn(network, cases, schedule)
        settle(network, cases, schedule)
    return network.eval()


def learn(network: nn.Module, cases: list[Case], schedule: Schedule, *, with_overlap: bool = True) -> None:
    """Train in place, from where the network is.

    Args:
        network: In training mode.
        cases: What to learn from.
        schedule: How long.
        with_overlap: Whether Dice loss is added to cross-entropy. It finds the tumours, few voxels that they are; its
            share falls to nothing towards the end.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.peak_rate, weight_decay=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.peak_rate, total_steps=schedule.steps)
    entropy, overlap = nn.CrossEntropyLoss(), DiceLoss(softmax=True, to_onehot_y=True, include_background=False)
    start = time.perf_counter()
    for step, (inputs, targets) in enumerate(batches(cases, schedule), start=1):
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


def settle(network: nn.Module, cases: list[Case], schedule: Schedule) -> None:
    """Train on for a while without dropout, in place.

    DenseUNet has its dropout before a batch norm, which sees other variances in training than at inference (Li et al.,
    "Understanding the Disharmony between Dropout and Batch Normalization by Variance Shift", CVPR 2019): outlines came
    out half a pixel too wide, livers 2 to 3 % too large. Learning that is finished without it has no such shift.
    """
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    last = replace(schedule, steps=schedule.settle_steps, peak_rate=schedule.settle_rate, seed=schedule.seed + 1)
    learn(network, cases, last, with_overlap=False)


def batches(cases: list[Case], schedule: Schedule) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops (batch, 3, H, W) of three adjacent slices and the labels (batch, 1, H, W) of the middle one.

    H-DenseUNet centres half of its crops on tumours and half on the liver; here two in five look anywhere, because the
    whole scan is searched and the network must know what is not liver.
    """
    rng = np.random.default_rng([schedule.seed, 2])
    for _ in range(schedule.steps):
        crops = [_crop(cases[int(rng.integers(len(cases)))], schedule.crop_px, rng) for _ in range(schedule.batch)]
        inputs = torch.from_numpy(np.stack([crop for crop, _ in crops])).contiguous(memory_format=torch.channels_last)
        yield inputs, torch.from_numpy(np.stack([labels for _, labels in crops])[:, np.newaxis].astype(np.int64))


def _crop(case: Case, size: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    z, y, x = _centre(case, rng)
    depth, height, width = case.labels.shape
    top = int(np.clip(y - size // 2 + rng.integers(-size // 4, size // 4 + 1), 0, max(0, height - size)))
    left = int(np.clip(x - size // 2 + rng.integers(-size // 4, size // 4 + 1), 0, max(0, width - size)))
    neighbours = np.clip([z - 1, z, z + 1], 0, depth - 1)
    window = (slice(top, top + size), slice(left, left + size))
    crop = case.slices[neighbours][:, *window].astype(np.float32)
    low, high = float(case.slices.min()), float(case.slices.max())
    crop = crop * rng.uniform(0.9, 1.1) + rng.uniform(-12.0, 12.0) + rng.normal(0.0, rng.uniform(0.0, 12.0), crop.shape)
    return np.clip(crop, low, high).astype(np.float32), case.labels[z][window]


def _centre(case: Case, rng: np.random.Generator) -> tuple[int, int, int]:
    choice = rng.random()
    wanted = np.empty(0, dtype=np.intp)
    if choice < _SHARE_ON_TUMORS and (count := int(case.tumors.max())) > 0:
        # Every tumour is as likely as any other, so that small ones are seen as often as large ones.
        wanted = np.flatnonzero(case.tumors == rng.integers(1, count + 1))
    elif choice < _SHARE_ON_TUMORS + _SHARE_ON_LIVER:
        wanted = np.flatnonzero(case.labels)
    place = int(wanted[rng.integers(wanted.size)]) if wanted.size else int(rng.integers(case.labels.size))
    z, y, x = np.unravel_index(place, case.labels.shape)
    return int(z), int(y), int(x)


def main(arguments: list[str] | None = None) -> int:
    """Train, check on unseen phantoms, and write the weights with their card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER)
    parser.add_argument("--steps", type=int, default=Schedule.steps)
    parser.add_argument("--phantoms", type=int, default=Schedule.phantoms)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    schedule = Schedule(phantoms=options.phantoms, steps=options.steps)
    task = load_task(TASK)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        cases = list(pool.map(make_case, range(schedule.phantoms)))
    _LOG.info("%d phantoms of %.1f million voxels", len(cases), sum(case.labels.size for case in cases) / 1e6)
    network = train(task, cases, schedule)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{NAME}.safetensors"
    save_weights(network, task.network, _card({}), path)
    held_out = check_phantoms(task.model_copy(update={"weights": str(path)}), HELD_OUT_SEEDS)
    save_weights(network, task.network, _card(held_out), path)
    for name, figure in held_out.items():
        _LOG.info("%s: %.4f", name, figure)
    return 0


def _card(held_out: dict[str, float]) -> Card:
    return Card(
        name=NAME,
        task=TASK,
        trained_on="computer-made CT phantoms, no patient",
        held_out=held_out,
        limits="for demonstrations and tests; not for patients: see docs/model-cards/liver_ct_phantom.md",
        phantom=True,
    )


if __name__ == "__main__":
    raise SystemExit(main())
