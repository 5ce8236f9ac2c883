"""LayerCAM.

Jiang, Zhang, Hou, Cheng, Wei, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization", IEEE TIP 30,
2021, equations 5 to 7: ReLU(sum_k ReLU(g_k) A_k), cell by cell. Made for earlier, finer layers: `layer` names one.
"""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from pipelines.explain.evidence import Evidence, gather
from pipelines.explain.method import Method
from pipelines.explain.targets import Target


class LayerCam(Method):
    """LayerCAM."""

    layer: str | None = Field(default=None, description="the module whose answer is explained; null: the last maps")

    @staticmethod
    def coarse(evidence: Evidence) -> Tensor:
        """(N, T, *cells)."""
        return torch.relu(evidence.weighted(torch.relu(evidence.gradients)))

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        evidence = gather(network, inputs, targets, rows, self.layer)
        return evidence.on_inputs(self.coarse(evidence), inputs.shape[2:])


METHOD = LayerCam
