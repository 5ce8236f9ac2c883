"""Pictures in which it is known what decides, and small networks that have learnt it.

A picture has noise, two gratings that mean nothing and have the sharpest edges in it, and, each or not, a bright disc
(finding 0) and a dark one (finding 1). Whether a finding is there depends on its own disc alone.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from networks.build import build
from networks.configs import DenseNetConfig, UNetConfig
from tests.pipelines.discs import discs

SIDE = 48
RADIUS = 6
BRIGHT, DARK = 0, 1
CLASSIFIER = DenseNetConfig(block_config=(2, 2), growth_rate=8, init_features=8, in_channels=1, out_channels=2)
STEPS = 150
SEGMENTER = UNetConfig(features=(6, 10, 14), in_channels=1, out_channels=2, normalisation="batch")
LESION_STEPS = 80


@dataclass(frozen=True)
class Pictures:
    """Pictures (N, 1, SIDE, SIDE), which findings they have (N, 2), and where (N, 2, SIDE, SIDE)."""

    pixels: Tensor
    there: Tensor
    where: Tensor


def pictures(count: int, seed: int, *, both: bool = False) -> Pictures:
    """Draw pictures; with `both`, all have both findings."""
    random = np.random.default_rng(seed)
    drawn = [_picture(random, both=both) for _ in range(count)]
    pixels, there, where = (np.stack(part) for part in zip(*drawn, strict=True))
    return Pictures(torch.from_numpy(pixels)[:, None], torch.from_numpy(there), torch.from_numpy(where))


def _picture(
    random: np.random.Generator, *, both: bool
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    picture = random.normal(0.0, 0.2, (SIDE, SIDE))
    places = _apart(random, 4)
    for row, column in places[2:]:
        stripes = np.where(np.arange(2 * RADIUS) // 2 % 2, 1.5, -1.5)
        box = (slice(row - RADIUS, row + RADIUS), slice(column - RADIUS, column + RADIUS))
        picture[box] = stripes if random.random() < 0.5 else stripes[:, None]
    there = np.ones(2, bool) if both else random.random(2) < 0.5
    shapes = np.stack([discs((SIDE, SIDE), (*places[finding], RADIUS)) for finding in (BRIGHT, DARK)])
    for present, shape, sign in zip(there, shapes, (1.0, -1.0), strict=True):
        if present:
            picture[shape] += sign
    return picture.astype(np.float32), there, shapes & there[:, None, None]


def _apart(random: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Middles of shapes that touch neither each other nor the border."""
    places: list[tuple[int, int]] = []
    while len(places) < count:
        row, column = (int(at) for at in random.integers(RADIUS + 1, SIDE - RADIUS - 1, 2))
        if all(max(abs(row - r), abs(column - c)) > 2 * RADIUS for r, c in places):
            places.append((row, column))
        elif random.random() < 0.01:
            places.clear()
    return places


@functools.cache
def trained_classifier() -> nn.Module:
    """A DenseNet that tells the findings."""
    network = build(CLASSIFIER, seed=1)
    examples = pictures(480, seed=2)
    order = torch.Generator().manual_seed(3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=STEPS)
    for _ in range(STEPS):
        batch = torch.randint(len(examples.pixels), (24,), generator=order)
        logits = network(examples.pixels[batch])
        loss = functional.binary_cross_entropy_with_logits(logits, examples.there[batch].float())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return network.eval()


@dataclass(frozen=True)
class Lesions:
    """Pictures (N, 1, SIDE, SIDE) with three lesions alike, and where each is, (N, 3, SIDE, SIDE)."""

    pixels: Tensor
    where: Tensor


def lesions(count: int, seed: int) -> Lesions:
    """Draw pictures with three bright discs and a grating."""
    random = np.random.default_rng(seed)
    pixels, where = [], []
    for _ in range(count):
        picture = random.normal(0.0, 0.2, (SIDE, SIDE))
        *places, (row, column) = _apart(random, 4)
        stripes = np.where(np.arange(2 * RADIUS) // 2 % 2, 1.5, -1.5)
        picture[row - RADIUS : row + RADIUS, column - RADIUS : column + RADIUS] = stripes
        shapes = np.stack([discs((SIDE, SIDE), (*place, RADIUS - 1)) for place in places])
        picture[shapes.any(axis=0)] += 1.0
        pixels.append(picture.astype(np.float32))
        where.append(shapes)
    return Lesions(torch.from_numpy(np.stack(pixels))[:, None], torch.from_numpy(np.stack(where)))


@functools.cache
def trained_segmenter() -> nn.Module:
    """A U-Net that finds lesions."""
    network = build(SEGMENTER, seed=1)
    examples = lesions(160, seed=5)
    truth = examples.where.any(dim=1).long()
    order = torch.Generator().manual_seed(3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=LESION_STEPS)
    for _ in range(LESION_STEPS):
        batch = torch.randint(len(examples.pixels), (12,), generator=order)
        loss = functional.cross_entropy(network(examples.pixels[batch]), truth[batch])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return network.eval()
