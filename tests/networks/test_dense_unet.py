import pytest
import torch
from torch import Tensor, nn

from networks.build import build
from networks.configs import DenseNetConfig, DenseUNetConfig
from tests.networks.conftest import NetworkBattery, noise, settled
from tests.networks.dense_transcription import transcription

SMALL = {"block_config": (2, 3, 2, 2), "growth_rate": 4, "init_features": 8, "feature_channels": 8}


class TestDenseUNet(NetworkBattery):
    config = DenseUNetConfig(**SMALL)
    odd_size, size_by_hand = (33, 70), (64, 96)
    published_counts = (
        (49_527_843, DenseUNetConfig()),
        (44_862_339, DenseUNetConfig(skips=False)),
    )


class TestWithoutSkips(NetworkBattery):
    config = DenseUNetConfig(**SMALL, in_channels=1, out_channels=1, skips=False)
    odd_size, size_by_hand = (32, 5), (32, 32)
    published_counts = ((44_862_339, DenseUNetConfig(variant=161, skips=False)),)


class TestThreeBlocks(NetworkBattery):
    config = DenseUNetConfig(block_config=(1, 2, 1), growth_rate=4, init_features=8, feature_channels=4)
    odd_size, size_by_hand = (17, 32), (32, 32)


class TestScseBySum(NetworkBattery):
    config = DenseUNetConfig(**SMALL, scse="sum", checkpointing=True)
    odd_size, size_by_hand = (33, 30), (64, 32)


class TestScseByMax(NetworkBattery):
    config = DenseUNetConfig(**SMALL, in_channels=1, out_channels=2, scse="max")
    odd_size, size_by_hand = (31, 64), (32, 64)


@pytest.mark.parametrize("skips", [True, False])
def test_equals_the_paper_written_out(skips: bool) -> None:
    # 8 -> 16 | 8 -> 20 | 10 -> 18 | 9 -> 17: widths differ at the deepest level only, as in the published network
    config = DenseUNetConfig(**SMALL, skips=skips)
    network = settled(config).double()
    images = noise(2, 3, 64, 96).double()
    with torch.no_grad():
        features, logits = network.features_and_logits(images)
        expected_features, expected = transcription(network.state_dict(), (2, 3, 2, 2), images, skips=skips)
    torch.testing.assert_close(features, expected_features, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    assert torch.equal(network(images), logits)


def test_published_network_has_167_convolutions_and_one_adapter() -> None:
    network = build(DenseUNetConfig(), device="meta")
    assert sum(isinstance(part, nn.Conv2d) for part in network.modules()) == 167
    assert [stage.adapter is not None for stage in network.decoder] == [True, False, False, False, False]
    shapes = [tuple(stage.conv.weight.shape[:2]) for stage in network.decoder]
    assert shapes == [(768, 2208), (384, 768), (96, 384), (96, 96), (64, 96)]
    assert tuple(network.decoder[0].adapter.weight.shape) == (2208, 2112, 1, 1)
    assert [stage.dropout.p for stage in network.decoder] == [0.0, 0.0, 0.0, 0.0, 0.3]


def test_normalisation_constants_are_those_of_the_reference_code() -> None:
    network = build(DenseUNetConfig(**SMALL))
    for part, eps in ((network.encoder, 1.1e-5), (network.decoder, 1e-3)):
        norms = [layer for layer in part.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert norms
        assert {(norm.eps, norm.momentum) for norm in norms} == {(eps, 0.01)}


@pytest.mark.parametrize(
    ("given", "tap_sizes"), [(224, [112, 56, 28, 14, 7]), (512, [256, 128, 64, 32, 16]), (200, [112, 56, 28, 14, 7])]
)
def test_shapes_of_the_published_network(given: int, tap_sizes: list[int]) -> None:
    network = build(DenseUNetConfig(), device="meta").eval()
    padded = torch.empty(2, 3, 32 * tap_sizes[-1], 32 * tap_sizes[-1], device="meta")
    channels = [96, 384, 768, 2112, 2208]
    taps = network.encoder.taps(padded)
    assert [tuple(tap.shape) for tap in taps] == [(2, c, s, s) for c, s in zip(channels, tap_sizes, strict=True)]
    features, logits = network.features_and_logits(torch.empty(2, 3, given, given, device="meta"))
    assert features.shape == (2, 64, given, given)
    assert logits.shape == (2, 3, given, given)


@pytest.mark.parametrize(("variant", "adapts"), [(121, False), (169, True), (201, True)])
def test_other_published_encoders_build(variant: int, adapts: bool) -> None:
    network = build(DenseUNetConfig(variant=variant), device="meta").eval()
    assert [stage.adapter is not None for stage in network.decoder] == [adapts, False, False, False, False]
    assert network(torch.empty(1, 3, 64, 64, device="meta")).shape == (1, 3, 64, 64)


def test_features_of_a_classifier_load_into_the_encoder() -> None:
    widths = {key: SMALL[key] for key in ("block_config", "growth_rate", "init_features")}
    classifier = settled(DenseNetConfig(**widths, out_channels=7))
    network = build(DenseUNetConfig(**SMALL)).eval()
    network.encoder.load_state_dict(classifier.features.state_dict(), strict=True)
    images = noise(1, 3, 64, 64)
    # The two differ in the epsilon of their normalisations (1e-5 and 1.1e-5) and in nothing else.
    torch.testing.assert_close(network.encoder(images), classifier.features(images), rtol=1e-4, atol=1e-4)


def test_encoder_yields_its_last_tap() -> None:
    network = settled(DenseUNetConfig(**SMALL))
    images = noise(1, 3, 64, 32)
    assert torch.equal(network.encoder(images), network.encoder.taps(images)[-1])


def test_new_decoder_weights_have_the_published_spread() -> None:
    network = build(DenseUNetConfig(block_config=(3, 6, 8, 6), growth_rate=16, init_features=32))
    for stage in network.decoder:
        assert stage.conv.weight.std().item() == pytest.approx(0.05, rel=0.03)
        assert not stage.conv.bias.any()
    assert network.head.weight.std().item() == pytest.approx(0.05, rel=0.2)
    fan_in = 3 * 7 * 7
    assert network.encoder.conv0.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)


def test_momentum_can_be_raised_for_short_runs() -> None:
    network = build(DenseUNetConfig(**SMALL, norm_momentum=0.1))
    assert {part.momentum for part in network.modules() if isinstance(part, nn.BatchNorm2d)} == {0.1}


def test_answer_depends_on_both_neighbours() -> None:
    network = settled(DenseUNetConfig(**SMALL))
    slices = noise(1, 3, 32, 32).requires_grad_()
    network(slices).sum().backward()
    assert (slices.grad.abs().amax(dim=(0, 2, 3)) > 0).all()


def test_scse_stands_behind_each_stage() -> None:
    plain, scaled = (settled(DenseUNetConfig(**SMALL, scse=scse)) for scse in ("none", "sum"))
    with torch.no_grad():
        for stage in scaled.decoder:
            for parameter in stage.scse.parameters():
                parameter.zero_()  # gates of one half each, whose sum is one
    scaled.load_state_dict(plain.state_dict(), strict=False)
    images = noise(1, 3, 32, 64)
    torch.testing.assert_close(scaled(images), plain(images))
    for stage in scaled.decoder:
        seen: list[Tensor] = []
        handle = stage.scse.register_forward_hook(lambda _part, given, _answer, seen=seen: seen.append(given[0]))
        with torch.no_grad():
            scaled(images)
        handle.remove()
        assert [given.shape[1] for given in seen] == [stage.conv.out_channels]
        assert seen[0].min() == 0  # behind the ReLU
