"""HiResCAM.

Draelos, Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020
(arXiv 2011.08891), equation 4: sum_k g_k A_k, cell by cell, gradients not averaged first. Behind means over maps and a
linear head that is CAM over the number of cells, and its cells add up to the logit without its bias.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from pipelines.explain.evidence import Evidence, gather
from pipelines.explain.method import Method
from pipelines.explain.targets import Target


class HiResCam(Method):
    """HiResCAM; negative where a place speaks against the target."""

    signed: ClassVar[bool] = True

    layer: str | None = Field(default=None, description="the module whose answer is explained; null: the last maps")

    @staticmethod
    def coarse(evidence: Evidence) -> Tensor:
        """(N, T, *cells)."""
        return evidence.weighted(evidence.gradients)

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        evidence = gather(network, inputs, targets, rows, self.layer)
        return evidence.on_inputs(self.coarse(evidence), inputs.shape[2:])


METHOD = HiResCam
