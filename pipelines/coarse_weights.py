"""Trains the coarse network that finds the liver's place: `python -m pipelines.coarse_weights`.

A small DenseUNet learns on phantoms alone what is liver, on the coarse grid of the task's own `localise` settings.
What it must find are livers of all scans and not of phantoms, and nothing of them may be lost. So phantoms are
distorted more than for weights that draw outlines: size and turn of the patient, brightness, contrast, noise, blotches,
slices beside the middle one that are missing or farther away. Left and right are never swapped: the side tells liver
from spleen.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from datasets.errors import ConfigError
from datasets.geometry import Grid
from datasets.phantoms import ct_phantom, default_grid
from pipelines.examination import Compute
from pipelines.localise import Localiser
from pipelines.localise_settings import Localisation
from pipelines.model_store import Card
from pipelines.phantom_training import Batches, Recipe, Schedule, make_weights
from pipelines.task import load_task

# The task whose `localise` settings say what is trained; others may name the same weights.
TASK = "liver_ct_h_dense_unet"
NAME = "liver_coarse_phantom"
HELD_OUT_SEEDS = range(10_000, 10_030)
SCHEDULE = Schedule(phantoms=160, steps=1400, batch=8, crop_px=96, peak_rate=4e-3, settle_steps=300)
_SHARE_ON_LIVER = 0.65
_LARGEST_TURN_RAD = 0.2
_SIZES = (0.75, 1.3)


@dataclass(frozen=True)
class Case:
    """One training phantom on the coarse grid.

    Attributes:
        slices: (D, H, W) float16, as `prepare` gives them.
        organ: (D, H, W) uint8 of 0 and 1.
    """

    slices: NDArray[np.float16]
    organ: NDArray[np.uint8]


def localisation(weights: str | None = None) -> Localisation:
    """The coarse look of the task that ships, with other weights where they are given."""
    found = load_task(TASK, [f"localise.weights={weights}"] if weights else []).localisation()
    if found is None:
        raise ConfigError(f"settings localise in {TASK}.yaml", "none", "give them: they say what is to be trained")
    return found


def varied_grid(seed: int) -> Grid:
    """The grid on which phantom `seed` is scanned: any usual spacing, somewhat askew."""
    rng = np.random.default_rng([seed, 3])
    in_plane_mm, turn_deg = float(rng.uniform(1.6, 2.6)), rng.normal(0.0, 6.0, 3)
    return default_grid(
        (in_plane_mm, in_plane_mm, float(rng.uniform(1.5, 6.0))),
        rotation_deg=(float(turn_deg[0]), float(turn_deg[1]), float(turn_deg[2])),
    )


def make_case(seed: int) -> Case:
    """Scan one training phantom and prepare it as every door does."""
    torch.set_num_threads(1)  # A process of its own, one of several.
    phantom = ct_phantom(seed)
    coarse = localisation().prepare(phantom.image(varied_grid(seed)))
    organ = phantom.labels(coarse.grid).slices() > 0
    return Case(coarse.slices().astype(np.float16), np.ascontiguousarray(organ).astype(np.uint8))


def batches(cases: list[Case], schedule: Schedule) -> Batches:
    """Distorted crops (batch, 3, H, W) of three slices, and whether the middle one is organ (batch, 1, H, W)."""
    rng = np.random.default_rng([schedule.seed, 4])
    low = min(float(case.slices.min()) for case in cases)
    high = max(float(case.slices.max()) for case in cases)
    for _ in range(schedule.steps):
        crops = [_crop(cases[int(rng.integers(len(cases)))], schedule.crop_px, rng) for _ in range(schedule.batch)]
        slices = _shaded(torch.cat([slices for slices, _ in crops]), rng).clamp(low, high)
        yield slices.contiguous(memory_format=torch.channels_last), torch.cat([organ for _, organ in crops])


def _crop(case: Case, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Three slices (1, 3, size, size), turned and stretched about a place, and labels (1, 1, size, size)."""
    depth, height, width = case.organ.shape
    # Slices with much and with little of the organ are as likely: its ends decide how long the box is.
    wanted = np.flatnonzero(case.organ.any(axis=(1, 2))) if rng.random() < _SHARE_ON_LIVER else np.arange(depth)
    z = int(rng.choice(wanted)) if wanted.size else int(rng.integers(depth))
    # The middle of the field, mostly; a field of view need not be centred on the patient.
    centre = np.clip(rng.normal(0.0, 0.15, 2), -0.4, 0.4)
    turn, (stretch_y, stretch_x) = rng.uniform(-_LARGEST_TURN_RAD, _LARGEST_TURN_RAD), rng.uniform(*_SIZES, 2)
    cos, sin = np.cos(turn), np.sin(turn)
    # Of half fields of view: from where in the crop to where in the slice, x before y.
    field_x, field_y = size / width / stretch_x, size / height / stretch_y
    affine = np.array([[cos * field_x, -sin * field_y, centre[0]], [sin * field_x, cos * field_y, centre[1]]])
    slices = torch.from_numpy(case.slices[_neighbours(z, depth, rng)].astype(np.float32))
    organ = torch.from_numpy(case.organ[z].astype(np.float32))
    grid = functional.affine_grid(torch.from_numpy(affine[None]).float(), [1, 3, size, size], align_corners=False)
    seen = functional.grid_sample(slices[None], grid, padding_mode="border", align_corners=False)
    labels = functional.grid_sample(organ[None, None], grid, padding_mode="zeros", align_corners=False)
    return seen, (labels > 0.5).long()


