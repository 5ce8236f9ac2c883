import pytest
import torch
from monai.networks.nets import BasicUNet
from pydantic import ValidationError
from torch import nn

from networks.build import build, parameter_count
from networks.configs import UNetConfig
from tests.networks.conftest import NetworkBattery, noise, settled
from tests.networks.unet_transcription import unet

PUBLISHED_3D = UNetConfig(
    spatial_dims=3,
    in_channels=3,
    out_channels=3,
    features=(64, 128, 256, 512),
    normalisation="batch",
    units="doubling",
)


class TestUNet2D(NetworkBattery):
    config = UNetConfig(features=(4, 6, 8, 10, 12), out_channels=3)
    odd_size, size_by_hand = (33, 16), (48, 16)
    published_counts = (
        (7_759_521, UNetConfig()),
        (9_282_246, UNetConfig(features=(35, 70, 140, 280, 560))),
    )


class TestUNet3D(NetworkBattery):
    config = UNetConfig(spatial_dims=3, features=(4, 6, 8), in_channels=2, normalisation="batch", dropout=0.1)
    odd_size, size_by_hand = (7, 10, 9), (8, 12, 12)


class TestPublishedUNet3D(NetworkBattery):
    config = PUBLISHED_3D.model_copy(update={"features": (6, 8, 10, 12)})
    odd_size, size_by_hand = (7, 17, 24), (8, 24, 24)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (UNetConfig(out_channels=2), (32, 48)),
        (UNetConfig(spatial_dims=3, features=(4, 6, 8), in_channels=2), (8, 12, 4)),
        (UNetConfig(spatial_dims=3, features=(4, 6, 8), units="doubling", normalisation="batch"), (8, 12, 16)),
        (UNetConfig(features=(4, 6), units="doubling"), (6, 8)),
    ],
    ids=["published 2D", "3D", "3D with batch normalisation, doubling", "2D doubling"],
)
def test_equals_the_paper_written_out(config: UNetConfig, size: tuple[int, ...]) -> None:
    network = settled(config)
    images = noise(2, config.in_channels, *size)
    with torch.no_grad():
        ours, expected = network(images), unet(network, images, len(config.features))
    assert ours.std() > 0.05
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_3d_unet_has_the_published_layers() -> None:
    """Çiçek et al., figure 2: channels of every convolution, (in, out), in order; three labels out of three colours."""
    network = build(PUBLISHED_3D, device="meta")
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv3d)]
    down = [(3, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512)]
    up = [(64 + 128, 64), (64, 64), (128 + 256, 128), (128, 128), (256 + 512, 256), (256, 256)]
    assert [(part.in_channels, part.out_channels) for part in convolutions] == [*down, *up, (64, 3)]
    raised = [part for part in network.modules() if isinstance(part, nn.ConvTranspose3d)]
    assert [(part.in_channels, part.out_channels) for part in raised] == [(128, 128), (256, 256), (512, 512)]


def test_3d_unet_has_the_published_size_but_for_the_scales_of_its_normalisations() -> None:
    network = build(PUBLISHED_3D, device="meta")
    scales = sum(part.weight.numel() for part in network.modules() if isinstance(part, nn.BatchNorm3d))
    assert scales == 2_336
    assert parameter_count(PUBLISHED_3D) == 19_069_955 + scales


def test_monai_has_no_such_network() -> None:
    """What the docstring says of it: the last up-convolution of `BasicUNet` keeps its channels."""
    theirs = BasicUNet(spatial_dims=2, features=(32, 64, 128, 256, 512, 32), out_channels=1, act="relu", norm=None)
    kept, halved = 64 * 64 * 4 + 64 + (64 + 32) * 32 * 9, 64 * 32 * 4 + 32 + (32 + 32) * 32 * 9
    assert sum(p.numel() for p in theirs.parameters()) == parameter_count(UNetConfig()) + kept - halved == 7_776_961


@pytest.mark.parametrize("config", [UNetConfig(spatial_dims=3), PUBLISHED_3D], ids=["equal", "doubling"])
def test_published_networks_answer_for_every_voxel(config: UNetConfig) -> None:
    network = build(config, device="meta").eval()
    answer = network(torch.empty(1, config.in_channels, 8, 512, 512, device="meta"))
    assert answer.shape == (1, config.out_channels, 8, 512, 512)


def test_training_yields_one_tensor() -> None:
    assert build(UNetConfig(features=(4, 6)))(noise(2, 1, 9, 9)).shape == (2, 1, 9, 9)


def test_dropout_is_the_published_rate_or_none_beside_normalisation() -> None:
    for config, rate in (
        (UNetConfig(features=(4, 6, 8)), 0.5),
        (UNetConfig(features=(4, 6, 8), normalisation="batch"), 0.0),
        (UNetConfig(features=(4, 6, 8), dropout=0.2), 0.2),
    ):
        rates = [part.p for part in build(config).modules() if isinstance(part, nn.Dropout)]
        assert rates == [rate] * 10  # two in each of 5 units


def test_dropout_does_not_change_what_weights_compute() -> None:
    assert UNetConfig(dropout=0.1).identity() == UNetConfig(dropout=0.2).identity()
    assert UNetConfig(units="doubling").identity() != UNetConfig().identity()


def test_doubling_needs_widths_it_can_halve() -> None:
    with pytest.raises(ValidationError, match=r"expected even features with units doubling.*got \(35, 70\)"):
        UNetConfig(features=(35, 70), units="doubling")


def test_every_field_is_described() -> None:
    assert [name for name, field in UNetConfig.model_fields.items() if not field.description] == []
