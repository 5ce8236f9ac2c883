"""Concurrent spatial and channel squeeze and excitation (scSE), in two and three dimensions.

Roy, Navab, Wachinger, "Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks", MICCAI
2018 (arXiv 1803.02579), sections 2.1 to 2.3: channels are scaled by what their means say, pixels by what their
channels say, and the two are added. The authors' later code (ai-med/squeeze_and_excitation) takes the larger of the
two instead; `combination` offers both. The bottleneck halves the channels (r = 2, section 3).

Deviation from the reference code: works on tensors of any memory layout (`.view` there needs contiguous ones).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.layers import convolution

REDUCTION = 2  # section 3: r = 2


class SpatialChannelSqueezeExcite(nn.Module):
    """scSE: (N, C, *size) to (N, C, *size)."""

    def __init__(self, spatial_dims: int, channels: int, combination: Literal["sum", "max"]) -> None:
        super().__init__()
        self.combination = combination
        self.squeeze = nn.Linear(channels, max(channels // REDUCTION, 1))
        self.excite = nn.Linear(max(channels // REDUCTION, 1), channels)
        self.spatial = convolution(spatial_dims, channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled twice: (N, C, *size) to (N, C, *size)."""
        means = x.flatten(start_dim=2).mean(dim=2)  # (N, C)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(means))))  # (N, C)
        by_channel = x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))  # (N, C, *size)
        by_place = x * torch.sigmoid(self.spatial(x))  # (N, C, *size)
        return by_channel + by_place if self.combination == "sum" else torch.maximum(by_channel, by_place)
