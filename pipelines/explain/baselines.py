"""What an image is when what it shows is taken away: the baseline of integrals, and what hidden pixels become.

There is no right one, so it is named: 0 is what weights see as the mean once images are scaled, the lowest value is
black, or air, and a blurred copy keeps the brightness of every region and loses what is in it. A baseline equal to what
is looked for hides it: on a black one nothing dark can be found (Sturmfels, Lundberg, Lee, "Visualizing the Impact of
Feature Attribution Baselines", Distill 2020).
"""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Baseline = float | Literal["minimum", "blurred"]

# RISE, authors' evaluation code: an 11 x 11 kernel of sigma 5 at 224 pixels.
_BLUR_SHARE = 5 / 224
_BLUR_RADIUS = 2.0


def baseline_of(inputs: Tensor, baseline: Baseline) -> Tensor:
    """The baseline of images.

    Args:
        inputs: (N, C, *size).
        baseline: A value; "minimum", the lowest value of each image's channel; or "blurred", the image without detail
            finer than about a twentieth of its longest side.

    Returns:
        (N, C, *size), or what can be broadcast to it.
    """
    if baseline == "minimum":
        return inputs.flatten(start_dim=2).amin(dim=2).reshape(*inputs.shape[:2], *[1] * (inputs.ndim - 2))
    if baseline == "blurred":
        return blurred(inputs, max(inputs.shape[2:]) * _BLUR_SHARE)
    return torch.full((1, 1, *[1] * (inputs.ndim - 2)), float(baseline), dtype=inputs.dtype, device=inputs.device)


def blurred(inputs: Tensor, sigma_px: float) -> Tensor:
    """Images (N, C, *size) through a Gaussian cut off at two deviations, axis by axis, edges repeated."""
    radius = max(math.ceil(sigma_px * _BLUR_RADIUS), 1)
    at = torch.arange(-radius, radius + 1, dtype=inputs.dtype, device=inputs.device)
    kernel = torch.exp(-0.5 * (at / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    smooth = inputs
    for axis in range(2, inputs.ndim):
        lines = smooth.movedim(axis, -1)  # (N, C, ..., L)
        padded = functional.pad(lines.reshape(-1, 1, lines.shape[-1]), (radius, radius), mode="replicate")
        filtered = functional.conv1d(padded, kernel[None, None])  # (lines, 1, L)
        smooth = filtered.reshape(lines.shape).movedim(-1, axis)
    return smooth
