"""Blends weighted windows in a few slices of memory that move along the slice axis."""

import itertools
import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from pipelines.windows import Corner, WindowPlan

# Finished slices leave in pieces of this many: larger ones leave the caches and measured slower.
SLAB_SLICES = 8
# Of the device's free memory, the share the accumulator may take; the rest is the network's.
_SHARE_FOR_ACCUMULATOR = 0.4

Place = Literal["auto", "device", "host"]


class Accumulator:
    """A ring of slices in which weighted windows are added up and from which finished slices are taken.

    The ring is as deep as a window (or one slab, where that is deeper), whatever the depth of the volume: slice z of
    the padded volume lives at z modulo the ring's depth. The sum of weights is the same for every row of windows that
    starts at the same slice, so it is kept once and shifted instead of being accumulated.

    Args:
        plan: Where the windows lie.
        classes: Channels of the network's output.
        weight: Window weights (D, H, W).
        device: Where the ring lives.
    """

    def __init__(self, plan: WindowPlan, classes: int, weight: Tensor, device: torch.device) -> None:
        self._plan = plan
        self._weight = weight.to(device)
        self._ring = torch.zeros((classes, _ring_slices(plan), *plan.padded[1:]), device=device)
        self._level = torch.zeros((plan.window[0], *plan.padded[1:]), device=device)
        _, height, width = plan.window
        for y, x in itertools.product(*plan.starts[1:]):
            self._level[:, y : y + height, x : x + width] += self._weight

    @property
    def device(self) -> torch.device:
        """Where the ring lives."""
        return self._ring.device

    @property
    def slices(self) -> int:
        """How many slices of the padded volume fit at once."""
        return self._ring.shape[1]

    @property
    def bytes(self) -> int:
        """What ring and weights take."""
        return sum(part.numel() * part.element_size() for part in (self._ring, self._level, self._weight))

    def move(self, device: torch.device) -> None:
        """Move everything to another device."""
        self._ring, self._level, self._weight = (part.to(device) for part in (self._ring, self._level, self._weight))

    def add(self, corner: Corner, logits: Tensor) -> None:
        """Add one window's logits, (classes, D, H, W) or anything that broadcasts to it, at its corner."""
        z, y, x = corner
        depth, height, width = self._plan.window
        # Detached: a gradient that reached the ring would keep every window's graph alive.
        logits = logits.detach().to(self.device, torch.float32).expand(-1, depth, height, width)
        first = z % self.slices
        fitting = min(depth, self.slices - first)
        for source, place in ((slice(0, fitting), first), (slice(fitting, depth), 0)):
            count = source.stop - source.start
            if count > 0:
                view = self._ring[:, place : place + count, y : y + height, x : x + width]
                view.addcmul_(logits[:, source], self._weight[source])

    def take(self, start: int, stop: int) -> Iterator[tuple[int, Tensor]]:
        """Blended logits of finished slices [start, stop) of the padded volume; their places in the ring are cleared.

        Yields:
            The first slice, in the volume without padding, and a new tensor (classes, n, H, W) without padding.
        """
        before, extent = self._plan.before, self._plan.volume
        rows = slice(before[1], before[1] + extent[1])
        columns = slice(before[2], before[2] + extent[2])
        end_of_volume = before[0] + extent[0]
        while start < stop:
            place = start % self.slices
            count = min(stop - start, SLAB_SLICES, self.slices - place)
            low, high = max(start, before[0]), min(start + count, end_of_volume)
            if low < high:
                ring = self._ring[:, place + low - start : place + high - start, rows, columns]
                yield low - before[0], ring / self._total(low, high)[:, rows, columns]
            self._ring[:, place : place + count] = 0
            start += count

    def _total(self, start: int, stop: int) -> Tensor:
        """The sum of all weights at slices [start, stop): (n, H, W)."""
        depth = self._plan.window[0]
        total = torch.zeros((stop - start, *self._plan.padded[1:]), device=self.device)
        for level in self._plan.starts[0]:
            low, high = max(start, level), min(stop, level + depth)
            if low < high:
                total[low - start : high - start] += self._level[low - level : high - level]
        return total


def _ring_slices(plan: WindowPlan) -> int:
    """Depth of the accumulator's ring: one window, or one slab where windows are flatter than that."""
    return max(plan.window[0], min(SLAB_SLICES, plan.padded[0]))


def accumulator_bytes(plan: WindowPlan, classes: int) -> int:
    """Bytes an `Accumulator` and one slab of its results take; independent of the volume's depth."""
    plane = plan.padded[1] * plan.padded[2]
    slices = classes * (_ring_slices(plan) + SLAB_SLICES) + plan.window[0] + SLAB_SLICES
    return 4 * (slices * plane + math.prod(plan.window))


def accumulator_device(plan: WindowPlan, classes: int, device: torch.device, place: Place) -> torch.device:
    """Where blending happens: where it is asked to, and for "auto" on the device if its free memory allows."""
    host = torch.device("cpu")
    if device.type != "cuda" or place == "host":
        return host if place == "host" else device
    if place == "auto":
        free, _ = torch.cuda.mem_get_info(device)
        if accumulator_bytes(plan, classes) > _SHARE_FOR_ACCUMULATOR * free:
            return host
    return device
