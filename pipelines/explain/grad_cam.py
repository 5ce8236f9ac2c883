"""Grad-CAM.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017 (arXiv 1610.02391), equations 1 and 2: ReLU(sum_k mean(g_k) A_k), g the gradient of the score
with respect to the map A. Behind means over maps and a linear head that is ReLU(CAM) over the number of cells.

Not as MONAI does it, whose map is upside down unless it is told otherwise and whose gradients of a batch mix the
classes of its images.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipelines.explain.evidence import Evidence, gather
from pipelines.explain.method import Method
from pipelines.explain.targets import Target


class GradCam(Method):
    """Grad-CAM.

    One weight per map, wherever on it something is: of several lesions alike it shows all, whichever is meant.
    """

    singles_out: ClassVar[bool] = False

    layer: str | None = Field(default=None, description="the module whose answer is explained; null: the last maps")

    @staticmethod
    def coarse(evidence: Evidence) -> Tensor:
        """(N, T, *cells)."""
        weights = evidence.gradients if evidence.uniform else evidence.gradients.flatten(start_dim=3).mean(dim=3)
        return torch.relu(evidence.weighted(weights))

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        evidence = gather(network, inputs, targets, rows, self.layer)
        return evidence.on_inputs(self.coarse(evidence), inputs.shape[2:])


METHOD = GradCam
