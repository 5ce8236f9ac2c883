"""Maps inside a network and what each of them does for the targets: what the CAM family is made of.

Whatever lies before the layer is computed without gradients, whatever lies behind it once, for all targets. A
classifier that takes means of its maps and then a sum needs no gradients at all: that of a class's logit is the weight
of the map over the number of its cells, everywhere. So nothing but the forward pass is left, which somebody else may
have made (`recording`), with a network rewritten for inference too.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from datasets.errors import ConfigError
from pipelines.explain.layers import LinearHead, Place, linear_head, on_inputs, place_of
from pipelines.explain.method import at_least_float32
from pipelines.explain.targets import ClassLogit, Target

Changed = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evidence:
    """Maps inside a network, and the gradients of targets with respect to them.

    Attributes:
        maps: (N, K, *cells), float32.
        gradients: (N, T, K, *cells), or (1, T, K) where they are the same in all cells of all images.
        stride: Pixels of the inputs per cell, where they do not span the inputs.
    """

    maps: Tensor
    gradients: Tensor
    stride: tuple[int, ...] | None

    @property
    def uniform(self) -> bool:
        """Whether gradients are the same in all cells."""
        return self.gradients.ndim == 3

    def weighted(self, weights: Tensor) -> Tensor:
        """Sums of maps by weights (N or 1, T, K) or (N, T, K, *cells): (N, T, *cells)."""
        if weights.ndim == 3:
            flat = self.maps.flatten(start_dim=2)  # (N, K, cells)
            summed: Tensor = torch.matmul(weights.expand(len(flat), -1, -1), flat)  # (N, T, cells)
            return summed.reshape(*summed.shape[:2], *self.maps.shape[2:])
        # One target at a time: a product of all would be as large as the maps times the targets.
        return torch.stack([(one * self.maps).sum(dim=1) for one in weights.unbind(dim=1)], dim=1)

    def on_inputs(self, coarse: Tensor, size: Sequence[int]) -> Tensor:
        """Maps (N, T, *cells) on the grid of the inputs, (N, T, *size)."""
        return on_inputs(coarse, size, self.stride)


@runtime_checkable
class OfMaps(Protocol):
    """A method that needs maps inside a network, what they do for the targets, and nothing else of it."""

    @staticmethod
    def coarse(evidence: Evidence) -> Tensor:
        """Its formula: (N, T, *cells)."""


def gather(
    network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor, layer: str | None = None
) -> Evidence:
    """Look at the maps of a layer, and what they do for the targets.

    Args:
        network: In evaluation mode.
        inputs: (N, C, *size).
        targets: Settled.
        rows: (N,), which images these are.
        layer: Name of the module whose answer is explained; None: the last maps of the network.

    Raises:
        ConfigError: There is no such layer, or of a foreign network no name is given.
    """
    head = linear_head(network) if layer is None else None
    if head is not None:
        with torch.no_grad(), recording(network) as record:
            network(inputs)
        return record.evidence(targets)
    place = place_of(network, layer)
    maps, gradients = maps_and_gradients(network, inputs, place, targets, rows)
    return Evidence(maps, gradients, place.stride)


def maps_and_gradients(
    network: nn.Module,
    inputs: Tensor,
    place: Place,
    targets: Sequence[Target],
    rows: Tensor,
    change: Changed | None = None,
) -> tuple[Tensor, Tensor]:
    """The maps at a place (M, K, *cells) and the gradients of the scores with respect to them (M, T, K, *cells).

    Args:
        network: In evaluation mode.
        inputs: (N, C, *size).
        place: Where.
        targets: Settled.
        rows: (M,), which images the maps are of.
        change: What to put in place of the maps (N, K, *cells); it may make more of them, where nothing else of the
            network's inside goes around the place.
    """
    seen: list[Tensor] = []

    def look(maps: Tensor) -> Tensor:
        leaf = (maps if change is None else change(maps)).detach().requires_grad_()
        seen.append(leaf)
        torch.set_grad_enabled(True)  # From here on; what was before needs none.
        return leaf

    with torch.no_grad(), at(network, place, look):
        outputs = network(inputs)
    if not seen:
        raise ConfigError("a layer that the network asks", place.path, "name another one")
    with torch.enable_grad():
        scores = [target.scores(outputs, rows).sum() for target in targets]
    gradients = [
        torch.autograd.grad(score, seen[0], retain_graph=index + 1 < len(scores))[0]
        for index, score in enumerate(scores)
    ]
    return seen[0].detach(), torch.stack(gradients, dim=1)


@contextmanager
def at(network: nn.Module, place: Place, change: Changed) -> Iterator[None]:
    """Put something else in place of the maps at a place, meanwhile."""
    module = network.get_submodule(place.path)
    handle: RemovableHandle
    if place.side == "input":

        def before(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            return (change(given[0]), *given[1:])

        handle = module.register_forward_pre_hook(before)
    else:

        def behind(_module: nn.Module, _given: tuple[Any, ...], answer: Tensor) -> Tensor:
            return change(answer)

        handle = module.register_forward_hook(behind)
    try:
        yield
    finally:
        handle.remove()


class Recording:
    """The last maps of a classifier, as they were when it was asked."""

    def __init__(self, head: LinearHead) -> None:
        self.head = head
        self.pieces: list[Tensor] = []

    def keep(self, maps: Tensor) -> Tensor:
        """Keep a copy of (n, K, *cells), and change nothing."""
        kept = at_least_float32(maps.detach())
        self.pieces.append(torch.relu(kept) if self.head.rectified else kept.clone())
        return maps

    def only(self, number: int) -> "Recording":
        """The same of one image alone, counted over all calls in their order.

        Raises:
            ConfigError: The network was asked about fewer.
        """
        rest = number
        for piece in self.pieces:
            if rest < len(piece):
                one = Recording(self.head)
                one.pieces.append(piece[rest : rest + 1])
                return one
            rest -= len(piece)
        raise ConfigError(f"{number + 1} images that the network was asked about", f"{number - rest}", "ask it")

    def evidence(self, targets: Sequence[Target]) -> Evidence:
        """What was seen in all calls, in their order.

        Raises:
            ConfigError: The network was not asked meanwhile, or a target is no class of a classifier.
        """
        if not self.pieces:
            raise ConfigError("a network that is asked while it is recorded", "no call", "call it within the block")
        classes = [target.index for target in targets if isinstance(target, ClassLogit)]
        if len(classes) != len(targets):
            raise ConfigError("classes of a classifier as targets", f"{list(targets)}", "choose ClassLogit")
        maps = torch.cat(self.pieces)  # (N, K, *cells)
        cells = maps[0, 0].numel()
        weight = self.head.weight.to(maps)[classes]  # (T, K)
        return Evidence(maps, weight[None] / cells, self.head.place.stride)


@contextmanager
def recording(network: nn.Module) -> Iterator[Recording]:
    """Keep the last maps of a classifier while somebody asks it.

    Raises:
        ConfigError: It is no classifier of means.
    """
    head = linear_head(network)
    if head is None:
        got = type(network).__name__
        raise ConfigError("a classifier that takes the mean of its maps and a sum", got, "choose another method")
    record = Recording(head)
    with at(network, head.place, record.keep):
        yield record
