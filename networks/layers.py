"""Layers by number of spatial dimensions, and padding to the sizes a network can halve."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Convolution = nn.Conv2d | nn.Conv3d
BatchNorm = nn.BatchNorm2d | nn.BatchNorm3d


def convolution(
    spatial_dims: int, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, bias: bool = True
) -> Convolution:
    """A convolution that keeps the size at stride 1 (padding is half the odd kernel)."""
    kind = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
    return kind(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=bias)


def batch_norm(spatial_dims: int, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> BatchNorm:
    """Batch normalisation; `momentum` is torch's, the weight of the new batch."""
    kind = nn.BatchNorm2d if spatial_dims == 2 else nn.BatchNorm3d
    return kind(channels, eps=eps, momentum=momentum)


def max_pool(spatial_dims: int, kernel: int, *, stride: int, padding: int = 0) -> nn.MaxPool2d | nn.MaxPool3d:
    """Maximum over windows."""
    kind = nn.MaxPool2d if spatial_dims == 2 else nn.MaxPool3d
    return kind(kernel, stride=stride, padding=padding)


def average_pool(factors: tuple[int, ...]) -> nn.AvgPool2d | nn.AvgPool3d:
    """Mean over windows of these sizes, side by side: (H, W) or (D, H, W)."""
    if len(factors) == 2:
        return nn.AvgPool2d((factors[0], factors[1]))
    return nn.AvgPool3d((factors[0], factors[1], factors[2]))


def pad_to_size(x: Tensor, size: Sequence[int]) -> Tensor:
    """Pad (N, C, *spatial) at the far end of every spatial axis to at least `size`, repeating the edge.

    The edge is repeated, rather than zeros put in, because zero is soft tissue, not air, after the usual CT
    normalisation. At the far end only, so that indices stay what they were.

    Raises:
        ValueError: if a spatial axis is empty, since there is no edge to repeat.
    """
    present = x.shape[2:]
    if min(present) == 0:
        raise ValueError(f"expected at least one pixel along every axis, got shape {tuple(x.shape)}; check the crop")
    missing = [max(wanted - have, 0) for have, wanted in zip(present, size, strict=True)]
    if not any(missing):
        return x
    far_ends = [amount for axis in reversed(missing) for amount in (0, axis)]
    return functional.pad(x, far_ends, mode="replicate")


def pad_to_multiple(x: Tensor, divisor: int | Sequence[int]) -> Tensor:
    """Pad (N, C, *spatial) as `pad_to_size` does, to the next multiple of `divisor`, one for all axes or one each."""
    present = x.shape[2:]
    divisors = [divisor] * len(present) if isinstance(divisor, int) else divisor
    return pad_to_size(x, [-(-have // each) * each for have, each in zip(present, divisors, strict=True)])


def crop_to_size(x: Tensor, size: Sequence[int]) -> Tensor:
    """Drop what lies beyond `size` at the far end of every spatial axis of (N, C, *spatial)."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return x[(slice(None), slice(None), *(slice(wanted) for wanted in size))]


def check_input(x: Tensor, spatial_dims: int, in_channels: int) -> None:
    """Refuse a tensor that is not (N, in_channels, *spatial).

    Raises:
        ValueError: says the shape expected, the shape that came and what to change.
    """
    if x.ndim != spatial_dims + 2 or x.shape[1] != in_channels:
        axes = "H, W" if spatial_dims == 2 else "D, H, W"
        raise ValueError(
            f"expected (N, {in_channels}, {axes}), got {tuple(x.shape)}; "
            "add the batch and channel axes, or set in_channels and spatial_dims of the network to match the images"
        )


def he_normal(module: nn.Module) -> None:
    """Draw convolution weights from N(0, 2 / fan_in) (He et al., ICCV 2015), zero their biases.

    Randomness comes from torch's default generator; `networks.build.build` seeds it.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            zero_bias(part.bias)


def zero_bias(bias: torch.Tensor | None) -> None:
    """Set a bias to zero, if there is one."""
    if bias is not None:
        nn.init.zeros_(bias)
