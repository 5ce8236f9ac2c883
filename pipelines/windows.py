"""Where the windows over a volume lie, how they are weighted, and how they are cut out.

Positions and weights are those of MONAI 1.6.1 (`monai.inferers.utils.sliding_window_inference` with
`mode="gaussian"`, `padding_mode="constant"`, Apache-2.0), so that the same settings give the same logits.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from datasets.errors import ConfigError

Corner = tuple[int, int, int]

# MONAI clamps every window weight to at least this, or to the smallest weight where that is larger
# (monai/data/utils.py, compute_importance_map, release 1.6.1).
_SMALLEST_WEIGHT = 1e-3


@dataclass(frozen=True)
class WindowSettings:
    """Size, overlap and weighting of the windows.

    Attributes:
        size: Window in voxels: `(D, H, W)` for a 3-D network, `(H, W)` for a 2-D network that sees a volume as a
            batch of slices. `None` in a place means the whole extent of the volume there.
        overlap: Share of a window that the next one covers again, in [0, 1): one number, or one per axis of `size`.
        sigma_scale: Standard deviation of the Gaussian weight as a share of the window's size.
        batch: Windows (or slices) per call of the network.
        padding_value: What surrounds a volume smaller than the window, in the units the network takes.
        context: 2-D networks only: neighbouring slices on each side, given as further channels in slice order (the
            first slice's channels first). Slices beyond either end repeat the end slice.

    Raises:
        ConfigError: A value that cannot be meant.
    """

    size: tuple[int | None, ...]
    overlap: float | tuple[float, ...] = 0.5
    sigma_scale: float = 0.125
    batch: int = 1
    padding_value: float = 0.0
    context: int = 0

    def __post_init__(self) -> None:
        rank = len(self.size)
        if rank not in (2, 3) or any(extent is not None and extent < 1 for extent in self.size):
            raise ConfigError(
                "a window size of three (D, H, W) or two (H, W) positive numbers or None",
                f"{self.size}",
                "give one entry per axis of the network's input",
            )
        if len(self.overlaps) != rank or any(not 0 <= share < 1 for share in self.overlaps):
            raise ConfigError(
                f"an overlap of at least 0 and below 1, as one number or {rank}",
                f"{self.overlap}",
                "0.5 is usual; 0 puts windows side by side",
            )
        if self.batch < 1 or self.sigma_scale <= 0:
            raise ConfigError(
                "a batch of at least 1 and a positive sigma_scale",
                f"batch {self.batch}, sigma_scale {self.sigma_scale}",
                "1 and 0.125 are usual on a CPU",
            )
        if self.context < 0 or (self.context > 0 and rank == 3):
            raise ConfigError(
                "neighbouring slices (context) of at least 0, and only for a 2-D window",
                f"context {self.context} with window {self.size}",
                "set context to 0: a 3-D window sees its neighbours anyway",
            )

    @property
    def flat(self) -> bool:
        """Whether the network is 2-D and a volume is a batch of slices."""
        return len(self.size) == 2

    @property
    def overlaps(self) -> tuple[float, ...]:
        """The overlap of each axis of `size`."""
        return self.overlap if isinstance(self.overlap, tuple) else (self.overlap,) * len(self.size)


@dataclass(frozen=True)
class WindowPlan:
    """Where windows lie over one volume. All tuples are in (D, H, W) order.

    Attributes:
        volume: Voxels of the volume.
        window: Voxels of a window; depth 1 for a 2-D network.
        before: Padding before the first voxel of each axis, where the volume is smaller than the window.
        padded: Voxels of the volume with its padding.
        starts: First voxels of the windows along each axis, ascending, counted in the padded volume.
    """

    volume: Corner
    window: Corner
    before: Corner
    padded: Corner
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @property
    def windows(self) -> int:
        """How many windows there are."""
        return math.prod(len(axis) for axis in self.starts)

    def corners(self) -> Iterator[Corner]:
        """First voxels (z, y, x) of all windows in the padded volume, slice axis slowest."""
        return itertools.product(*self.starts)

    def inside(self, corner: Corner) -> tuple[slice, slice, slice]:
        """The part of the volume (D, H, W) a window covers."""
        low = [start - pad for start, pad in zip(corner, self.before, strict=True)]
        spans = zip(low, self.window, self.volume, strict=True)
        depth, height, width = (slice(max(a, 0), min(a + size, extent)) for a, size, extent in spans)
        return depth, height, width

    def target(self) -> tuple[slice, slice, slice]:
        """The part of a window (D, H, W) the volume covers: the same for all windows, padding comes with one window."""
        spans = zip(self.before, self.volume, self.window, strict=True)
        depth, height, width = (slice(pad, min(pad + extent, size)) for pad, extent, size in spans)
        return depth, height, width


def plan_windows(shape: Corner, settings: WindowSettings) -> WindowPlan:
    """Lay windows over a volume as MONAI does: even steps, the last one flush with the end, symmetric padding.

    Args:
        shape: Voxels (D, H, W), each at least 1.
        settings: Size and overlap.

    Returns:
        The plan.

    Raises:
        ConfigError: A volume without voxels.
    """
    if min(shape) < 1:
        raise ConfigError("a volume with voxels along every axis", f"shape {shape}", "check what was loaded or cropped")
    size = (1, *settings.size) if settings.flat else settings.size
    overlaps = (0.0, *settings.overlaps) if settings.flat else settings.overlaps
    window = [extent if wanted is None else wanted for wanted, extent in zip(size, shape, strict=True)]
    padded = [max(extent, wanted) for extent, wanted in zip(shape, window, strict=True)]
    before = [(total - extent) // 2 for total, extent in zip(padded, shape, strict=True)]
    starts = [_starts(*axis) for axis in zip(padded, window, overlaps, strict=True)]
    return WindowPlan(shape, _three(window), _three(before), _three(padded), (starts[0], starts[1], starts[2]))


def _three(values: list[int]) -> Corner:
    return values[0], values[1], values[2]


def _starts(extent: int, window: int, overlap: float) -> tuple[int, ...]:
    step = max(int(window * (1 - overlap)), 1)
    return (*range(0, extent - window, step), extent - window)


def importance(window: Corner, sigma_scale: float) -> Tensor:
    """Gaussian weight of each voxel of a window, (D, H, W) float32, clamped away from zero as MONAI clamps it."""
    weight = torch.ones(())
    for extent in window:
        offset = torch.arange(extent, dtype=torch.float32) - (extent - 1) / 2.0
        profile = torch.exp(offset**2 / (-2 * (sigma_scale * extent) ** 2))
        weight = weight.unsqueeze(-1) * profile
    return weight.clamp_(min=max(weight.min().item(), _SMALLEST_WEIGHT))


class WindowSource(Protocol):
    """What gives a stream its windows."""

    def raw(self, corner: Corner) -> tuple[Tensor, Corner]:
        """The voxels (C, d, h, w) of a window as they are, without padding or context, and their first place."""

    def batch(self, corners: list[Corner]) -> Tensor:
        """The network's input for at least one window, (N, ...); good until the next call."""


def cut_raw(volume: Tensor, plan: WindowPlan, corner: Corner) -> tuple[Tensor, Corner]:
    """The voxels (C, d, h, w) of a window of a volume (C, D, H, W), without padding, and their first place."""
    part = plan.inside(corner)
    return volume[:, *part], (part[0].start, part[1].start, part[2].start)


class WindowCutter:
    """Cuts windows out of a volume, one batch at a time, into a buffer that the next batch reuses.

    Args:
        volume: (C, D, H, W), any real dtype; read, never written.
        plan: Where the windows lie.
        settings: Batch, padding and context.
        prepare: From a float32 copy of a window's voxels (C, d, h, w) to what the network takes.
        pinned: Whether the buffer is page-locked, for faster copies to a CUDA device.
    """

    def __init__(
        self,
        volume: Tensor,
        plan: WindowPlan,
        settings: WindowSettings,
        *,
        prepare: Callable[[Tensor], Tensor] | None = None,
        pinned: bool = False,
    ) -> None:
        self._volume = volume
        self._plan = plan
        self._settings = settings
        self._prepare = prepare
        self._pinned = pinned and volume.device.type == "cpu"
        self._buffer: Tensor | None = None

    def raw(self, corner: Corner) -> tuple[Tensor, Corner]:
        """The voxels (C, d, h, w) of a window as they are, without padding or context, and their first place."""
        return cut_raw(self._volume, self._plan, corner)

    def batch(self, corners: list[Corner]) -> Tensor:
        """The network's input for at least one window: (N, C, d, h, w), for a 2-D network (N, C, h, w); float32."""
        first = self._voxels(corners[0])
        if self._buffer is None or self._buffer.shape[0] < len(corners):
            shape = (len(corners), first.shape[0], *self._plan.window)
            self._buffer = torch.empty(shape, device=self._volume.device, pin_memory=self._pinned)
        batch = self._buffer[: len(corners)]
        if self._plan.padded != self._plan.volume:
            batch.fill_(self._settings.padding_value)
        place = (slice(None), *self._plan.target())
        for index, corner in enumerate(corners):
            batch[index][place].copy_(first if index == 0 else self._voxels(corner))
        return batch.squeeze(2) if self._settings.flat else batch

    def _voxels(self, corner: Corner) -> Tensor:
        """What one window gives the network, without padding: (C', d, h, w)."""
        voxels = self._neighbours(corner) if self._settings.context else self.raw(corner)[0]
        if self._prepare is not None:
            prepared = self._prepare(voxels.to(torch.float32, copy=True))
            if prepared.shape[1:] != voxels.shape[1:]:
                raise ConfigError(
                    f"prepared voxels of the spatial shape {tuple(voxels.shape[1:])}",
                    f"{tuple(prepared.shape[1:])}",
                    "prepare may change values and channels, not the grid: resample the volume beforehand",
                )
            voxels = prepared
        if self._settings.context:
            voxels = voxels.transpose(0, 1).flatten(0, 1).unsqueeze(1)  # (slices, C, h, w) -> (slices * C, 1, h, w)
        return voxels

    def _neighbours(self, corner: Corner) -> Tensor:
        """A slice with its neighbours on both sides, the end slices repeated: (C, 2 * context + 1, h, w)."""
        context = self._settings.context
        _, rows, columns = self._plan.inside(corner)
        slices = torch.arange(corner[0] - context, corner[0] + context + 1).clamp_(0, self._plan.volume[0] - 1)
        return self._volume[:, :, rows, columns][:, slices.to(self._volume.device)]