def _neighbours(z: int, depth: int, rng: np.random.Generator) -> list[int]:
    """The slice with those beside it; at times one is missing, as at the ends of a slab, or farther away."""
    kind = rng.random()
    if kind < 0.15:
        near = [z, z, z + 1] if kind < 0.05 else [z - 1, z, z] if kind < 0.10 else [z, z, z]
    else:
        step = 2 if kind > 0.9 else 1
        near = [z - step, z, z + step]
    return [min(max(at, 0), depth - 1) for at in near]


def _shaded(slices: Tensor, rng: np.random.Generator) -> Tensor:
    """Other brightness, contrast, noise and blotches per crop, (N, 3, H, W)."""
    count, channels, height, width = slices.shape

    def drawn(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (count, 1, 1, 1))).float()

    def normal(*shape: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal((count, *shape), dtype=np.float32))

    coarse = functional.interpolate(normal(channels, 12, 12), (height, width), mode="bilinear", align_corners=False)
    shaded = slices * drawn(0.75, 1.25) + drawn(-25.0, 25.0)
    return shaded + coarse * drawn(0.0, 15.0) + normal(channels, height, width) * drawn(0.0, 20.0)


def recipe() -> Recipe[Case]:
    """How the coarse weights are made."""
    card = Card(
        name=NAME,
        task="liver_ct",
        trained_on="computer-made CT phantoms, no patient",
        limits="finds the place of the liver and nothing else; see docs/model-cards/liver_coarse_phantom.md",
        phantom=True,
    )
    return Recipe(card, localisation().settings.network, SCHEDULE, make_case, batches, check)


def check(path: Path) -> dict[str, float]:
    """How much of the liver lies in the box on phantoms nobody trained on, and how large the box is.

    Returns:
        Figures by name; shares are of the liver's voxels and of the scan's volume.
    """
    localiser = Localiser.load(localisation(str(path)), Compute("cpu"))
    held, size = [], []
    for seed in HELD_OUT_SEEDS:
        grid = varied_grid(seed)
        phantom = ct_phantom(seed)
        box = localiser.box_of(phantom.image(grid), grid)
        organ = phantom.labels(grid).array[0] > 0
        box = box or (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
        held.append(np.count_nonzero(organ[box]) / np.count_nonzero(organ))
        size.append(float(np.prod(grid.cropped(box).shape) / np.prod(grid.shape)))
    return {
        "phantoms": float(len(held)),
        "liver_in_box_min": float(min(held)),
        "box_share_mean": float(np.mean(size)),
        "box_share_max": max(size),
    }


if __name__ == "__main__":
    raise SystemExit(make_weights(recipe(), __doc__))
