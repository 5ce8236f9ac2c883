"""Grad-CAM++.

Chattopadhay, Sarkar, Howlader, Balasubramanian, "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
Convolutional Networks", WACV 2018 (arXiv 1710.11063), equations 10, 16 and 19, for the exponential of the score:
alpha = g^2 / (2 g^2 + g^3 sum A), w_k = sum alpha ReLU(e^y g), ReLU(sum_k w_k A_k).

e^y is one number per image and target, which scales the whole map and is too large for any type where y is a sum over
pixels, so it is left out. MONAI has it, sums A g^3 over cells where equation 19 has the sum of A times g^3 of each
cell, fails for batches of more than one image and turns the map upside down.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pipelines.explain.evidence import Evidence, gather
from pipelines.explain.method import Method
from pipelines.explain.targets import Target


class GradCamPlusPlus(Method):
    """Grad-CAM++; like Grad-CAM it weighs maps, not places."""

    singles_out: ClassVar[bool] = False

    layer: str | None = Field(default=None, description="the module whose answer is explained; null: the last maps")

    @staticmethod
    def coarse(evidence: Evidence) -> Tensor:
        """(N, T, *cells)."""
        maps = evidence.maps.flatten(start_dim=2)  # (N, K, cells)
        gradients = evidence.gradients
        flat = (
            gradients[..., None] if evidence.uniform else gradients.flatten(start_dim=3)
        )  # (N or 1, T, K, cells or 1)
        squares = flat.square()
        below = 2 * squares + squares * flat * maps.sum(dim=2)[:, None, :, None]
        # Where nothing depends on a cell both are 0, and so is its weight.
        alpha = torch.where(below == 0, torch.zeros_like(below), squares / below)
        weights = alpha * torch.relu(flat)
        total = weights[..., 0] * maps.shape[2] if evidence.uniform else weights.sum(dim=3)  # (N, T, K)
        return torch.relu(evidence.weighted(total))

    def _maps(self, network: nn.Module, inputs: Tensor, targets: Sequence[Target], rows: Tensor) -> Tensor:
        evidence = gather(network, inputs, targets, rows, self.layer)
        return evidence.on_inputs(self.coarse(evidence), inputs.shape[2:])


METHOD = GradCamPlusPlus
