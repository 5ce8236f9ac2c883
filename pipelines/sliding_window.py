"""Whole volumes through a network with bounded memory.

Windows are cut lazily, sent through the network, weighted and blended exactly as MONAI's `sliding_window_inference`
does it, but in a ring of slices that moves along the slice axis: logits of the whole volume never exist. What comes
out is a stream of slabs, and labels are decided slab by slab.

    stream = LogitStream(volume, network, WindowSettings((96, 96, 96)), classes=3)
    for slab in decide_labels(stream):
        mask[slab.start : slab.stop] = slab.labels
    stream.statistics.windows_skipped

A 2-D network is the same with a window of two axes: `WindowSettings((None, None), batch=8, context=1)`.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from datasets.errors import ConfigError, WeightsError
from pipelines.blending import Accumulator, Place, accumulator_device
from pipelines.slabs import Slab
from pipelines.windows import (
    Corner,
    WindowCutter,
    WindowPlan,
    WindowSettings,
    WindowSource,
    importance,
    plan_windows,
)

_LOG = logging.getLogger(__name__)
# Logit that a skipped window gives the background, and its negative to all other classes: a softmax of 1 - 4e-9.
_BACKGROUND_LOGIT = 10.0

Predict = Callable[[Tensor], Tensor]
SkipRule = Callable[[Tensor, Corner], bool]


@dataclass(frozen=True)
class StreamOptions:
    """What a stream does beside its windows.

    Attributes:
        prepare: Turns a float32 copy of one window's voxels (C, d, h, w) into what the network takes, of the same
            spatial shape (HU windows, normalisation), so that no normalised copy of the volume need exist. It may
            write in place. Padding is added after it. With a 2-D network `d` counts the slice and its neighbours.
        skip: Called with the raw voxels (C, d, h, w) of a window, without padding, and its first voxel (z, y, x) in
            the volume; where it says True the network is not asked (`air_below`, `outside`).
        background: Logits, one per class, that a skipped window contributes; by default class 0 wins (for a network
            with a single output: that output is improbable).
        source: Makes what the network takes of windows, in place of cutting them out of the volume; the network then
            gets what it makes, and must answer for the window.
        device: Where windows go and the network is.
        precision: `fp32`, or `bf16` for autocast; blending is float32 in any case.
        accumulator: Where blending happens: on the `device`, on the `host`, or `auto` by the device's free memory.
    """

    prepare: Callable[[Tensor], Tensor] | None = None
    skip: SkipRule | None = None
    background: tuple[float, ...] | None = None
    source: Callable[[Tensor, WindowPlan], WindowSource] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Literal["fp32", "bf16"] = "fp32"
    accumulator: Place = "auto"


@dataclass(frozen=True)
class Statistics:
    """What a stream has done so far; final once the stream is exhausted.

    Attributes:
        windows_total: Windows that cover the volume (for a 2-D network over whole slices: slices).
        windows_skipped: How many of them were not sent through the network.
        batch: Windows per call of the network, after any halving.
        batch_halved: How often the batch was halved because memory ran out.
        accumulator: The device on which windows are blended; empty before the first slab.
        accumulator_moved: Whether blending had to move to the host because the device's memory ran out.
        accumulator_bytes: Memory that blending holds throughout, whatever the depth of the volume.
    """

    windows_total: int
    windows_skipped: int = 0
    batch: int = 1
    batch_halved: int = 0
    accumulator: str = ""
    accumulator_moved: bool = False
    accumulator_bytes: int = 0


def air_below(threshold: float) -> SkipRule:
    """A rule that skips windows in which every voxel lies below a value (for CT: in HU)."""
    return lambda window, _: bool(window.max() < threshold)


def outside(mask: Tensor, size: Corner) -> SkipRule:
    """A rule that skips windows, `size` (D, H, W) voxels large, in which a boolean mask (D, H, W) is nowhere true."""

    def rule(_: Tensor, first: Corner) -> bool:
        z, y, x = first
        return not bool(mask[z : z + size[0], y : y + size[1], x : x + size[2]].any())

    return rule


class LogitStream(Iterator[Slab]):
    """The blended logits of a volume, slab by slab in slice order; every slice comes exactly once.

    Nothing is computed before the first slab is asked for. Slabs are new tensors on the accumulator's device.

    Args:
        volume: (C, D, H, W) of any real dtype, D the slice axis; read, never written. It may be on the device.
        predict: The network: (N, C, d, h, w) float32 to (N, classes, d, h, w); with a two-axis window (N, C', h, w)
            to (N, classes, h, w), where C' = C * (2 * context + 1), slice by slice. Its input is reused between calls.
        settings: The windows.
        classes: Channels of the network's output.
        options: Skipping, preparation, device and precision.

    Raises:
        ConfigError: The volume, the options or the network's output do not fit together.
        WeightsError: The network gives NaN.
        torch.OutOfMemoryError: Not even a single window fits.
    """

    def __init__(
        self,
        volume: Tensor,
        predict: Predict,
        settings: WindowSettings,
        *,
        classes: int,
        options: StreamOptions | None = None,
    ) -> None:
        if volume.ndim != 4:
            raise ConfigError(
                "a volume of four axes (C, D, H, W)",
                f"shape {tuple(volume.shape)}",
                "put channels first and the slice axis second; add an axis of length 1 for a single channel",
            )
        self._options = options or StreamOptions()
        self._background = _background(classes, self._options.background)
        self._predict = predict
        self._settings = settings
        self._plan = plan_windows((volume.shape[1], volume.shape[2], volume.shape[3]), settings)
        self._source: WindowSource = (
            WindowCutter(
                volume,
                self._plan,
                settings,
                prepare=self._options.prepare,
                pinned=self._options.device.type == "cuda",
            )
            if self._options.source is None
            else self._options.source(volume, self._plan)
        )
        self._statistics = Statistics(self._plan.windows, batch=settings.batch)
        self._slabs = self._run()

    @property
    def statistics(self) -> Statistics:
        """What was done so far."""
        return self._statistics

    @property
    def plan(self) -> WindowPlan:
        """Where the windows lie."""
        return self._plan

    def __next__(self) -> Slab:
        return next(self._slabs)

    def _run(self) -> Iterator[Slab]:
        classes = self._background.shape[0]
        weight = importance(self._plan.window, self._settings.sigma_scale)
        device = accumulator_device(self._plan, classes, self._options.device, self._options.accumulator)
        blend = Accumulator(self._plan, classes, weight, device)
        self._statistics = replace(self._statistics, accumulator=str(blend.device), accumulator_bytes=blend.bytes)
        done = 0
        for corner, logits in self._windows(blend):
            if corner[0] + self._plan.window[0] - done > blend.slices:
                yield from _finished(blend, done, corner[0])
                done = corner[0]
            blend.add(corner, logits)
        yield from _finished(blend, done, self._plan.padded[0])

    def _windows(self, blend: Accumulator) -> Iterator[tuple[Corner, Tensor]]:
        """All windows in order with their logits (classes, d, h, w), the network asked in batches."""
        queue: list[tuple[Corner, bool]] = []
        wanted = 0
        for corner in self._plan.corners():
            skipped = self._skipped(corner)
            queue.append((corner, skipped))
            wanted += not skipped
            if wanted == self._statistics.batch:
                yield from self._answers(queue, blend)
                queue, wanted = [], 0
        yield from self._answers(queue, blend)

    def _skipped(self, corner: Corner) -> bool:
        rule = self._options.skip
        if rule is None:
            return False
        skipped = rule(*self._source.raw(corner))
        if skipped:
            self._statistics = replace(self._statistics, windows_skipped=self._statistics.windows_skipped + 1)
        return skipped

    def _answers(self, queue: list[tuple[Corner, bool]], blend: Accumulator) -> Iterator[tuple[Corner, Tensor]]:
        asked = [corner for corner, skipped in queue if not skipped]
        answers = self._ask(asked, blend)
        for corner, skipped in queue:
            yield corner, self._background if skipped else next(answers)

    def _ask(self, corners: list[Corner], blend: Accumulator) -> Iterator[Tensor]:
        """The network's logits for windows in order, in smaller batches once memory has run out."""
        done = 0
        while done < len(corners):
            part = corners[done : done + self._statistics.batch]
            logits = self._attempt(part, movable=blend.device.type != "cpu")
            if logits is None:
                self._relieve(len(part), blend)
            else:
                yield from logits
                done += len(part)

    def _attempt(self, corners: list[Corner], *, movable: bool) -> Tensor | None:
        """One call of the network: (N, classes, d, h, w), or None where memory ran out and something can be done."""
        try:
            batch = self._source.batch(corners).to(self._options.device)
            with torch.inference_mode(), autocast_of(self._options):
                logits = self._predict(batch)
        except torch.OutOfMemoryError:
            if len(corners) == 1 and not movable:
                raise
            return None
        window = self._plan.window[1:] if self._settings.flat else self._plan.window
        expected = (len(corners), self._background.shape[0], *window)
        if tuple(logits.shape) != expected:
            raise ConfigError(
                f"logits of shape {expected} for windows of shape {tuple(batch.shape)}",
                f"{tuple(logits.shape)}",
                "give the network's number of classes, and a window its downsampling divides",
            )
        return logits.unsqueeze(2) if self._settings.flat else logits

    def _relieve(self, tried: int, blend: Accumulator) -> None:
        # Outside the except block, whose traceback would keep the failed call's tensors alive.
        if self._options.device.type == "cuda":
            torch.cuda.empty_cache()
        if tried > 1:
            batch = tried // 2
            _LOG.warning("out of memory with %d windows per batch: going on with %d", tried, batch)
            self._statistics = replace(self._statistics, batch=batch, batch_halved=self._statistics.batch_halved + 1)
            return
        _LOG.warning("out of memory with one window per batch: blending moves from %s to the host", blend.device)
        blend.move(torch.device("cpu"))
        self._statistics = replace(self._statistics, accumulator="cpu", accumulator_moved=True)


def _finished(blend: Accumulator, start: int, stop: int) -> Iterator[Slab]:
    for first, logits in blend.take(start, stop):
        last = first + logits.shape[1] - 1
        # NaN anywhere makes the sum NaN. Comparisons with NaN are false: undetected, it would pass for background.
        if bool(torch.isnan(logits.sum())):
            raise WeightsError(
                "finite logits", f"NaN in slices {first} to {last}", "check weights and input; try precision fp32"
            )
        yield Slab(first, last + 1, logits)


def autocast_of(options: StreamOptions) -> AbstractContextManager[object]:
    """Autocast where the options ask for bf16."""
    if options.precision == "bf16":
        return torch.autocast(options.device.type, dtype=torch.bfloat16)
    return nullcontext()


def _background(classes: int, wanted: tuple[float, ...] | None) -> Tensor:
    """Logits of skipped windows, (classes, 1, 1, 1)."""
    if classes < 1 or (wanted is not None and len(wanted) != classes):
        raise ConfigError(
            "at least one class, and one background logit per class",
            f"{classes} classes, background logits {wanted}",
            "classes are the channels of the network's output",
        )
    values = torch.tensor(wanted) if wanted is not None else torch.full((classes,), -_BACKGROUND_LOGIT)
    if wanted is None and classes > 1:
        values[0] = _BACKGROUND_LOGIT
    return values.reshape(classes, 1, 1, 1)
