"""U-Nets in two and three dimensions, against which UNet++ is measured.

With `units: equal` the U-Net and the wide U-Net of Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image
Segmentation", DLMIA 2018 (arXiv 1807.10165), table 2, after Ronneberger et al., MICCAI 2015 (arXiv 1505.04597): widths
32 to 512, 7,759,521 parameters for one channel and one class, and `features: [35, 70, 140, 280, 560]`, 9,282,246
(the authors' code; 9.13 million in the paper, which their widths do not give).

With `units: doubling` the 3D U-Net of Çiçek, Abdulkadir, Lienkamp, Brox, Ronneberger, "3D U-Net: Learning Dense
Volumetric Segmentation from Sparse Annotation", MICCAI 2016 (arXiv 1606.06650), section 2: channels double before each
pooling, in the second convolution of a unit going down, and up-convolutions keep theirs. `spatial_dims: 3,
features: [64, 128, 256, 512], normalisation: batch, units: doubling`. The paper counts 19,069,955 parameters for three
channels and three classes. That is up-convolutions without bias and one number per normalised channel. Text and network
have two of them, scale and offset: 19,072,291 parameters, 2,336 more.

Deviations, from the reference codes named:

* the head gives logits (authors: sigmoid or softmax);
* any size: padded inside by repeating the edge, and cropped;
* Çiçek et al. convolve without padding, so that 132 x 132 x 116 voxels in are 44 x 44 x 28 out, and normalise with the
  statistics of the image at hand in evaluation too, in batches of one. Here an answer is as large as its image, and
  evaluation uses running statistics, so that it depends neither on the batch nor on the window;
* L2 regularisation of the authors' layers is the optimiser's business;
* `normalisation: batch` with `units: equal` is the same unit as in UNet++ (`networks.unet_unit`).

MONAI has no network that is one of these. Its `BasicUNet` normalises by instance and has leaky ReLUs; told to do
neither, it still keeps the channels in its last up-convolution and has 7,776,961 parameters at the first widths. Its
`UNet` halves by strided convolutions, has one of them per level, and PReLUs.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from networks.configs import UNetConfig
from networks.layers import check_input, convolution, crop_to_size, he_normal, max_pool, pad_to_multiple
from networks.unet_unit import Unit, up_convolution


class UNet(nn.Module):
    """U-Net, wide U-Net, 3D U-Net.

    Attributes:
        analysis: the units going down, finest first.
        ups: the up-convolutions, finest first: `ups[i]` leads from level i + 1 to level i.
        synthesis: the units going up, finest first.
        head: 1x1 convolution.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        dims, features = config.spatial_dims, config.features
        doubling = config.units == "doubling"
        self.analysis, self.ups, self.synthesis = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for before, width in pairwise((config.in_channels, *features)):
            self.analysis.append(Unit(config, before, width, middle=width // 2 if doubling else width))
        for fine, coarse in pairwise(features):
            raised = coarse if doubling else fine
            self.ups.append(up_convolution(dims, coarse, raised, bias=not doubling))
            self.synthesis.append(Unit(config, raised + fine, fine))
        self.pool = max_pool(dims, 2, stride=2)
        self.head = convolution(dims, features[0], config.out_channels, 1)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits.

        Args:
            x: (N, in_channels, H, W), or (N, in_channels, D, H, W) with D the slice axis; any size.

        Returns:
            (N, out_channels, *size); an empty batch gives an empty batch in evaluation mode.

        Raises:
            ValueError: if the shape is not that.
        """
        check_input(x, self.config.spatial_dims, self.config.in_channels)
        size = x.shape[2:]
        x = pad_to_multiple(x, self.config.divisor)  # (N, in_channels, *size')
        skips: list[Tensor] = []
        for level, unit in enumerate(self.analysis):
            x = unit(self.pool(x) if level else x)  # (N, features[level], *size' / 2^level)
            skips.append(x)
        for level in reversed(range(len(self.ups))):
            raised = self.ups[level](x)  # (N, ..., *size' / 2^level)
            x = torch.cat([raised, skips[level]], dim=1)  # (N, ... + features[level], *size' / 2^level)
            x = self.synthesis[level](x)  # (N, features[level], *size' / 2^level)
        return crop_to_size(self.head(x), size)  # (N, out_channels, *size)


Network = UNet
