"""What a network is, as data: one frozen model per network, told apart by `name`. No torch here.

A network lives in the module of its own name (`dense_unet` in `networks/dense_unet.py`), which is where
`networks.build` looks for it. One more network is one more class here and one more member of `NetworkConfig`.

All networks take float tensors (N, C, H, W) in 2D and (N, C, D, H, W) in 3D, D the slice axis. How a volume is fed is
read from three attributes every config has: `spatial_dims`, `in_channels` and `divisor`.
"""

from typing import Annotated

from pydantic import Field

from networks.configs.dense import (
    DENSENET_VARIANTS,
    DenseNetConfig,
    DenseNetVariant,
    DenseUNet3DConfig,
    DenseUNetConfig,
    DenseWidths,
    HDenseUNetConfig,
)
from networks.configs.input import Input
from networks.configs.unets import DenseEncoderConfig, UNetConfig, UNetPlusPlusConfig

__all__ = [
    "DENSENET_VARIANTS",
    "DenseEncoderConfig",
    "DenseNetConfig",
    "DenseNetVariant",
    "DenseUNet3DConfig",
    "DenseUNetConfig",
    "DenseWidths",
    "HDenseUNetConfig",
    "Input",
    "NetworkConfig",
    "UNetConfig",
    "UNetPlusPlusConfig",
]

NetworkConfig = Annotated[
    DenseNetConfig | DenseUNetConfig | DenseUNet3DConfig | HDenseUNetConfig | UNetConfig | UNetPlusPlusConfig,
    Field(discriminator="name"),
]
"""Any network; a YAML's `name` decides which."""
