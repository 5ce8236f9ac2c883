"""Trains the weights that ship: `python -m pipelines.demo_weights` (or `make demo-weights`).

A compact DenseUNet learns liver and tumours on phantoms alone, through the task's own preprocessing, and is then
scored, through the pipeline every door uses, on phantoms it has not seen. The figures go into the card.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.geometry import Grid
from datasets.labels import LIVER_AND_TUMOR
from datasets.phantoms import ct_phantom, default_grid
from pipelines.image_task import load_image_task
from pipelines.model_store import Card
from pipelines.phantom_check import check_phantoms
from pipelines.phantom_training import Batches, Recipe, Schedule, make_weights
from pipelines.regions import components_by_size
from pipelines.task import load_task

TASK = "liver_ct"
NAME = "liver_ct_phantom"
# Seeds of phantoms: training counts from 0, held-out ones lie far away, and the demo's lie elsewhere again.
HELD_OUT_SEEDS = range(10_000, 10_012)
_TUMOR = LIVER_AND_TUMOR["liver_tumor"].index
_SHARE_ON_TUMORS, _SHARE_ON_LIVER = 0.35, 0.25


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
    task = load_image_task(TASK)
    phantom = ct_phantom(seed)
    prepared = task.preprocess(phantom.image(training_grid(seed)))
    labels = np.ascontiguousarray(phantom.labels(prepared.grid).slices())
    tumors, _ = components_by_size(labels == _TUMOR)
    return Case(prepared.slices().astype(np.float16), labels, tumors.astype(np.uint8))


def batches(cases: list[Case], schedule: Schedule) -> Batches:
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


def recipe() -> Recipe[Case]:
    """How the weights of the liver task are made; the shipped ones with the schedule's defaults."""
    task = load_task(TASK)
    card = Card(
        name=NAME,
        task=TASK,
        trained_on="computer-made CT phantoms, no patient",
        limits="for demonstrations and tests; not for patients: see docs/model-cards/liver_ct_phantom.md",
        phantom=True,
    )
    return Recipe(card, task.network, Schedule(), make_case, batches, _check)


def _check(path: Path) -> dict[str, float]:
    return check_phantoms(load_task(TASK).model_copy(update={"weights": str(path)}), HELD_OUT_SEEDS)


if __name__ == "__main__":
    raise SystemExit(make_weights(recipe(), __doc__))
