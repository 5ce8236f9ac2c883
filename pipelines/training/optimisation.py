"""What moves the weights, and how fast: optimisers, schedules of the rate, weights averaged over steps."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from pipelines.training_settings import OptimiserSettings, ScheduleSettings

# Smith and Topin, "Super-Convergence" (2019), with the divisors of torch's OneCycleLR.
_FIRST_PART, _LAST_PART = 1 / 25, 1 / 25e4
# A running mean over no steps yet is what came last.
_YOUNG = 10.0


def optimiser_of(network: nn.Module, settings: OptimiserSettings) -> Optimizer:
    """An optimiser of what a network trains; scales, shifts and biases are not drawn to zero."""
    groups = list(_groups(network, settings.weight_decay))
    if settings.kind == "sgd":
        return SGD(groups, lr=settings.rate, momentum=settings.momentum, nesterov=settings.momentum > 0.0)
    return (Adam if settings.kind == "adam" else AdamW)(groups, lr=settings.rate)


def _groups(network: nn.Module, weight_decay: float) -> Iterator[dict[str, Any]]:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    yield {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay}
    if flat := [p for p in trained if p.ndim <= 1]:
        yield {"params": flat, "weight_decay": 0.0}


def rate_at(share: float, settings: ScheduleSettings) -> float:
    """The learning rate as a share of its highest, after a share of the training in [0, 1].

    `plateau` and `constant` do not run with the share: 1.
    """
    if settings.kind == "one_cycle":
        warm = settings.warm_share
        if share < warm:
            return _between(_FIRST_PART, 1.0, share / warm)
        return _between(1.0, _LAST_PART, (share - warm) / (1.0 - warm)) if warm < 1.0 else 1.0
    if settings.kind == "poly":
        return float((1.0 - share) ** settings.power)
    if settings.kind == "cosine":
        return _between(1.0, 0.0, share)
    return 1.0


def _between(first: float, last: float, share: float) -> float:
    """From first to last along half a cosine."""
    return last + (first - last) * (1.0 + math.cos(math.pi * share)) / 2.0


def averaged_into(average: Mapping[str, Tensor], now: Mapping[str, Tensor], steps: int, seen: int) -> None:
    """Move averaged weights towards the present ones, in place.

    Args:
        average: By name.
        now: The same names.
        steps: How many of the last steps the average remembers, about; fewer while it has not seen as many.
        seen: Steps it has seen before this one.
    """
    share = max(1.0 / steps, (_YOUNG - 1.0) / (_YOUNG + seen))
    with torch.no_grad():
        for name, tensor in average.items():
            if tensor.is_floating_point():
                tensor.lerp_(now[name].to(tensor), share)
            else:  # How many batches a normalisation has seen.
                tensor.copy_(now[name])
