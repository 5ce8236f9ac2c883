"""Occlusion.

Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014 (arXiv 1311.2901), section 4.2: a
window is slid over the image, and what the score loses when it is hidden belongs to what lay beneath it. Where windows
overlap a pixel gets the mean of those over it, as captum has it.
"""

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipelines.explain.baselines import Baseline, baseline_of
from pipelines.explain.method import Method, answers, at_once, by_copy
from pipelines.explain.targets import Target

Corner = tuple[int, ...]


class Occlusion(Method):
    """Occlusion; negative where the score rises when something is hidden."""

    needs_gradients: ClassVar[bool] = False
    signed: ClassVar[bool] = True

    window: int | None = Field(
        default=None, ge=1, description="edge of the window in pixels; null: an eighth of the image"
    )
    stride: int | None = Field(default=None, ge=1, description="pixels between windows; null: half a window")
    baseline: Baseline = Field(default=0.0, description="what hidden pixels become: a value, minimum or blurred")
    of: Literal["score", "probability"] = Field(
        default="score", description="what is watched: the logit or its probability"
    )

    def windows(self, size: Sequence[int]) -> tuple[list[Corner], tuple[int, ...]]:
        """Where windows begin, and how large they are, on a grid (H, W) or (D, H, W).

        Windows go on until the whole grid has been hidden; what of the last ones lies outside is cut.
        """
        edges = tuple(min(self.window or max(round(extent / 8), 1), extent) for extent in size)
        steps = [min(self.stride or max(edge // 2, 1), edge) for edge in edges]
        along = [
            range(0, max(extent - edge, 0) + step, step) for extent, edge, step in zip(size, edges, steps, strict=True)
        ]
        return [at for at in itertools.product(*along) if all(a < e for a, e in zip(at, size, strict=True))], edges

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        size = inputs.shape[2:]
        corners, edges = self.windows(size)
        hidden = baseline_of(inputs, self.baseline).expand_as(inputs)
        clean = self._watched(answers(network, inputs, self.batch), targets, rows)  # (n, T)
        total = inputs.new_zeros((len(inputs), len(targets), *size))
        count = inputs.new_zeros(tuple(size))
        step = max(at_once(inputs, self.batch, going_back=False) // len(inputs), 1)
        for first in range(0, len(corners), step):
            some = [_box(corner, edges) for corner in corners[first : first + step]]
            copies = inputs[None].repeat(len(some), *[1] * inputs.ndim)  # (w, n, C, *size)
            for copy, box in zip(copies, some, strict=True):
                copy[box] = hidden[box]
            outputs = answers(network, copies.flatten(0, 1), self.batch)
            lost = clean - by_copy(self._watched(outputs, targets, rows.repeat(len(some))), len(some))
            for loss, box in zip(lost, some, strict=True):
                total[box] += loss.reshape(*loss.shape, *[1] * len(size))
                count[box] += 1
        return total / count

    def _watched(self, outputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        """(M, T)."""
        if self.of == "score":
            return torch.stack([target.scores(outputs, rows) for target in targets], dim=1)
        return torch.stack([target.probabilities(outputs, rows) for target in targets], dim=1)


def _box(corner: Corner, edges: tuple[int, ...]) -> tuple[Any, ...]:
    """Index of a window in (..., *size)."""
    return (..., *(slice(at, at + edge) for at, edge in zip(corner, edges, strict=True)))


METHOD = Occlusion
