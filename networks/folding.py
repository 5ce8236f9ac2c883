"""The arithmetic of rewriting layers that no longer learn, in float64 on their weights.

All of it is exact but for rounding. What it leads to is said in `networks.inference`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from networks.layers import BatchNorm, Convolution

# A smaller factor of a normalisation makes its answer a constant: dividing by it could overflow.
VANISHING = 1e-20


class Bounded(NamedTuple):
    """What is left of normalisation, ReLU and a convolution: clamp(x, low, high), then weight and bias."""

    low: Tensor
    high: Tensor | None
    weight: Tensor
    bias: Tensor


def affine(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Factor and shift (C,) of a normalisation in evaluation mode, float64.

    Raises:
        ValueError: if it keeps no statistics.
    """
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("expected normalisations with running statistics, got one without; build it to track them")
    factor = (variance.double() + norm.eps).rsqrt()
    if norm.affine:
        factor = factor * norm.weight.double()
    shift = -mean.double() * factor
    return factor, shift + norm.bias.double() if norm.affine else shift


def fold_behind(conv: Convolution, norm: BatchNorm | nn.Identity) -> None:
    """Put a normalisation into the convolution before it, in place; an identity stands where that was done already."""
    if isinstance(norm, nn.Identity):
        return
    factor, shift = affine(norm)
    if conv.bias is not None:
        shift = shift + conv.bias.double() * factor
    weight = conv.weight.double() * factor.reshape(-1, *[1] * (conv.weight.ndim - 1))
    replace(conv, weight.to(conv.weight.dtype), shift.to(conv.weight.dtype))


def fold_before(norm: BatchNorm, conv: Convolution, dtype: torch.dtype) -> Bounded:
    """Put a normalisation and a ReLU into the 1x1 convolution after them.

    relu(a x + b) is a max(x, t) + b with t = -b/a, for negative a with a minimum. The convolution takes a and b. Its
    shift is the sum of -w t over the weights and bounds as `dtype` holds them, so that a channel at rest adds nothing.

    Args:
        norm: The normalisation.
        conv: A convolution of kernel 1, which is left as it is.
        dtype: What the answer will be kept in.

    Returns:
        Bounds (C, 1, ...) and weights, in `dtype`; no upper bound if there is no negative factor.
    """
    a, b = affine(norm)
    constant = a.abs() < VANISHING
    t = torch.where(constant, 0.0, -b / torch.where(constant, 1.0, a)).to(dtype)
    endless = torch.full_like(t, torch.inf)
    falling = (a < 0) & ~constant
    low = torch.where(falling, -endless, t)
    high = torch.where(falling | constant, t, endless) if bool((falling | constant).any()) else None

    given = conv.weight.double().flatten(1)  # (out, C), the kernel being 1
    weight = (given * torch.where(constant, 0.0, a)).to(dtype)
    bias = given @ torch.where(constant, b.clamp(min=0), 0.0) - weight.double() @ t.double()
    if conv.bias is not None:
        bias = bias + conv.bias.double()
    axes = [1] * (conv.weight.ndim - 2)
    return Bounded(
        low.reshape(-1, *axes),
        None if high is None else high.reshape(-1, *axes),
        weight.reshape(conv.weight.shape),
        bias.to(dtype),
    )


# Rows: places of the kernel of a transposed convolution; columns: places of the kernel 3 it stands for. With stride 2,
# even pixels of the large map see the small map's pixels at k = 0 and at k = 1, 2; odd ones at k = 0, 1 and at k = 2.
_TRANSPOSED = {
    1: ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    2: ((0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0)),
}


def doubling_kernel(weight: Tensor, factors: Sequence[int]) -> Tensor:
    """The transposed convolution that is nearest-neighbour growth and a convolution of kernel 3 after it.

    Args:
        weight: (out, in, 3, ...), of a convolution with padding 1.
        factors: By what each axis grows, 1 or 2.

    Returns:
        (in, out, ...), of size 3 where an axis does not grow and 4 where it doubles, for stride `factors`, padding 1.
    """
    kernel = weight.double().transpose(0, 1)
    for axis, factor in enumerate(factors, start=2):
        places = torch.tensor(_TRANSPOSED[factor], dtype=torch.float64, device=weight.device)  # (3 or 4, 3)
        kernel = (kernel.movedim(axis, -1) @ places.T).movedim(-1, axis)
    return kernel.to(weight.dtype)


def replace(conv: Convolution, weight: Tensor, bias: Tensor) -> None:
    """Give a convolution other weights, which do not learn."""
    conv.weight = nn.Parameter(weight, requires_grad=False)
    conv.bias = nn.Parameter(bias, requires_grad=False)
