"""DIX: deep integrated explanations.

Barkan, Elisha, Weill, Asher, Eshel, Koenigstein, "Deep Integrated Explanations", CIKM 2023, and the authors' code
(dix-cikm23/dix): the gradient of the score is integrated along the line from a baseline r to the maps A of a layer. At
n + 1 points v = r + t (A - r)

    last layer      M = sum over points and channels of ReLU(g) ReLU(v)
    earlier ones    M = sum over points and channels of ReLU(g ReLU(v)) |A - r| / n

with g the gradient at v. Layers are put together as DIX2 = M1 M0 + M0 and DIX3 = (M1 M2 M0 + M0) M0, M0 the last.

Deviations from the code:

* the last layer has a baseline: what its channels have at least, cell by cell, as the earlier ones have it. There a
  minimum over an axis of length one makes the baseline equal to the maps, so that all points are the same and nothing
  is integrated;
* maps are summed over channels before they are brought onto one grid. There they are enlarged across channels too, as
  if these had an order;
* each is divided by its largest value before they are multiplied, so that no layer counts more for having larger
  numbers.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from networks.densenet import DenseNet
from pipelines.explain.evidence import Evidence, maps_and_gradients, recording
from pipelines.explain.layers import LinearHead, Place, last_places, linear_head, on_inputs, same_size
from pipelines.explain.method import Method, by_copy
from pipelines.explain.targets import Target


class Dix(Method):
    """DIX of one, two or three layers."""

    layers: Literal[1, 2, 3] = Field(default=2, description="how many of the last layers; the paper has 2 and 3")
    steps: int = Field(default=10, ge=1, description="parts of the line; the authors' code has 4, or 10 to segment")

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        places = last_places(network, self.layers)
        head = linear_head(network)
        found = []
        for index, place in enumerate(places):
            if index == 0 and head is not None:
                found.append(self._behind_means(network, head, inputs, targets))
            else:
                found.append(self._integral(network, place, inputs, targets, rows, last=index == 0))
        together = _together(same_size([_scaled(one) for one in found]))
        return on_inputs(together, inputs.shape[2:], _finer(places[0].stride, found[0], together))

    def _behind_means(self, network: nn.Module, head: LinearHead, inputs: Tensor, targets: Sequence[Target]) -> Tensor:
        """The last layer of a classifier of means, (n, T, *cells): gradients are the same at all points and cells."""
        with recording(network) as record:
            network(inputs)
        evidence = record.evidence(targets)
        start = evidence.maps.amin(dim=1, keepdim=True)
        total = sum((torch.relu(start + t * (evidence.maps - start)) for t in self._line()), torch.zeros(()))
        points = Evidence(total.to(evidence.maps), evidence.gradients, evidence.stride)
        return points.weighted(torch.relu(evidence.gradients))

    def _integral(
        self, network: nn.Module, place: Place, inputs: Tensor, targets: Sequence[Target], rows: Tensor, *, last: bool
    ) -> Tensor:
        """A layer, (n, T, *cells)."""
        # Nothing goes around these layers in a DenseNet, so what lies before them is computed once for all points.
        line = self._line()
        pieces = [line] if isinstance(network, DenseNet) else [line[at : at + 1] for at in range(len(line))]
        total: Tensor | None = None
        for points in pieces:
            walk = _Walk(points)
            at, gradients = maps_and_gradients(network, inputs, place, targets, rows.repeat(len(points)), walk)
            ahead = torch.relu(at)[:, None]  # (p * n, 1, K, *cells)
            if last:
                part = torch.relu(gradients) * ahead
            else:
                part = torch.relu(gradients * ahead) * walk.length(self.steps)[:, None]
            summed = by_copy(part.sum(dim=2), len(points)).sum(dim=0)  # (n, T, *cells)
            total = summed if total is None else total + summed
        return torch.zeros(()) if total is None else total

    def _line(self) -> list[float]:
        return [step / self.steps for step in range(self.steps + 1)]


class _Walk:
    """Puts points on the line from the baseline in place of maps."""

    def __init__(self, points: Sequence[float]) -> None:
        self.points = points
        self.way = torch.zeros(())

    def __call__(self, maps: Tensor) -> Tensor:
        """(n, K, *cells) to (points * n, K, *cells)."""
        start = maps.amin(dim=1, keepdim=True)
        self.way = maps - start
        return torch.cat([start + t * self.way for t in self.points])

    def length(self, steps: int) -> Tensor:
        """How far it is from point to point, (points * n, K, *cells)."""
        return (self.way.abs() / steps).repeat(len(self.points), *[1] * (self.way.ndim - 1))


def _finer(stride: tuple[int, ...] | None, coarse: Tensor, fine: Tensor) -> tuple[int, ...] | None:
    """The stride of cells that span what others of a known stride span, where it is whole."""
    if stride is None:
        return None
    spans = [step * cells for step, cells in zip(stride, coarse.shape[2:], strict=True)]
    whole = all(span % cells == 0 for span, cells in zip(spans, fine.shape[2:], strict=True))
    return tuple(span // cells for span, cells in zip(spans, fine.shape[2:], strict=True)) if whole else None


def _scaled(maps: Tensor) -> Tensor:
    """Maps (n, T, *cells) of which each is at most 1; one of zeros stays."""
    most = maps.flatten(start_dim=2).amax(dim=2).reshape(*maps.shape[:2], *[1] * (maps.ndim - 2))
    return maps / torch.where(most > 0, most, torch.ones_like(most))


def _together(maps: Sequence[Tensor]) -> Tensor:
    """DIX1, DIX2 or DIX3 of the maps of layers, the last first."""
    last, *before = maps
    if not before:
        return last
    if len(before) == 1:
        return before[0] * last + last
    return (before[0] * before[1] * last + last) * last


METHOD = Dix
