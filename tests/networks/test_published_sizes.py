import pytest
import torch
from torch import Tensor, nn

from networks.build import build
from networks.configs import (
    DenseNetConfig,
    DenseUNet3DConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetConfig,
    UNetPlusPlusConfig,
)

SLICES = ((224, 224), (512, 512), (333, 200))
VOLUMES = ((8, 512, 512), (3, 75, 100))
CUBES = ((64, 64, 64), (48, 100, 75))
RELEASED = HDenseUNetConfig(
    slice_network=DenseUNetConfig(skips=False),
    volume_network=DenseUNet3DConfig(in_channels=4, skips=False),
    context="logits",
)
# Every full-size network, at the sizes of its use. Parameters are counted in each network's own tests.
PUBLISHED: dict[str, tuple[NetworkConfig, tuple[tuple[int, ...], ...]]] = {
    "DenseNet-121": (DenseNetConfig(out_channels=14), (*SLICES, (28, 28))),
    "DenseNet-161": (DenseNetConfig(variant=161, out_channels=1000), ((224, 224),)),
    "DenseNet-169": (DenseNetConfig(variant=169, out_channels=1), ((333, 200),)),
    "DenseNet-201": (DenseNetConfig(variant=201, out_channels=1000), ((224, 224),)),
    "DenseNet-264": (DenseNetConfig(variant=264, out_channels=1000), ((224, 224),)),
    "DenseNet-121 3D": (DenseNetConfig(spatial_dims=3, in_channels=1, out_channels=2), CUBES),
    "DenseUNet-167": (DenseUNetConfig(), SLICES),
    "DenseUNet-167, scSE": (DenseUNetConfig(scse="sum"), ((333, 200),)),
    "DenseUNet, no skips": (DenseUNetConfig(skips=False, in_channels=1), ((333, 200),)),
    "DenseUNet-65": (DenseUNet3DConfig(), VOLUMES),
    "DenseUNet-65, no skips": (DenseUNet3DConfig(in_channels=4, skips=False), VOLUMES),
    "H-DenseUNet": (HDenseUNetConfig(), VOLUMES),
    "UNet++": (UNetPlusPlusConfig(out_channels=3), SLICES),
    "UNet++ 3D": (UNetPlusPlusConfig(spatial_dims=3, mode="fast"), CUBES),
    "U-Net": (UNetConfig(), SLICES),
    "wide U-Net": (UNetConfig(features=(35, 70, 140, 280, 560)), SLICES),
}


def shapes(network: nn.Module, config: NetworkConfig, size: tuple[int, ...]) -> set[tuple[int, ...]]:
    output = network(torch.empty(2, config.in_channels, *size, device="meta"))
    return {tuple(part.shape) for part in ([output] if isinstance(output, Tensor) else output)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_answer_at_every_size(name: str) -> None:
    config, sizes = PUBLISHED[name]
    network = build(config, device="meta")
    answers = {size: (2, config.out_channels, *(() if isinstance(config, DenseNetConfig) else size)) for size in sizes}
    for size in sizes:
        assert shapes(network, config, size) == {answers[size]}
    assert shapes(network.eval(), config, sizes[-1]) == {answers[sizes[-1]]}


def normalised(network: nn.Module, part: str = "") -> int:
    """Channels of all normalisations of a network, or of those whose name has a part."""
    return sum(
        norm.num_features
        for name, norm in network.named_modules()
        if isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d) and part in name
    )


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (DenseUNetConfig(), 49_970_531),
        (DenseUNetConfig(skips=False), 45_305_027),
        (DenseUNet3DConfig(in_channels=4, skips=False), 16_028_683),
        (RELEASED, 61_444_817),
    ],
    ids=["DenseUNet-167", "DenseUNet, no skips", "DenseUNet-65, no skips", "H-DenseUNet as released"],
)
def test_all_numbers_of_the_keras_networks_are_accounted_for(config: NetworkConfig, published: int) -> None:
    """There running means and variances count too, and each normalisation going down has a second affine map."""
    network = build(config, device="meta")
    trained = sum(parameter.numel() for parameter in network.parameters())
    assert trained + 2 * normalised(network) + 2 * normalised(network, "encoder.") == published


def test_encoder_of_densenet_161_has_the_published_numbers() -> None:
    encoder = build(DenseUNetConfig(), device="meta").encoder
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 26_472_000
    assert 26_472_000 + 4 * normalised(encoder) == 26_911_872  # of the Keras encoder, counted as above
