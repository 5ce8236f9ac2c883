"""Crops of micrographs to learn nuclei from, changed at random as microscopes, stains and cameras differ."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from pipelines.micrographs import CHANNELS
from pipelines.nuclei_data import Labelled

INTERIOR, BORDER = 1, 2
_LARGEST_SCALE = 1.4
# Of the number of micrographs of a kind, in how often it is drawn: 1 is by its share, 0 all kinds alike.
_KIND_EXPONENT = 0.75


@dataclass(frozen=True)
class Crops:
    """How many crops there are and how large.

    Attributes:
        batches: Number of batches.
        batch: Crops in each.
        size_px: Edge of a crop.
        seed: Of everything random.
        on_nuclei: Share of crops with a nucleus near the middle.
        blank: Share of crops of nothing, noise alone, which a scaled blank picture is.
        inverted: Share of pictures with black and white exchanged.
    """

    batches: int
    batch: int = 8
    size_px: int = 128
    seed: int = 0
    on_nuclei: float = 0.3
    blank: float = 0.01
    inverted: float = 0.05


def classes_of(nuclei: NDArray[np.integer]) -> NDArray[np.uint8]:
    """What every pixel is to be called: background 0, interior of a nucleus 1, its outermost ring of pixels 2.

    Args:
        nuclei: (H, W) numbers of nuclei. The image's own edge is no border.

    Returns:
        (H, W); where a pixel above, below, left or right belongs to something else, it is border.
    """
    padded = np.pad(nuclei, 1, mode="edge")
    inner = padded[1:-1, 1:-1]
    alone = np.ones(nuclei.shape, dtype=bool)
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        alone &= neighbour == inner
    return np.where(inner > 0, np.where(alone, INTERIOR, BORDER), 0).astype(np.uint8)


def batches(cases: Sequence[Labelled], crops: Crops) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (batch, 3, size, size) in [0, 1] or near it and classes (batch, size, size).

    Rare kinds of micrographs are drawn more often than their share.
    """
    rng = np.random.default_rng([crops.seed, 3])
    by_sort: dict[tuple[int, int, bool], list[Labelled]] = defaultdict(list)
    for case in cases:
        by_sort[case.sort].append(case)
    kinds = list(by_sort.values())
    weights = np.array([len(kind) for kind in kinds]) ** _KIND_EXPONENT
    weights /= weights.sum()
    for _ in range(crops.batches):
        drawn = []
        for _ in range(crops.batch):
            kind = kinds[int(rng.choice(len(kinds), p=weights))]
            drawn.append(_crop(kind[int(rng.integers(len(kind)))], crops, rng))
        inputs = torch.stack([pixels for pixels, _ in drawn]).contiguous(memory_format=torch.channels_last)
        yield inputs, torch.from_numpy(np.stack([classes for _, classes in drawn]).astype(np.int64))


def _crop(case: Labelled, crops: Crops, rng: np.random.Generator) -> tuple[Tensor, NDArray[np.uint8]]:
    if rng.random() < crops.blank:
        return _blank(crops.size_px, rng), np.zeros((crops.size_px, crops.size_px), dtype=np.uint8)
    scale = float(np.exp(rng.uniform(-np.log(_LARGEST_SCALE), np.log(_LARGEST_SCALE))))
    source = max(16, round(crops.size_px / scale))
    pixels, nuclei = _cut(case, source, rng, on_nucleus=rng.random() < crops.on_nuclei)
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    pixels, nuclei = np.rot90(pixels, turns, (1, 2)), np.rot90(nuclei, turns)
    if mirrored:
        pixels, nuclei = pixels[..., ::-1], nuclei[:, ::-1]
    image = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255.0)[np.newaxis]
    numbers = torch.from_numpy(np.ascontiguousarray(nuclei).astype(np.float32))[np.newaxis, np.newaxis]
    size = (crops.size_px, crops.size_px)
    image = functional.interpolate(image, size, mode="bilinear", antialias=True)
    numbers = functional.interpolate(numbers, size, mode="nearest-exact")
    return _seen_otherwise(image[0], crops, rng), classes_of(numbers[0, 0].numpy().astype(np.int64))


def _cut(
    case: Labelled, size: int, rng: np.random.Generator, *, on_nucleus: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A square of the picture; a picture smaller than it is mirrored at its edges."""
    pixels, nuclei = case.pixels, case.nuclei
    lacking = [max(0, size - length) for length in nuclei.shape]
    if any(lacking):
        margins = [(lack // 2, lack - lack // 2) for lack in lacking]
        pixels = np.pad(pixels, ((0, 0), *margins), mode="symmetric")
        nuclei = np.pad(nuclei, margins, mode="symmetric")
    height, width = nuclei.shape
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    inside = np.flatnonzero(nuclei) if on_nucleus else np.empty(0, dtype=np.intp)
    if inside.size:
        y, x = divmod(int(inside[rng.integers(inside.size)]), width)
        top = int(np.clip(y - rng.integers(size), 0, height - size))
        left = int(np.clip(x - rng.integers(size), 0, width - size))
    window = (slice(top, top + size), slice(left, left + size))
    return pixels[:, *window], nuclei[window]


def _seen_otherwise(image: Tensor, crops: Crops, rng: np.random.Generator) -> Tensor:
    """Another exposure, stain, focus and camera: (3, H, W) in [0, 1] to about that."""
    if rng.random() < crops.inverted:
        image = 1.0 - image
    image = image.clamp(0.0, 1.0) ** float(np.exp(rng.uniform(-0.3, 0.3)))
    image = image * float(rng.uniform(0.85, 1.15)) + float(rng.uniform(-0.03, 0.06))
    if rng.random() < 0.5:
        hue = torch.from_numpy(rng.uniform(0.85, 1.15, (CHANNELS, 1, 1)).astype(np.float32))
        # A grey picture stays grey: its channels are one.
        image = image * (hue if bool((image[0] != image[1]).any()) else hue[:1])
    if rng.random() < 0.05:
        image = image[torch.from_numpy(rng.permutation(CHANNELS))]
    if rng.random() < 0.1:
        image = image.mean(dim=0, keepdim=True).expand(CHANNELS, -1, -1)
    grey = image[:1].numpy() if bool((image[0] == image[1]).all()) else image.numpy()
    if rng.random() < 0.15:
        grey = gaussian_filter(grey, (0.0, *([float(rng.uniform(0.3, 1.0))] * 2)))
    if rng.random() < 0.25:
        grey = grey + rng.normal(0.0, rng.uniform(0.0, 0.06), grey.shape)
    return torch.from_numpy(np.clip(np.broadcast_to(grey, image.shape), 0.0, 1.0).astype(np.float32))


def _blank(size: int, rng: np.random.Generator) -> Tensor:
    """Noise of any grain around any grey, dark at one side."""
    noise = gaussian_filter(rng.normal(0.0, 1.0, (1, size, size)), (0.0, *([float(rng.uniform(0.0, 1.5))] * 2)))
    slope = np.linspace(-1.0, 1.0, size) * rng.uniform(-0.4, 0.4)
    grey = rng.uniform(0.0, 1.0) + rng.uniform(0.0, 0.25) * noise / max(float(noise.std()), 1e-6) + slope
    return torch.from_numpy(np.broadcast_to(grey, (CHANNELS, size, size)).astype(np.float32).copy()).clamp_(0.0, 1.0)
