"""A DenseNet as the left column of a UNet++: what its nodes X(1,0), X(2,0) and on are.

Zhou et al., "UNet++: Redesigning Skip Connections to Exploit Multiscale Features in Image Segmentation", IEEE TMI
39(6), 2020, trains UNet++ with DenseNet-201 among other backbones and leaves open which maps are taken. The authors'
Keras code says it (keras/segmentation_models, skip layers 479, 139, 51 and 4 of `densenet201`): the stem after its
ReLU, and of each transition the compressed output of its 1x1 convolution, before the pooling. So a node sees
normalised, rectified and compressed features, not the raw concatenation of a dense block that a DenseUNet sums.
"""

from torch import Tensor
from torch.nn import functional

from networks.configs import UNetPlusPlusConfig
from networks.configs.dense import DenseWidths
from networks.densenet import COMPRESSION, DenseEncoder, DenseStyle, Transition


class NestedEncoder(DenseEncoder):
    """A DenseNet trunk, without what lies below the deepest level that is built.

    Names are torchvision's, so the `features` of a DenseNet of the same widths load as they are.

    Attributes:
        level_channels: channels of X(1,0), X(2,0) and on.
    """

    def __init__(self, config: UNetPlusPlusConfig, widths: DenseWidths, *, checkpointing: bool) -> None:
        super().__init__(DenseStyle(config.spatial_dims, checkpointing=checkpointing), config.in_channels, widths)
        stem, *blocks = self.tap_channels
        compressed = [channels // COMPRESSION for channels in blocks]
        self.level_channels = (stem, *compressed, self.out_channels)[: config.depth]
        stages = [name for name, _ in self.named_children()]
        deepest = "relu0" if config.depth == 1 else f"transition{config.depth - 1}"
        if deepest in stages:
            for name in stages[stages.index(deepest) + 1 :]:
                delattr(self, name)

    def levels(self, x: Tensor) -> list[Tensor]:
        """X(1,0), X(2,0) and on to the deepest level built, (N, level_channels[i - 1], *size / 2^i).

        Args:
            x: (N, C, *size), a size the levels can halve.
        """
        found: list[Tensor] = []
        for name, stage in self.named_children():
            if isinstance(stage, Transition):
                *compression, pool = stage
                for part in compression:
                    x = part(x)  # (N, level_channels[i - 1], *size / 2^i)
                found.append(x)
                x = pool(x)  # (N, level_channels[i - 1], *size / 2^(i + 1))
            else:
                x = stage(x)  # conv0, pool0: *size / 2; dense block: more channels
            if name == "relu0":
                found.append(x)  # (N, level_channels[0], *size / 2)
        if len(found) < len(self.level_channels):
            found.append(functional.relu(x))  # after the last normalisation: (N, level_channels[-1], *size / 2^i)
        return found
