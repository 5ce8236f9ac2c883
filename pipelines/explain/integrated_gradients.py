"""Integrated gradients.

Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017 (arXiv 1703.01365), equation 1: the
difference to a baseline times the integral of the gradient along the straight line from it. The values of a map add up
to what the score changed by (completeness, proposition 1), which says whether there were enough steps; where there were
not, they are doubled for the images concerned.

The integral is taken at the points of Gauss and Legendre, as captum's is: with n steps exact for polynomials up to
degree 2 n - 1.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from pipelines.explain.baselines import Baseline, baseline_of
from pipelines.explain.completeness import completeness_error
from pipelines.explain.input_gradients import input_gradients
from pipelines.explain.method import Method, answers, at_once, by_copy, pieces
from pipelines.explain.targets import Target


class IntegratedGradients(Method):
    """Integrated gradients, summed over channels; negative where something speaks against the target."""

    signed: ClassVar[bool] = True
    complete: ClassVar[bool] = True
    sparing: ClassVar[Mapping[str, int]] = {"steps": 25, "most_steps": 50}

    steps: int = Field(default=50, ge=1, description="points along the line, to begin with")
    most_steps: int = Field(default=400, ge=1, description="points at which doubling ends")
    tolerance: PositiveFloat | None = Field(
        default=0.01, description="largest completeness error; null: whatever the first steps give"
    )
    baseline: Baseline = Field(default=0.0, description="a value, minimum or blurred: where the line begins")

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        start = baseline_of(inputs, self.baseline).expand_as(inputs)
        maps = self._integral(network, inputs, start, targets, rows, self.steps)
        if self.tolerance is None:
            return maps
        rise = _scores(network, inputs, targets, rows) - _scores(network, start, targets, rows)  # (n, T)
        steps = self.steps
        while 2 * steps <= self.most_steps:
            short = (completeness_error(maps, rise) > self.tolerance).any(dim=1).nonzero()[:, 0]
            if not len(short):
                break
            steps *= 2
            maps[short] = self._integral(network, inputs[short], start[short], targets, rows[short], steps)
        return maps

    def _integral(
        self, network: nn.Module, inputs: Tensor, start: Tensor, targets: Sequence[Target], rows: Tensor, steps: int
    ) -> Tensor:
        """(n, T, *size)."""
        points, weights = np.polynomial.legendre.leggauss(steps)  # On [-1, 1], weights add up to 2.
        along = torch.from_numpy((points + 1) / 2).to(inputs)
        shares = torch.from_numpy(weights / 2).to(inputs)
        way = inputs - start
        total = inputs.new_zeros((len(inputs), len(targets), *inputs.shape[1:]))  # (n, T, C, *size)
        at_a_time = max(at_once(inputs, self.batch, going_back=True) // len(inputs), 1)
        flat = [1] * (inputs.ndim - 1)
        for piece in pieces(steps, at_a_time):
            at, share = along[piece], shares[piece]
            copies = (start[None] + at.reshape(-1, 1, *flat) * way[None]).flatten(0, 1)  # (s * n, C, *size)
            gradients = input_gradients(network, copies, targets, rows.repeat(len(at)))
            total += torch.einsum("s,sn...->n...", share, by_copy(gradients, len(at)))
        return (total * way[:, None]).sum(dim=2)


def _scores(network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
    """(n, T)."""
    outputs = answers(network, inputs)
    return torch.stack([target.scores(outputs, rows) for target in targets], dim=1)


METHOD = IntegratedGradients
