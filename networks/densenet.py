"""DenseNet in two and three dimensions.

Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017 (arXiv 1608.06993): table
1 for the family, section 3 for the layer order BN-ReLU-conv1-BN-ReLU-conv3, bottleneck 4k and compression 0.5.

Names follow torchvision (`features.denseblock1.denselayer1.norm1.weight`), so published weights load by name.

Deviations from the reference implementations:

* the ReLU after the last normalisation is not in place. torchvision's and torchxrayvision's are, and hooks on
  `features` then see overwritten values or raise (pytorch/vision#4164);
* inputs too small for the halvings (below 29 pixels for four blocks) are padded by their edge to 32, where other
  implementations fail; larger inputs are never padded;
* with `checkpointing` training computes dense layers anew going back instead of keeping their maps (see
  `networks.recompute`), with the same loss, gradients and statistics;
* the weights of a new network are He normal, as torchvision's are, drawn by a generator that `networks.build` seeds.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.configs import DenseNetConfig, DenseWidths
from networks.layers import (
    average_pool,
    batch_norm,
    check_input,
    convolution,
    he_normal,
    max_pool,
    pad_to_size,
    zero_bias,
)
from networks.recompute import recomputed

BOTTLENECK = 4  # section 3, "bottleneck layers": each 1x1 convolution yields 4k maps
COMPRESSION = 2  # section 3, "compression": theta = 0.5


class DenseStyle(NamedTuple):
    """What all layers of a trunk share.

    With `keep_depth` the transitions of a 3D trunk halve height and width only. With `checkpointing` training keeps the
    new channels of each dense layer alone, and makes the rest again going back.
    """

    spatial_dims: int
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1
    dropout: float = 0.0
    keep_depth: bool = False
    checkpointing: bool = False

    @property
    def transition_factors(self) -> tuple[int, ...]:
        """What a transition divides every size by."""
        return (1, 2, 2) if self.keep_depth else (2,) * self.spatial_dims

    def norm(self, channels: int) -> nn.Module:
        """Batch normalisation with these constants."""
        return batch_norm(self.spatial_dims, channels, eps=self.norm_eps, momentum=self.norm_momentum)


class DenseLayer(nn.Sequential):
    """BN-ReLU-1x1-BN-ReLU-3x3; its k new channels are put behind those it was given."""

    def __init__(self, style: DenseStyle, in_channels: int, growth_rate: int) -> None:
        bottleneck = BOTTLENECK * growth_rate
        layers: dict[str, nn.Module] = {
            "norm1": style.norm(in_channels),
            "relu1": nn.ReLU(),
            "conv1": convolution(style.spatial_dims, in_channels, bottleneck, 1, bias=False),
            "norm2": style.norm(bottleneck),
            "relu2": nn.ReLU(),
            "conv2": convolution(style.spatial_dims, bottleneck, growth_rate, 3, bias=False),
        }
        if style.dropout > 0:
            layers["dropout"] = nn.Dropout(style.dropout)
        super().__init__(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *size) to (N, C + k, *size)."""
        return torch.cat([x, self.new_maps(x)], dim=1)  # (N, C + k, *size)

    def new_maps(self, *made: Tensor) -> Tensor:
        """The new channels (N, k, *size) alone, of maps made before, C channels together, each (N, c, *size)."""
        x = torch.cat(made, dim=1) if len(made) > 1 else made[0]  # (N, C, *size)
        for part in self:
            x = part(x)  # (N, 4k, *size), then (N, k, *size)
        return x


