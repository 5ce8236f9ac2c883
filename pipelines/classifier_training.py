"""How classifiers that ship learn: one schedule and one loop, whatever the labels, the loss and the network are."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from networks.build import build
from networks.configs import NetworkConfig
from pipelines.phantom_training import Batches

_LOG = logging.getLogger(__name__)

Loss = Callable[[Tensor, Tensor], Tensor]
Judge = Callable[[nn.Module], float]

# Smith and Topin, "Super-Convergence" (2019), with the shares and divisors of torch's OneCycleLR.
_WARM_SHARE, _FIRST_PART, _LAST_PART = 0.3, 1 / 25, 1 / 25e4
_LARGEST_GRADIENT = 5.0


@dataclass(frozen=True)
class ClassifierSchedule:
    """How long, how fast, and from which seed.

    Attributes:
        steps: Optimiser steps; fewer where the batches end before, or the time.
        batch: Pictures per step, for whoever makes the batches.
        peak_rate: Highest learning rate of the one-cycle schedule.
        weight_decay: Of AdamW, on weights with two axes or more.
        averaged_steps: How many of the last steps the averaged weights remember, about.
        check_every: Steps between two looks at the validation figure.
        patience: Looks without a better figure after which training ends; None never ends it early.
        max_minutes: After which the schedule must be through; None for no limit. What a slow machine cannot do in that
            time is left out, and the rate still falls to its end. The weights then depend on the machine's speed.
        seed: Of everything random.
    """

    steps: int = 2000
    batch: int = 64
    peak_rate: float = 4e-3
    weight_decay: float = 0.02
    averaged_steps: int = 200
    check_every: int = 200
    patience: int | None = None
    max_minutes: float | None = None
    seed: int = 0

    def share_done(self, step: int, seconds: float) -> float:
        """The part of the schedule that is over, in [0, 1]: of its steps or of its time, whichever is the larger."""
        timed = 0.0 if self.max_minutes is None else seconds / (60.0 * self.max_minutes)
        return min(1.0, max(step / self.steps, timed))

    def rate(self, share: float) -> float:
        """The learning rate after a share of the schedule: up in a cosine to the peak, then down to almost nothing."""
        if share < _WARM_SHARE:
            return self.peak_rate * _between(_FIRST_PART, 1.0, share / _WARM_SHARE)
        return self.peak_rate * _between(1.0, _LAST_PART, (share - _WARM_SHARE) / (1.0 - _WARM_SHARE))


def train_classifier(
    config: NetworkConfig, batches: Batches, loss: Loss, schedule: ClassifierSchedule, judge: Judge | None = None
) -> nn.Module:
    """Train a new classifier.

    Args:
        config: What to train.
        batches: Inputs (batch, C, *size) float32 and targets as the loss takes them: (batch,) int64 for
            `nn.CrossEntropyLoss`, (batch, labels) float32 for `nn.BCEWithLogitsLoss`. As many as there are; those that
            are left over when the schedule ends are not asked for.
        loss: Of logits (batch, outputs) and targets, a scalar.
        schedule: How long.
        judge: The validation figure of a network in eval mode, higher is better; without one there is no early end.

    Returns:
        The network in eval mode, its weights averaged over the last steps. With a judge, those of the look at which
        the figure was best, the later one of equals.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        network = build(config, seed=schedule.seed).train()
        if config.spatial_dims == 2:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return learn_classes(network, batches, loss, schedule, judge)


def learn_classes(
    network: nn.Module, batches: Batches, loss: Loss, schedule: ClassifierSchedule, judge: Judge | None = None
) -> nn.Module:
    """As `train_classifier`, from where a network is; the network is changed, and its averaged copy given back."""
    optimiser = torch.optim.AdamW(_decayed(network, schedule.weight_decay), lr=schedule.rate(0.0))
    averaged = AveragedModel(network, avg_fn=_remembering(schedule.averaged_steps), use_buffers=True)
    best = _Best(judge, schedule.patience)
    start = time.perf_counter()
    for step, (inputs, targets) in enumerate(batches, start=1):
        optimiser.zero_grad(set_to_none=True)
        value = loss(network(inputs), targets)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        averaged.update_parameters(network)
        seconds = time.perf_counter() - start
        share = schedule.share_done(step, seconds)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(share)
        if step % schedule.check_every == 0 or share == 1.0:
            best.look(averaged.module)
            _LOG.info("step %d, %.0f %% done, loss %.3f, %s%.0f s", step, 100 * share, value.item(), best, seconds)
        if share == 1.0 or best.is_past:
            break
    return best.restored(averaged.module)


def logits_of(network: nn.Module, inputs: Tensor, batch: int = 256) -> NDArray[np.float64]:
    """What a network in eval mode says to many pictures.

    Args:
        network: Gives (N, outputs) logits.
        inputs: (N, C, *size) float32.
        batch: Pictures at a time.

    Returns:
        (N, outputs); (0, outputs) for no pictures.
    """
    with torch.inference_mode():
        # No pictures are one part of none.
        parts = [network(part) for part in inputs.split(batch)]  # type: ignore[no-untyped-call]
    logits: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return logits


def class_weights(labels: NDArray[np.integer], classes: int) -> Tensor:
    """Weights for `nn.CrossEntropyLoss` under which every class counts the same, however rare it is.

    Args:
        labels: (N,) class indices.
        classes: How many there are.

    Returns:
        (classes,) float32 with mean 1 over the pictures; 0 for a class that has none.
    """
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    present = np.count_nonzero(counts)
    weights = np.divide(labels.size, present * counts, out=np.zeros_like(counts), where=counts > 0)
    return torch.from_numpy(weights.astype(np.float32))


class _Best:
    """The weights that did best at a look so far."""

    def __init__(self, judge: Judge | None, patience: int | None) -> None:
        self._judge, self._patience = judge, patience
        self._figure, self._state = -math.inf, dict[str, Tensor]()
        self._last, self._looks_since = -math.inf, 0

    def __str__(self) -> str:
        return f"validation {self._last:.4f}, " if self._judge else ""

    @property
    def is_past(self) -> bool:
        """Whether nothing better has come for too long."""
        return self._patience is not None and self._looks_since >= self._patience

    def look(self, network: nn.Module) -> None:
        """Judge a network, and remember its weights where none did better."""
        if self._judge is None:
            return
        self._last = self._judge(network.eval())
        self._looks_since = 0 if self._last > self._figure else self._looks_since + 1
        if self._last >= self._figure:
            self._figure = self._last
            self._state = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def restored(self, network: nn.Module) -> nn.Module:
        """A network with the weights remembered, or its own where nothing was judged; in eval mode."""
        if self._state:
            network.load_state_dict(self._state)
        return network.eval()


def _between(first: float, last: float, share: float) -> float:
    """From first to last along half a cosine."""
    return last + (first - last) * (1.0 + math.cos(math.pi * share)) / 2.0


def _decayed(network: nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    """Groups for the optimiser: scales, shifts and biases are not drawn to zero."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    yield {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay}
    yield {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0}


def _remembering(steps: int) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """A running mean that forgets after so many steps, and remembers fewer while there are not yet as many."""

    def mean(before: Tensor, now: Tensor, count: Tensor | int) -> Tensor:
        if not before.is_floating_point():  # How many batches a normalisation has seen.
            return now
        return torch.lerp(before, now, max(1.0 / steps, 9.0 / (10.0 + float(count))))

    return mean
