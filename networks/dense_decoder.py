"""The way up of a DenseUNet, in two and three dimensions.

Li et al., IEEE TMI 37(12), 2018, section III-B and table I; constants from the authors' Keras code. Long connections
are sums. Where a tap is as wide as what it is added to nothing is needed; elsewhere a 1x1 convolution adapts it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from networks.layers import Convolution, batch_norm, convolution, zero_bias
from networks.scse import SpatialChannelSqueezeExcite

ENCODER_NORM_EPS = 1.1e-5  # authors' denseunet.py, denseunet3d.py
DECODER_NORM_EPS = 1e-3  # default of BatchNormalization in Keras 2.0.8, which the authors' decoders use
DECODER_SIGMA = 0.05  # RandomNormal of Keras 2.0.8, "kernel_initializer=normal" in denseunet.py


@dataclass(frozen=True)
class DecoderPlan:
    """What a decoder is made of, deepest stage first.

    Attributes:
        factors: Per stage, by what each spatial axis grows.
        widths: Channels before the first stage and after each: one more than there are stages.
        taps: Channels of the taps summed in, one per stage but the last; empty without long connections.
        dropout: Rate of the last stage, the only one that has any.
        norm_momentum: Of every normalisation.
        scse: Recalibration behind every stage.
    """

    factors: tuple[tuple[int, ...], ...]
    widths: tuple[int, ...]
    taps: tuple[int, ...]
    dropout: float
    norm_momentum: float
    scse: Literal["none", "sum", "max"] = "none"


class UpStage(nn.Module):
    """Nearest-neighbour growth, a long connection by summation, 3x3 convolution, dropout, normalisation, ReLU."""

    def __init__(self, plan: DecoderPlan, index: int) -> None:
        super().__init__()
        self.factors = plan.factors[index]
        dims, (wide, narrow) = len(self.factors), plan.widths[index : index + 2]
        tap = plan.taps[index] if index < len(plan.taps) else None
        last = index == len(plan.factors) - 1
        self.adapter = convolution(dims, tap, wide, 1) if tap is not None and tap != wide else None
        self.conv = convolution(dims, wide, narrow, 3)
        self.dropout = nn.Dropout(plan.dropout if last else 0.0)
        self.norm = batch_norm(dims, narrow, eps=DECODER_NORM_EPS, momentum=plan.norm_momentum)
        self.scse = None if plan.scse == "none" else SpatialChannelSqueezeExcite(dims, narrow, plan.scse)

    def forward(self, x: Tensor, tap: Tensor | None) -> Tensor:
        """(N, wide, *size), and perhaps a tap (N, tap, *size * factors), to (N, narrow, *size * factors)."""
        factors = [float(factor) for factor in self.factors]
        x = functional.interpolate(x, scale_factor=factors, mode="nearest")  # (N, wide, *size * factors)
        if tap is not None:
            x = x + (tap if self.adapter is None else self.adapter(tap))
        x = self.dropout(self.conv(x))  # (N, narrow, *size * factors)
        x = functional.relu(self.norm(x))
        return x if self.scse is None else self.scse(x)


def decoder(plan: DecoderPlan) -> nn.ModuleList:
    """The stages of a plan, deepest first."""
    return nn.ModuleList(UpStage(plan, index) for index, _ in enumerate(pairwise(plan.widths)))


def climb(stages: nn.ModuleList, x: Tensor, taps: Sequence[Tensor]) -> Tensor:
    """Send the output of an encoder's last normalisation up through all stages.

    Args:
        stages: What `decoder` made.
        x: (N, C, *size), before the ReLU.
        taps: Finest first, one per stage but the last; none without long connections.

    Returns:
        (N, feature_channels, *size * all factors).
    """
    x = functional.relu(x)
    connections: list[Tensor | None] = [*reversed(taps)]
    connections += [None] * (len(stages) - len(taps))
    for stage, tap in zip(stages, connections, strict=True):
        x = stage(x, tap)  # larger by the stage's factors
    return x


def keras_normal(*parts: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.05^2) as the authors' decoders do, zero their biases."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, Convolution):
                nn.init.normal_(module.weight, std=DECODER_SIGMA)
                zero_bias(module.bias)
