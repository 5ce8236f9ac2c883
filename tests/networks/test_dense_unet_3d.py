import pytest
import torch
from torch import nn

from networks.build import build, parameter_count
from networks.configs import DenseUNet3DConfig
from tests.networks.conftest import NetworkBattery, noise, settled
from tests.networks.dense_transcription import transcription

SMALL = {"block_config": (1, 2, 2, 1), "growth_rate": 4, "init_features": 8, "feature_channels": 8}


class TestDenseUNet3D(NetworkBattery):
    config = DenseUNet3DConfig(**SMALL)
    odd_size, size_by_hand = (5, 33, 30), (8, 64, 32)


class TestWithoutSkips(NetworkBattery):
    config = DenseUNet3DConfig(**SMALL, in_channels=4, out_channels=2, skips=False)
    odd_size, size_by_hand = (3, 32, 17), (4, 32, 32)
    published_counts = (
        (15_977_467, DenseUNet3DConfig(in_channels=4, skips=False)),
        (15_878_683, DenseUNet3DConfig(in_channels=1, skips=False)),
    )


@pytest.mark.parametrize("skips", [True, False])
def test_equals_the_layer_table_written_out(skips: bool) -> None:
    network = settled(DenseUNet3DConfig(**SMALL, in_channels=4, skips=skips)).double()
    volume = noise(1, 4, 8, 32, 64).double()
    with torch.no_grad():
        expected_features, expected = transcription(network.state_dict(), (1, 2, 2, 1), volume, skips=skips)
        features, logits = network.features_and_logits(volume)
    torch.testing.assert_close(features, expected_features, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)


def test_long_connections_make_the_65_convolutions_of_the_name() -> None:
    with_skips, without = (build(DenseUNet3DConfig(skips=skips), device="meta") for skips in (True, False))
    convolutions = [sum(isinstance(part, nn.Conv3d) for part in net.modules()) for net in (with_skips, without)]
    assert convolutions == [65, 64]
    assert [stage.adapter is not None for stage in with_skips.decoder] == [True, False, False, False, False]
    assert tuple(with_skips.decoder[0].adapter.weight.shape) == (504, 496, 1, 1, 1)
    widths = [[tuple(stage.conv.weight.shape[:2]) for stage in net.decoder] for net in (with_skips, without)]
    assert widths[0] == [(224, 504), (192, 224), (96, 192), (96, 96), (64, 96)]
    assert widths[1] == [(504, 504), (224, 504), (192, 224), (96, 192), (64, 96)]


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("size", [(8, 512, 512), (12, 224, 224), (5, 100, 90)])
def test_shapes_of_the_published_network(size: tuple[int, ...], skips: bool) -> None:
    network = build(DenseUNet3DConfig(in_channels=4, skips=skips), device="meta").eval()
    features, logits = network.features_and_logits(torch.empty(1, 4, *size, device="meta"))
    assert features.shape == (1, 64, *size)
    assert logits.shape == (1, 3, *size)


def test_slices_are_halved_by_stem_and_pooling_alone() -> None:
    network = build(DenseUNet3DConfig(), device="meta").eval()
    taps = network.encoder.taps(torch.empty(1, 1, 8, 224, 224, device="meta"))
    assert [tuple(tap.shape[1:]) for tap in taps] == [
        (96, 4, 112, 112),
        (192, 2, 56, 56),
        (224, 2, 28, 28),
        (496, 2, 14, 14),
        (504, 2, 7, 7),
    ]


def test_normalisation_constants_are_those_of_the_reference_code() -> None:
    network = build(DenseUNet3DConfig(**SMALL))
    for part, eps in ((network.encoder, 1.1e-5), (network.decoder, 1e-3)):
        norms = [layer for layer in part.modules() if isinstance(layer, nn.BatchNorm3d)]
        assert norms
        assert {(norm.eps, norm.momentum) for norm in norms} == {(eps, 0.01)}


def test_narrowing_the_decoder_saves_more_than_the_adapter_costs() -> None:
    # conv_up0 to conv_up3 with and without long connections, the adapter, and each one's normalisation.
    wide = [(504, 504), (504, 224), (224, 192), (192, 96)]
    narrow = [(504, 224), (224, 192), (192, 96), (96, 96)]
    saved = sum(27 * a * b + 3 * b for a, b in wide) - sum(27 * a * b + 3 * b for a, b in narrow)
    adapter = 496 * 504 + 504
    without, with_skips = (parameter_count(DenseUNet3DConfig(skips=skips)) for skips in (False, True))
    assert without - with_skips == saved - adapter
