"""Compact networks of every kind, and all that they answer, for the tests of rewriting."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from networks.configs import (
    DenseEncoderConfig,
    DenseNetConfig,
    DenseUNet3DConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetConfig,
    UNetPlusPlusConfig,
)
from networks.dense_unet import DenseUNet
from networks.dense_unet_3d import DenseUNet3D
from networks.densenet import DenseNet
from networks.h_dense_unet import HDenseUNet
from networks.unet_plus_plus import UNetPlusPlus
from tests.networks.conftest import settled

TRUNK = {"block_config": (2, 2, 1, 2), "growth_rate": 6, "init_features": 8}
SMALL = TRUNK | {"feature_channels": 8}
LEVELS = {"features": (4, 6, 8), "out_channels": 2}


def hybrid(**changes: Any) -> HDenseUNetConfig:
    skips = changes.pop("skips", True)
    return HDenseUNetConfig(
        slice_network=DenseUNetConfig(**SMALL, skips=skips),
        volume_network=DenseUNet3DConfig(**SMALL, in_channels=4, skips=skips),
        **({"context_scale": 1.0} | changes),
    )


CASES: dict[str, tuple[NetworkConfig, tuple[int, ...]]] = {
    "densenet": (DenseNetConfig(out_channels=3, dropout=0.2, **TRUNK), (2, 3, 45, 61)),
    "densenet below 29 pixels": (DenseNetConfig(out_channels=3, **TRUNK), (2, 3, 28, 40)),
    "densenet 3d": (DenseNetConfig(out_channels=2, spatial_dims=3, in_channels=1, **TRUNK), (2, 1, 33, 30, 45)),
    "dense_unet": (DenseUNetConfig(**SMALL), (2, 3, 33, 50)),
    "dense_unet without skips": (DenseUNetConfig(**SMALL, skips=False, in_channels=1), (2, 1, 33, 50)),
    "dense_unet scse sum": (DenseUNetConfig(**SMALL, scse="sum"), (2, 3, 32, 32)),
    "dense_unet scse max": (DenseUNetConfig(**SMALL, scse="max", skips=False), (1, 3, 33, 32)),
    "dense_unet_3d": (DenseUNet3DConfig(**SMALL), (1, 1, 5, 33, 50)),
    "dense_unet_3d without skips": (DenseUNet3DConfig(**SMALL, skips=False, in_channels=4), (2, 4, 3, 32, 33)),
    "h_dense_unet": (hybrid(), (1, 1, 5, 33, 40)),
    "h_dense_unet as released": (hybrid(context="logits", skips=False), (1, 1, 4, 32, 32)),
    "unet": (UNetConfig(**LEVELS), (2, 1, 17, 22)),
    "unet doubling 3d": (
        UNetConfig(**LEVELS, spatial_dims=3, normalisation="batch", units="doubling"),
        (1, 1, 6, 9, 12),
    ),
    "unet_plus_plus": (UNetPlusPlusConfig(**LEVELS), (2, 1, 17, 22)),
    "unet_plus_plus batch 3d": (
        UNetPlusPlusConfig(**LEVELS, spatial_dims=3, normalisation="batch", mode="fast"),
        (1, 1, 6, 9, 12),
    ),
    "unet_plus_plus with encoder": (
        UNetPlusPlusConfig(in_channels=3, features=(4, 6, 8, 8, 8), encoder=DenseEncoderConfig(**TRUNK)),
        (2, 3, 33, 50),
    ),
    "unet_plus_plus cut at a transition": (
        UNetPlusPlusConfig(in_channels=3, level=2, features=(4, 6, 8, 8, 8), encoder=DenseEncoderConfig(**TRUNK)),
        (2, 3, 33, 50),
    ),
}


def lively(config: NetworkConfig) -> nn.Module:
    """Settled, with biases everywhere and factors of both signs and of zero."""
    network = settled(config)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
                part.weight[::3] *= -1
                part.weight[1::5] = 0
            elif getattr(part, "bias", None) is not None:
                part.bias.normal_(0.0, 0.2, generator=generator)
    return network


def answers(network: nn.Module, x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """All that a network's public methods say."""
    yield "forward", network(x)
    if isinstance(network, DenseNet):
        yield "features", network.features(x if min(x.shape[2:]) > 28 else x.repeat(1, 1, 2, 2))
    if isinstance(network, DenseUNet | DenseUNet3D):
        yield from zip(("features", "logits"), network.features_and_logits(x), strict=True)
    if isinstance(network, UNetPlusPlus):
        for index, logits in enumerate(network.head_logits(x)):
            yield f"head {index}", logits
    if isinstance(network, HDenseUNet):
        yield from network.head_logits(x)._asdict().items()
        generator = torch.Generator().manual_seed(1)
        drawn = {
            name: torch.randn(shape, generator=generator).to(x.dtype)
            for name, shape in {"between": (1, 3, 3, 32, 33), "slices": (2, 3, 32, 64)}.items()
        }
        yield "logits_between", network.logits_between(drawn["between"])
        maps = network.slice_maps(drawn["slices"])
        yield "slice_maps", maps
        stacked = torch.stack([maps, maps.flip(-1)], dim=2)  # (2, 1 + classes + features, 2, 32, 64)
        stacked = torch.cat([stacked, stacked], dim=2)
        before = stacked.clone()
        yield "fuse", network.fuse(stacked[:, :4], stacked[:, 4:])
        assert torch.equal(stacked, before)