class DenseBlock(nn.Sequential):
    """Dense layers in a row: (N, C, *size) to (N, C + layers * k, *size), the raw concatenation.

    With `checkpointing`, while training with gradients, layers are given what was made before piece by piece, since a
    concatenation kept for each of them is what grows with the square of their number. Hooks on a layer itself do not
    run then; those on its parts do.
    """

    def __init__(self, style: DenseStyle, in_channels: int, growth_rate: int, layers: int) -> None:
        super().__init__(
            OrderedDict(
                (f"denselayer{index + 1}", DenseLayer(style, in_channels + index * growth_rate, growth_rate))
                for index in range(layers)
            )
        )
        self.checkpointing = style.checkpointing
        self.random = style.dropout > 0

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, *size) to (N, C + layers * k, *size)."""
        if not (self.checkpointing and self.training and torch.is_grad_enabled()):
            for layer in self:
                x = layer(x)  # k more channels each
            return x
        made = [x]
        for layer in cast(Iterable[DenseLayer], self):
            made.append(recomputed(layer, layer.new_maps, *made, random=self.random))  # (N, k, *size) each
        return torch.cat(made, dim=1)  # (N, C + layers * k, *size)


class Transition(nn.Sequential):
    """BN-ReLU-1x1, mean over windows: (N, C, *size) to (N, out_channels, *size / factors), odd sizes rounded down."""

    def __init__(self, style: DenseStyle, in_channels: int, out_channels: int) -> None:
        super().__init__(
            OrderedDict(
                norm=style.norm(in_channels),
                relu=nn.ReLU(),
                conv=convolution(style.spatial_dims, in_channels, out_channels, 1, bias=False),
                pool=average_pool(style.transition_factors),
            )
        )


class DenseEncoder(nn.Sequential):
    """The convolutional trunk: stem, dense blocks with transitions between them, a last normalisation.

    Attributes:
        tap_channels: channels of each map `taps` yields before the last: the stem's, then each block's but the last's.
        out_channels: channels of the last map.
    """

    def __init__(self, style: DenseStyle, in_channels: int, widths: DenseWidths) -> None:
        channels = widths.init_features
        tap_channels = [channels]
        stages: dict[str, nn.Module] = {
            "conv0": convolution(style.spatial_dims, in_channels, channels, 7, stride=2, bias=False),
            "norm0": style.norm(channels),
            "relu0": nn.ReLU(),
            "pool0": max_pool(style.spatial_dims, 3, stride=2, padding=1),
        }
        last = len(widths.block_config)
        for index, layers in enumerate(widths.block_config, start=1):
            stages[f"denseblock{index}"] = DenseBlock(style, channels, widths.growth_rate, layers)
            channels += layers * widths.growth_rate
            if index < last:
                tap_channels.append(channels)
                stages[f"transition{index}"] = Transition(style, channels, channels // COMPRESSION)
                channels //= COMPRESSION
        stages[f"norm{last + 1}"] = style.norm(channels)  # norm5 in every published network
        super().__init__(OrderedDict(stages))
        self.tap_channels = tuple(tap_channels)
        self.out_channels = channels

    def taps(self, x: Tensor) -> list[Tensor]:
        """Every resolution's map, finest first; `forward` yields the last of them alone.

        Args:
            x: (N, C, *size).

        Returns:
            The stem after its ReLU (N, init, *size / 2), each block but the last as the raw concatenation it is, before
            any normalisation, and last the output of the final normalisation, before a ReLU.
        """
        found = []
        for name, stage in self.named_children():
            if name.startswith("transition"):
                found.append(x)
            x = stage(x)  # conv0, pool0, transition: *size / 2; dense block: more channels
            if name == "relu0":
                found.append(x)  # (N, init, *size / 2)
        return [*found, x]


class DenseNet(nn.Module):
    """DenseNet-121/161/169/201/264 and any other widths.

    `features(x)` is the map before the head: (N, C, *size / 32) after the last normalisation and before the last ReLU,
    which is where KimiaNet pools and where torchvision's attribute of that name ends too.
    """

    def __init__(self, config: DenseNetConfig) -> None:
        super().__init__()
        self.config = config
        style = DenseStyle(config.spatial_dims, dropout=config.dropout, checkpointing=config.checkpointing)
        self.features = DenseEncoder(style, config.in_channels, config.widths)
        self.classifier = nn.Linear(self.features.out_channels, config.out_channels)
        he_normal(self)
        zero_bias(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of whole images.

        Args:
            x: (N, in_channels, H, W), or (N, in_channels, D, H, W) with D the slice axis; any size. With four blocks an
                axis below 29 pixels is padded to 32 by repeating its edge.

        Returns:
            (N, out_channels); (0, out_channels) for an empty batch in evaluation mode.

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(x, self.config.spatial_dims, self.config.in_channels)
        x = self._large_enough(x)
        x = self.features(x)  # (N, C, *size / 32)
        if self.config.rectified:
            x = functional.relu(x)
        x = x.flatten(start_dim=2).mean(dim=2)  # (N, C)
        logits: Tensor = self.classifier(x)  # (N, out_channels)
        return logits

    def _large_enough(self, x: Tensor) -> Tensor:
        """Pad the axes on which a halving would leave nothing."""
        blocks = len(self.config.widths.block_config)
        whole = 2 ** (blocks + 1)  # 32 for four blocks: one pixel is left
        smallest = whole - 3  # 29: two strides round up, the transitions round down
        return pad_to_size(x, [whole if size < smallest else size for size in x.shape[2:]])


Network = DenseNet
