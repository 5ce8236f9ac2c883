"""UNet++ in two and three dimensions.

Zhou, Siddiquee, Tajbakhsh, Liang, "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA 2018
(arXiv 1807.10165), section 3: node X(i,j) of level i convolves the doubled X(i+1,j-1) beside X(i,0) to X(i,j-1)
(equation 1). 9,041,601 parameters for one channel, one class and one head. The second paper is "UNet++: Redesigning
Skip Connections to Exploit Multiscale Features in Image Segmentation", IEEE TMI 39(6), 2020.

Unit and constants follow the authors' Keras code: 3x3 convolution, ReLU and dropout 0.5, twice, no normalisation; 2x2
transposed convolutions; 1x1 heads on X(0,1) to X(0,4). Heads are listed shallowest first; every one of them is trained.

With an `encoder`, the left column below X(0,0) is a DenseNet, as in the second paper; `networks.unet_encoder` says
which of its maps. Four blocks make five levels below full resolution, and five heads. DenseNet-201 by default.

Deviations, from the reference codes named:

* the heads give logits (authors: sigmoids), so that losses may be computed stably and for several exclusive classes;
* `accurate` averages the probabilities of the heads as the paper says, not their logits, and answers in logits again
  (`mean_of_heads`);
* in evaluation the answer is one tensor. MONAI's `BasicUNetPlusPlus` answers with a list always, and its
  `deep_supervision` prunes nothing; the authors' PyTorch fork trains only one head, and the shallowest;
* any size: padded inside by repeating the edge to a multiple of 16, with an encoder of 32, and cropped;
* L2 regularisation of the authors' layers is the optimiser's business;
* with `normalisation: batch` the unit is convolution without bias, batch normalisation, ReLU and dropout (0 by
  default), twice;
* with an encoder, level 0 exists: X(0,0) is a unit on the image, so that there are heads on X(0,1) to X(0,5). The
  authors' `Xnet` has no X(0,0) with a DenseNet or ResNet, thus one head, on what is raised from X(1,4), a 3x3 one, and
  neither deep supervision nor pruning. Its nodes raise by nearest neighbours, here as in the first paper. Its widths
  are wired one place off: of (256, 128, 64, 32, 16), given coarsest first, level 0 gets 32, level 3 gets 256 and
  level 4, by an index of -1, 16. Here each level gets the width meant for it, 16 to 256.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.configs import UNetPlusPlusConfig
from networks.layers import check_input, convolution, crop_to_size, he_normal, max_pool, pad_to_multiple
from networks.unet_encoder import NestedEncoder
from networks.unet_unit import Unit, up_convolution


class UNetPlusPlus(nn.Module):
    """UNet++ L1 to L4 and of any other depth.

    Attributes:
        encoder: the DenseNet that yields X(1,0) and on; None without one.
        units: the nodes that are units by name, `x_i_j`.
        ups: the up-convolutions by the name of the node they feed.
        heads: 1x1 convolutions by the j of their X(0,j).
    """

    def __init__(self, config: UNetPlusPlusConfig) -> None:
        super().__init__()
        self.config = config
        dims, features, depth = config.spatial_dims, config.features, config.depth
        self.encoder = _encoder(config)
        left = features if self.encoder is None else (features[0], *self.encoder.level_channels)  # of each X(i,0)
        self.units = nn.ModuleDict()
        self.ups = nn.ModuleDict()
        for i in range(depth + 1 if self.encoder is None else 1):
            self.units[f"x_{i}_0"] = Unit(config, left[i - 1] if i else config.in_channels, left[i])
        for i, j in _dense_nodes(depth):
            below = left[i + 1] if j == 1 else features[i + 1]
            self.ups[f"x_{i}_{j}"] = up_convolution(dims, below, features[i])
            self.units[f"x_{i}_{j}"] = Unit(config, left[i] + j * features[i], features[i])
        self.pool = max_pool(dims, 2, stride=2)
        heads = range(1, depth + 1) if config.deep_supervision else (depth,)
        self.heads = nn.ModuleDict({str(j): convolution(dims, features[0], config.out_channels, 1) for j in heads})
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits: of every head while training with deep supervision, else of the network as a whole.

        Args:
            x: (N, in_channels, H, W), or (N, in_channels, D, H, W) with D the slice axis; any size.

        Returns:
            In training mode with deep supervision the list of `head_logits`. Otherwise one tensor
            (N, out_channels, *size): `mean_of_heads` in mode accurate, the last head's logits in mode fast.

        Raises:
            ValueError: if the shape is not that.
        """
        logits = self.head_logits(x)
        if self.training and self.config.deep_supervision:
            return logits
        if self.config.mode == "fast":
            return logits[-1]
        return mean_of_heads(logits, multi_label=self.config.multi_label)

    def head_logits(self, x: Tensor) -> list[Tensor]:
        """Logits of every head there is, X(0,1) first, each (N, out_channels, *size); in any mode.

        Args:
            x: (N, in_channels, *size), any size.

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(x, self.config.spatial_dims, self.config.in_channels)
        size = x.shape[2:]
        nodes = self._nodes(pad_to_multiple(x, self.config.divisor))
        return [crop_to_size(head(nodes[0][int(j)]), size) for j, head in self.heads.items()]

    def _nodes(self, x: Tensor) -> list[list[Tensor]]:
        """Every X(i,j) as `nodes[i][j]`, (N, features[i], *size / 2^i), X(i,0) as wide as the encoder makes it."""
        left = [self.units["x_0_0"](x)]  # (N, features[0], *size)
        if self.encoder is not None:
            left += self.encoder.levels(x)  # each (N, level_channels[i - 1], *size / 2^i)
        else:
            for i in range(1, self.config.depth + 1):
                left.append(self.units[f"x_{i}_0"](self.pool(left[-1])))  # (N, features[i], *size / 2^i)
        nodes = [[node] for node in left]
        for i, j in _dense_nodes(self.config.depth):
            up = self.ups[f"x_{i}_{j}"](nodes[i + 1][j - 1])  # (N, features[i], *size / 2^i)
            joined = torch.cat([up, *nodes[i]], dim=1)  # (N, width of X(i,0) + j * features[i], *size / 2^i)
            nodes[i].append(self.units[f"x_{i}_{j}"](joined))  # (N, features[i], *size / 2^i)
        return nodes

    def pruned(self, level: int) -> "UNetPlusPlus":
        """A smaller network that computes what the head X(0,level) of this one does (section 3, fast mode).

        Nodes X(i,j) with i + j > level are gone, with their parameters, and so are the encoder's stages that fed them;
        those left are copies.

        Args:
            level: 1 to the depth of this network.

        Returns:
            A network of one head, in the same training mode, on the same device and of the same type.

        Raises:
            ValueError: if there is no such head.
        """
        if str(level) not in self.heads:
            raise ValueError(
                f"expected a level with a head, one of {', '.join(self.heads)}, got {level}; "
                "train with deep_supervision: true to have all of them"
            )
        changes = {"level": level, "deep_supervision": False, "mode": "fast"}
        with torch.device("meta"):
            smaller = UNetPlusPlus(self.config.model_copy(update=changes))
        own = self.state_dict()
        smaller.load_state_dict({key: own[key].clone() for key in smaller.state_dict()}, assign=True)
        return smaller.train(self.training)


def mean_of_heads(logits: Sequence[Tensor], *, multi_label: bool) -> Tensor:
    """The mean of the heads' probabilities, as logits.

    Args:
        logits: one tensor (N, C, *size) per head.
        multi_label: whether a class' probability is the sigmoid of its logit, rather than a softmax over classes.

    Returns:
        (N, C, *size), whose sigmoid, or softmax, is the mean of the heads' sigmoids, or softmaxes. For softmax that is
        the logarithm of the mean; for sigmoid log(mean p) - log(mean (1 - p)). Computed without leaving logarithms,
        in float32 at least.
    """
    stacked = torch.stack(list(logits))  # (heads, N, C, *size)
    stacked = stacked.to(torch.promote_types(stacked.dtype, torch.float32))
    if not multi_label:
        log_sum = torch.logsumexp(functional.log_softmax(stacked, dim=2), dim=0)  # (N, C, *size)
        return log_sum - math.log(len(stacked))
    log_yes = torch.logsumexp(functional.logsigmoid(stacked), dim=0)  # (N, C, *size)
    log_no = torch.logsumexp(functional.logsigmoid(-stacked), dim=0)  # (N, C, *size)
    return log_yes - log_no


def _encoder(config: UNetPlusPlusConfig) -> NestedEncoder | None:
    if config.encoder is None:
        return None
    return NestedEncoder(config, config.encoder.widths, checkpointing=config.encoder.checkpointing)


def _dense_nodes(depth: int) -> list[tuple[int, int]]:
    """The (i, j) with j > 0 and i + j <= depth, in an order in which each follows what it is made of."""
    return [(i, j) for j in range(1, depth + 1) for i in range(depth - j + 1)]


Network = UNetPlusPlus
