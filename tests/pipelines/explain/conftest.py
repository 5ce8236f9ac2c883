"""What tests of explanations share: networks with settled normalisations, noise, and cheap settings of every method."""

from typing import Any

import pytest
import torch
from torch import nn

from networks.configs import DenseNetConfig, DenseUNet3DConfig, DenseUNetConfig, HDenseUNetConfig, UNetConfig
from networks.configs import UNetPlusPlusConfig as UNetPlusPlus
from tests.networks.conftest import settled
from tests.pipelines.explain import scenes

FEW = {"block_config": (2, 2), "growth_rate": 6, "init_features": 8}
TRUNK = {"block_config": (1, 2, 2, 1), "growth_rate": 4, "init_features": 8}

NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "densenet": (DenseNetConfig(**FEW, in_channels=3, out_channels=4), (45, 64)),
    "densenet_3d": (DenseNetConfig(**FEW, in_channels=1, out_channels=4, spatial_dims=3), (12, 24, 33)),
    "unrectified": (DenseNetConfig(**FEW, in_channels=3, out_channels=4, rectified=False), (40, 36)),
    "dense_unet": (DenseUNetConfig(**TRUNK, in_channels=3, out_channels=3), (40, 64)),
    "dense_unet_3d": (DenseUNet3DConfig(**TRUNK, feature_channels=8, in_channels=1, out_channels=3), (3, 40, 32)),
    "h_dense_unet": (
        HDenseUNetConfig(
            slice_network=DenseUNetConfig(**TRUNK, feature_channels=8),
            volume_network=DenseUNet3DConfig(**TRUNK, feature_channels=8, in_channels=4),
        ),
        (3, 32, 32),
    ),
    "unet": (UNetConfig(features=(4, 8, 16), in_channels=1, out_channels=3), (21, 32)),
    "unet_3d": (UNetConfig(features=(4, 8, 8), spatial_dims=3, in_channels=1, out_channels=3), (7, 16, 12)),
    "unet_plus_plus": (UNetPlusPlus(features=(4, 8, 8, 8), in_channels=1, out_channels=3), (21, 32)),
    "nested_densenet": (
        UNetPlusPlus(encoder=TRUNK, features=(4, 4, 4, 4, 4), in_channels=1, out_channels=3),
        (40, 32),
    ),
}

# As little work as shows what is to be shown.
CHEAP: dict[str, dict[str, Any]] = {
    "smooth_grad": {"samples": 3, "noise": 0.1},
    "integrated_gradients": {"steps": 4, "tolerance": None},
    "occlusion": {"window": 20},
    "rise": {"masks": 12},
    "dix": {"steps": 2},
}


@pytest.fixture(scope="session")
def classifier() -> nn.Module:
    """A DenseNet that tells bright from dark discs."""
    return scenes.trained_classifier()


def network_and_inputs(name: str, images: int, seed: int = 0) -> tuple[Any, torch.Tensor]:
    """A network of each sort, in evaluation mode, and images for it: noise over a ramp that is each image's own.

    All in float64, so that what is alike but for rounding cannot hide what is not.
    """
    config, size = NETWORKS[name]
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(images, config.in_channels, *size, generator=generator, dtype=torch.float64)
    slopes = torch.randn(images, config.in_channels, *[1] * len(size), generator=generator, dtype=torch.float64)
    return settled(config).double(), noise + 4 * slopes * torch.linspace(-1, 1, size[-1], dtype=torch.float64)
