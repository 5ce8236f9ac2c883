"""What all U-Nets here are made of: a unit of two convolutions, and the up-convolution between two levels.

Constants and order follow the authors' Keras code of UNet++ (keras/helper_functions.py), which builds its U-Nets of the
same parts: 3x3 convolution, ReLU and dropout, twice; 2x2 transposed convolutions.
"""

from collections import OrderedDict

from torch import nn

from networks.configs.unets import UnitsConfig
from networks.layers import batch_norm, convolution, zero_bias


class Unit(nn.Sequential):
    """Two 3x3 convolutions, each with what follows it: (N, in_channels, *size) to (N, out_channels, *size).

    Convolution, ReLU, dropout; or convolution without bias, batch normalisation, ReLU, dropout. The first convolution
    yields `middle` channels, as many as the second unless that is given.
    """

    def __init__(self, config: UnitsConfig, in_channels: int, out_channels: int, middle: int | None = None) -> None:
        dims, normalised = config.spatial_dims, config.normalisation == "batch"
        widths = (in_channels, middle or out_channels, out_channels)
        layers: dict[str, nn.Module] = {}
        for index in (1, 2):
            layers[f"conv{index}"] = convolution(dims, widths[index - 1], widths[index], 3, bias=not normalised)
            if normalised:
                layers[f"norm{index}"] = batch_norm(dims, widths[index])
            layers[f"relu{index}"] = nn.ReLU()
            layers[f"dropout{index}"] = nn.Dropout(config.dropout_rate)
        super().__init__(OrderedDict(layers))


def up_convolution(
    spatial_dims: int, in_channels: int, out_channels: int, *, bias: bool = True
) -> nn.ConvTranspose2d | nn.ConvTranspose3d:
    """A transposed convolution of kernel and stride 2: (N, in_channels, *size) to (N, out_channels, *size * 2).

    Its weights are Glorot uniform and its bias zero, the Keras default, which the authors of UNet++ left as it is.
    """
    kind = nn.ConvTranspose2d if spatial_dims == 2 else nn.ConvTranspose3d
    up = kind(in_channels, out_channels, kernel_size=2, stride=2, bias=bias)
    nn.init.xavier_uniform_(up.weight)
    zero_bias(up.bias)
    return up
