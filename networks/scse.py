"""Concurrent spatial and channel squeeze and excitation (scSE), in two and three dimensions.

Roy, Navab, Wachinger, "Concurrent Spatial and Channel Squeeze & Excitation in Fully Convolutional Networks", MICCAI
2018 (arXiv 1803.02579): channels are scaled by what their means say, pixels by what their channels say, and the two are
added. The authors' later code (ai-med/squeeze_and_excitation) takes the larger of the two instead; `combination` offers
both. The bottleneck halves the channels.

C channels cost C^2 + 2.5 C + 1 parameters; behind the five stages of DenseUNet-167 that is 763,333, 1.54 % more.

Deviations from the reference code: works on tensors of any memory layout (`.view` there needs contiguous ones), of two
and three dimensions alike, and of a single channel.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.layers import convolution

REDUCTION = 2  # authors' squeeze_and_excitation.py, reduction_ratio


class SpatialChannelSqueezeExcite(nn.Module):
    """scSE: (N, C, *size) to (N, C, *size)."""

    def __init__(self, spatial_dims: int, channels: int, combination: Literal["sum", "max"]) -> None:
        super().__init__()
        bottleneck = max(channels // REDUCTION, 1)
        self.combination = combination
        self.squeeze = nn.Linear(channels, bottleneck)
        self.excite = nn.Linear(bottleneck, channels)
        self.spatial = convolution(spatial_dims, channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scaled twice: (N, C, *size) to (N, C, *size); an empty batch stays one."""
        means = x.flatten(start_dim=2).mean(dim=2)  # (N, C)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(means))))  # (N, C)
        by_channel = x * gate.reshape(*gate.shape, *[1] * (x.ndim - 2))  # (N, C, *size)
        by_place = x * torch.sigmoid(self.spatial(x))  # (N, C, *size)
        return by_channel + by_place if self.combination == "sum" else torch.maximum(by_channel, by_place)
