"""What a trained network says of whole pictures, put right by two numbers: how sure it is, and from where on.

Crops that are blurred, scaled and brightened are harder than pictures as they come, and Dice asks for too much rather
than too little: a network that learnt from them calls a little too much at one half, and is not sure enough at 0.95.
A factor on the logits and a shift of the background's are chosen on pictures that were learnt from and go into the
head's weights, so that nothing else has to know of them.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from networks.unet import UNet
from networks.unet_plus_plus import UNetPlusPlus
from pipelines.metrics.iou import THRESHOLDS, two_class_iou
from pipelines.nuclei_data import Labelled

FACTORS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
SHIFTS = tuple(0.25 * step for step in range(-2, 13))
# Enough pictures, and of each enough, to tell two settings apart.
_PICTURES, _LARGEST_PX = 120, 384
_DIVISOR = 16
# The thresholds as logits.
_LIMITS = tuple(float(np.log(threshold / (1.0 - threshold))) for threshold in THRESHOLDS)

Logits = NDArray[np.float32]
Seen = tuple[Logits, NDArray[np.bool_]]


def settle(network: nn.Module, learnt: Sequence[Labelled], seed: int = 0) -> tuple[float, float]:
    """Choose factor and shift by the two-class IoU over thresholds, and put them into the head.

    Args:
        network: In eval mode; a UNet++ that answers with its deepest head, or a U-Net. Its head is changed.
        learnt: Pictures that were learnt from, at least one; some of them are looked at.
        seed: Which.

    Returns:
        The factor and the shift that were chosen.
    """
    some = Random(seed).sample(list(learnt), min(_PICTURES, len(learnt)))
    seen = list(_looked_at(network, some))
    # The least change among equals.
    choices = sorted(product(FACTORS, SHIFTS), key=lambda one: (one[0], abs(one[1])))
    factor, shift = max(choices, key=lambda one: _agreement(seen, *one))
    head = head_of(network)
    with torch.no_grad():
        head.weight.mul_(factor)
        assert head.bias is not None  # noqa: S101 - 1x1 heads have one
        head.bias.mul_(factor)
        head.bias[0] += shift
    return factor, shift


def head_of(network: nn.Module) -> nn.Conv2d:
    """The 1x1 convolution that answers.

    Raises:
        TypeError: The network is neither.
    """
    if isinstance(network, UNetPlusPlus):
        head = network.heads[max(network.heads, key=int)]
    elif isinstance(network, UNet):
        head = network.head
    else:
        raise TypeError(f"expected a UNet++ or a U-Net; got {type(network).__name__}")
    if not isinstance(head, nn.Conv2d):
        raise TypeError(f"expected a head in 2D; got {type(head).__name__}")
    return head


def _looked_at(network: nn.Module, cases: Sequence[Labelled]) -> Iterator[Seen]:
    """Logits (3, H, W) and truth (H, W) of each picture, or of its middle."""
    for case in cases:
        window = tuple(_middle(extent) for extent in case.nuclei.shape)
        pixels, truth = case.pixels[:, *window], case.nuclei[window] > 0
        height, width = truth.shape
        image = torch.from_numpy(np.ascontiguousarray(pixels)).float().div_(255.0)[None]
        image = functional.pad(image, (0, -width % _DIVISOR, 0, -height % _DIVISOR), mode="replicate")
        with torch.inference_mode():
            logits = network(image)[0, :, :height, :width].float().numpy()
        yield logits, truth


def _middle(extent: int) -> slice:
    first = max(0, (extent - _LARGEST_PX) // 2)
    return slice(first, first + _LARGEST_PX)


def _agreement(seen: Sequence[Seen], factor: float, shift: float) -> float:
    """Mean over pictures of the two-class IoU over thresholds."""
    return float(np.mean([two_class_iou_of_logits(logits, truth, factor, shift) for logits, truth in seen]))


def two_class_iou_of_logits(logits: Logits, truth: NDArray[np.bool_], factor: float, shift: float) -> float:
    """`two_class_iou` of the probability of a nucleus, once logits are multiplied and background's shifted.

    Args:
        logits: (3, H, W), background first.
        truth: (H, W).
        factor: For all logits.
        shift: Added to background's afterwards.
    """
    # p(nucleus) > t where the sum of exp(factor (logit - background)) over the other classes exceeds
    # t / (1 - t) exp(shift): one logarithm instead of a softmax for each choice.
    margin = np.logaddexp.reduce(factor * (logits[1:] - logits[0]), axis=0) - shift
    return two_class_iou(margin, truth, _LIMITS)
