"""The same network, quicker to go back through once nothing is learnt any more.

Explanations take gradients with respect to inputs and maps inside, many times and with weights that stay. Only what
changes neither those maps nor their gradients is rewritten: a normalisation behind a convolution goes into its weights
and bias, and leaves a place that does nothing. Names and places of all modules stay, every ReLU too, so that hooks and
methods that change how a ReLU goes back find what they look for.
"""

import copy
from typing import cast

import torch
from torch import nn

from networks.dense_decoder import UpStage
from networks.densenet import DenseEncoder, DenseLayer
from networks.folding import fold_behind
from networks.h_dense_unet import HybridFusion
from networks.layers import Convolution
from networks.unet_unit import Unit

# Convolutions and the normalisations behind them, by what holds both.
_PAIRS: tuple[tuple[type[nn.Module], tuple[tuple[str, str], ...]], ...] = (
    (DenseEncoder, (("conv0", "norm0"),)),
    (DenseLayer, (("conv1", "norm2"),)),
    (Unit, (("conv1", "norm1"), ("conv2", "norm2"))),
    (UpStage, (("conv", "norm"),)),
    (HybridFusion, (("conv", "norm"),)),
)


def for_gradients(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode that computes the same, gradients included, up to rounding.

    Args:
        network: As it was built; modules of which nothing is known are copied as they are.

    Returns:
        The copy, whose parameters ask for no gradients. It must not be trained, nor saved as weights.
    """
    rewritten = copy.deepcopy(network).eval().requires_grad_(False)
    with torch.no_grad():
        for part in rewritten.modules():
            for kind, pairs in _PAIRS:
                if isinstance(part, kind):
                    for convolution, normalisation in pairs:
                        _fold(part, convolution, normalisation)
    for parameter in rewritten.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim == 4:  # Kernels of images decide the layout of all maps; those of volumes are left.
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return rewritten


def _fold(part: nn.Module, convolution: str, normalisation: str) -> None:
    norm = getattr(part, normalisation, None)
    if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
        fold_behind(cast(Convolution, getattr(part, convolution)), norm)
        setattr(part, normalisation, nn.Identity())
