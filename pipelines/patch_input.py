"""Colour pictures as networks take them: the scale that weights were trained on, as their card tells it."""

import numpy as np
import torch
from torch import Tensor

from networks.checkpoints.published import IMAGENET_MEAN, IMAGENET_STD
from networks.configs import Input
from pipelines.histology.light import Pixels
from pipelines.input_scale import on_scale

IMAGENET = Input(
    scale="[0, 1], then ImageNet mean and standard deviation", channels=3, mean=IMAGENET_MEAN, std=IMAGENET_STD
)
_BRIGHTEST = 255


def as_input(pixels: Pixels, expected: Input) -> Tensor:
    """Patches as a network takes them.

    Args:
        pixels: (N, H, W, 3) uint8, RGB.
        expected: What the network's weights expect of them.

    Returns:
        (N, 3, H, W) float32, channels last in memory.
    """
    shown = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).permute(0, 3, 1, 2).float() / _BRIGHTEST
    return on_scale(shown, expected).contiguous(memory_format=torch.channels_last)
