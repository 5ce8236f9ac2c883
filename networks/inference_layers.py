"""Layers that stand in a network rewritten for inference, and the ways in and out of one.

What they stand for is said in `networks.inference`. They never learn: what they are given they may overwrite where they
say so.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.dense_decoder import UpStage
from networks.folding import doubling_kernel, fold_behind
from networks.h_dense_unet import HybridFusion
from networks.layers import Convolution


class Entrance(nn.Module):
    """A network's first convolution, behind the cast to its type."""

    def __init__(self, conv: Convolution) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *size), of any floating type, to (N, out, *size / stride)."""
        answer: Tensor = self.conv(x.to(self.conv.weight.dtype))  # (N, out, *size)
        return answer


class Exit(nn.Module):
    """A network's last convolution, with logits in the type that the network had."""

    def __init__(self, conv: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv, self.dtype = conv, dtype

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *size) to (N, classes, *size)."""
        logits: Tensor = self.conv(x)  # (N, classes, *size)
        return logits.to(self.dtype)


class Classifier(nn.Module):
    """A classifier that stays in the network's own type: it is small, and its answer is the last."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) to (N, classes)."""
        logits: Tensor = self.linear(x.to(self.linear.weight.dtype))  # (N, classes)
        return logits


class Bound(nn.Module):
    """What is left of a normalisation and a ReLU: each channel is kept within bounds."""

    low: Tensor
    high: Tensor | None

    def __init__(self, low: Tensor, high: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *size) to a new tensor of that shape."""
        return torch.clamp(x, self.low, self.high)


class MeanOverWindows(nn.Module):
    """Average pooling.

    Where slices stay apart they are pooled as images; the CPU knows no bfloat16 for pooling volumes.
    """

    def __init__(self, pool: nn.Module, factors: tuple[int, ...]) -> None:
        super().__init__()
        self.pool, self.factors = pool, factors

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *size) to (N, C, *size / factors), odd sizes rounded down."""
        if self.factors == (1, 2, 2):
            batch, _, depth, *_ = x.shape
            images = functional.avg_pool2d(x.transpose(1, 2).flatten(0, 1), 2)  # (N * D, C, H / 2, W / 2)
            return images.reshape(batch, depth, *images.shape[1:]).transpose(1, 2)  # (N, C, D, H / 2, W / 2)
        volumes = x.ndim == 5 and x.dtype == torch.bfloat16
        mean: Tensor = self.pool(x.float() if volumes else x)  # (N, C, *size / factors)
        return mean.to(x.dtype)


class AddedUpStage(nn.Module):
    """A stage with a long connection, whose tap it overwrites: the way up is the last to need it."""

    def __init__(self, stage: UpStage) -> None:
        super().__init__()
        self.factors = stage.factors
        self.adapter, self.conv, self.scse = stage.adapter, stage.conv, stage.scse

    def forward(self, x: Tensor, tap: Tensor) -> Tensor:
        """(N, wide, *size) and a tap (N, tap, *size * factors) to (N, narrow, *size * factors)."""
        x = self.conv(_add_grown(tap if self.adapter is None else self.adapter(tap), x, self.factors)).relu_()
        return x if self.scse is None else cast(Tensor, self.scse(x))


class DoublingStage(nn.Module):
    """A stage without a long connection: growth and convolution in one."""

    def __init__(self, stage: UpStage) -> None:
        super().__init__()
        self.factors, self.scse = stage.factors, stage.scse
        self.weight = nn.Parameter(doubling_kernel(stage.conv.weight, stage.factors), requires_grad=False)
        self.bias = stage.conv.bias

    def forward(self, x: Tensor, tap: None) -> Tensor:
        """(N, wide, *size) to (N, narrow, *size * factors)."""
        transposed = functional.conv_transpose2d if x.ndim == 4 else functional.conv_transpose3d
        x = transposed(x, self.weight, self.bias, stride=self.factors, padding=1).relu_()
        return x if self.scse is None else cast(Tensor, self.scse(x))


class Fusion(nn.Module):
    """`HybridFusion`; it overwrites the 3D network's map, which nothing else needs."""

    def __init__(self, fusion: HybridFusion) -> None:
        super().__init__()
        fold_behind(fusion.conv, fusion.norm)
        self.conv, self.head = fusion.conv, fusion.head

    def forward(self, volume: Tensor, slices: Tensor) -> Tensor:
        """Two maps (N, features, D, H, W) to logits (N, classes, D, H, W)."""
        x = self.conv(volume.add_(slices)).relu_()  # (N, features, D, H, W)
        return cast(Tensor, self.head(x))  # (N, classes, D, H, W)


class VolumeConvolution(nn.Module):
    """`Conv3d`, by way of oneDNN where torch would choose its own slow one: float32, batches of one, small maps."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.padding = cast(tuple[int, int, int], conv.stride), cast(tuple[int, int, int], conv.padding)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, D, H, W) to (N, out, D, H, W), each size divided by the stride."""
        plain = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32
        mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if plain and mkldnn and not torch.is_autocast_enabled("cpu"):
            return torch.mkldnn_convolution(x, self.weight, self.bias, self.padding, self.stride, (1, 1, 1), 1)
        return functional.conv3d(x, self.weight, self.bias, self.stride, self.padding)


def _add_grown(tap: Tensor, x: Tensor, factors: tuple[int, ...]) -> Tensor:
    """Add (N, C, *size), nearest neighbours repeated, to (N, C, *size * factors), in place."""
    split = [length for pair in zip(x.shape[2:], factors, strict=True) for length in pair]
    single = [length for size in x.shape[2:] for length in (size, 1)]
    # (N, C, D, f, H, f, W, f), the small map 1 wherever the large one is f
    tap.view(*tap.shape[:2], *split).add_(x.reshape(*x.shape[:2], *single))
    return tap
