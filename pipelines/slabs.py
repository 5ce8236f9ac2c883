"""Runs of slices on their way through a pipeline: logits in, labels out, one slab at a time.

Labels are decided by comparing channels slab by slab: `torch.argmax` over a channel axis is an order of magnitude
slower on a CPU, and over a whole volume it needs the whole volume's logits.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.errors import ConfigError

Decide = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Slab:
    """Logits (classes, stop - start, H, W), float32, of slices [start, stop)."""

    start: int
    stop: int
    logits: Tensor


@dataclass(frozen=True)
class LabelSlab:
    """Labels (stop - start, H, W), uint8 on the host, of slices [start, stop).

    `probabilities`, where asked for, are float32 (classes, stop - start, H, W) on the host.
    """

    start: int
    stop: int
    labels: Tensor
    probabilities: Tensor | None = None


def largest_logit(logits: Tensor) -> Tensor:
    """The class of the largest logit; of equal ones the first.

    Args:
        logits: (classes, D, H, W), at most 256 classes. A single class is always 0: a network with one output needs a
            threshold of its own.

    Returns:
        uint8 (D, H, W) on the same device.
    """
    labels = torch.zeros(logits.shape[1:], dtype=torch.uint8, device=logits.device)
    best = logits[0]
    for index in range(1, logits.shape[0]):
        better = logits[index] > best
        # Either the label is raised to this index or it stays: indices ascend, so the maximum is the newest winner.
        torch.maximum(labels, better.to(torch.uint8).mul_(index), out=labels)
        if index + 1 < logits.shape[0]:
            best = torch.maximum(best, logits[index])
    return labels


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the first axis: (classes, D, H, W) to the same shape, a new tensor."""
    return torch.softmax(logits, dim=0)


def decide_labels(
    slabs: Iterable[Slab],
    decide: Decide = largest_logit,
    *,
    probabilities: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[LabelSlab]:
    """Turn logits into labels slab by slab.

    Args:
        slabs: Logits as they come.
        decide: (classes, n, H, W) to labels (n, H, W); any integer or boolean dtype.
        probabilities: What probabilities to keep beside the labels, `softmax` for instance; None keeps none.

    Yields:
        One `LabelSlab` per slab; nothing for no slabs.

    Raises:
        ConfigError: `decide` gives another shape.
    """
    for slab in slabs:
        # The consumer may do anything between two slabs, so no gradient mode may stay switched over a yield.
        with torch.no_grad():
            labels = decide(slab.logits)
            kept = None if probabilities is None else probabilities(slab.logits).to("cpu", torch.float32)
        if labels.shape != slab.logits.shape[1:]:
            raise ConfigError(
                f"one label per voxel, {tuple(slab.logits.shape[1:])}",
                f"{tuple(labels.shape)} from the rule that decides labels",
                "the rule must reduce the class axis and keep the others",
            )
        yield LabelSlab(slab.start, slab.stop, labels.to("cpu", torch.uint8), kept)


def label_map(slabs: Iterable[LabelSlab], shape: tuple[int, int, int]) -> Tensor:
    """Collect labels into one uint8 map (D, H, W) of the given shape; what no slab covers is 0."""
    labels = torch.zeros(shape, dtype=torch.uint8)
    for slab in slabs:
        labels[slab.start : slab.stop] = slab.labels
    return labels


class SliceReservoir:
    """Draws from a stream of slabs and holds the slices that are still needed.

    Args:
        slabs: Logits in slice order, every slice once.
        shape: Voxels (D, H, W) of the grid they cover.
    """

    def __init__(self, slabs: Iterable[Slab], shape: tuple[int, int, int]) -> None:
        self._slabs = iter(slabs)
        self._shape = shape
        self._held: Tensor | None = None
        self._start = 0
        self._stop = 0

    def slices(self, low: int, high: int) -> Tensor:
        """Logits (classes, high - low, H, W) of slices [low, high); slices before `low` are forgotten for good.

        Raises:
            ConfigError: The stream ends too early, leaves slices out or has another shape.
        """
        parts = [] if self._held is None else [self._held]
        while self._stop < high:
            parts.append(self._receive(next(self._slabs, None)))
        held = (torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])[:, low - self._start :]
        self._held, self._start = held, low
        return held[:, : high - low]

    def _receive(self, slab: Slab | None) -> Tensor:
        ordered = slab is not None and slab.start == self._stop
        if slab is None or not ordered or slab.logits.shape[1:] != (slab.stop - slab.start, *self._shape[1:]):
            raise ConfigError(
                f"slabs of a grid {self._shape}, the next one from slice {self._stop}",
                "no more" if slab is None else f"slices {slab.start}:{slab.stop}, shape {tuple(slab.logits.shape)}",
                "give every slice of the source grid once, in order",
            )
        self._stop = slab.stop
        return slab.logits
