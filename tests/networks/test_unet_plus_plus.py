import pytest
import torch
from torch import Tensor, nn

from networks.build import build, parameter_count
from networks.configs import UNetPlusPlusConfig
from networks.unet_plus_plus import mean_of_heads
from tests.networks.conftest import NetworkBattery, noise, settled
from tests.networks.unet_transcription import unet_plus_plus

SMALL = (4, 6, 8, 10, 12)
ONE_HEAD = {"deep_supervision": False, "mode": "fast"}


class TestUNetPlusPlus2D(NetworkBattery):
    config = UNetPlusPlusConfig(features=SMALL, out_channels=3)
    odd_size, size_by_hand = (33, 16), (48, 16)
    published_counts = (
        (9_041_601, UNetPlusPlusConfig(**ONE_HEAD)),
        (2_204_961, UNetPlusPlusConfig(level=3, **ONE_HEAD)),
        (511_105, UNetPlusPlusConfig(level=2, **ONE_HEAD)),
        (100_961, UNetPlusPlusConfig(level=1, **ONE_HEAD)),
    )


class TestUNetPlusPlus3D(NetworkBattery):
    config = UNetPlusPlusConfig(spatial_dims=3, features=SMALL, in_channels=2, normalisation="batch")
    odd_size, size_by_hand = (7, 20, 17), (16, 32, 32)


class TestOneHead(NetworkBattery):
    config = UNetPlusPlusConfig(features=(4, 6, 8), out_channels=2, normalisation="batch", dropout=0.1, **ONE_HEAD)
    odd_size, size_by_hand = (9, 22), (12, 24)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (UNetPlusPlusConfig(features=(32, 64, 128, 256, 512), out_channels=2), (32, 48)),
        (UNetPlusPlusConfig(features=SMALL, normalisation="batch"), (32, 48)),
        (UNetPlusPlusConfig(features=SMALL, spatial_dims=3), (16, 32, 16)),
        (UNetPlusPlusConfig(features=SMALL, spatial_dims=3, normalisation="batch"), (16, 32, 16)),
    ],
    ids=["published 2D", "2D with batch normalisation", "3D", "3D with batch normalisation"],
)
def test_equals_the_paper_written_out(config: UNetPlusPlusConfig, size: tuple[int, ...]) -> None:
    network = settled(config)
    images = noise(2, 1, *size)
    with torch.no_grad():
        ours, expected = network.head_logits(images), unet_plus_plus(network, images)
    assert len(ours) == 4
    assert min(head.std() for head in ours) > 0.05
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("classes", [1, 3])
def test_accurate_mode_is_the_mean_of_the_probabilities(classes: int) -> None:
    network = settled(UNetPlusPlusConfig(features=SMALL, out_channels=classes)).double()
    images = noise(2, 1, 32, 32).double()
    heads = network.head_logits(images)
    if classes == 1:
        ours, mean = network(images).sigmoid(), torch.stack([head.sigmoid() for head in heads]).mean(dim=0)
    else:
        ours, mean = network(images).softmax(1), torch.stack([head.softmax(1) for head in heads]).mean(dim=0)
    torch.testing.assert_close(ours, mean, rtol=1e-9, atol=1e-12)
    assert (heads[0] - heads[-1]).abs().max() > 0.1


@pytest.mark.parametrize("multi_label", [True, False])
def test_mean_of_certain_heads_stays_finite(multi_label: bool) -> None:
    certain = torch.tensor([500.0, -500.0]).view(1, 2, 1, 1)
    answer = mean_of_heads([certain, certain], multi_label=multi_label)
    assert torch.isfinite(answer).all()
    undecided = mean_of_heads([certain, -certain], multi_label=multi_label)
    probability = undecided.sigmoid() if multi_label else undecided.softmax(1)
    torch.testing.assert_close(probability, torch.full_like(probability, 0.5))


@pytest.mark.parametrize("multi_label", [True, False])
def test_mean_of_one_head_is_that_head(multi_label: bool) -> None:
    logits = noise(2, 3, 4, 4)
    mean = mean_of_heads([logits], multi_label=multi_label)
    before, after = (x.sigmoid() if multi_label else x.softmax(1) for x in (logits, mean))
    torch.testing.assert_close(after, before)


@pytest.mark.parametrize("multi_label", [True, False])
def test_mean_of_coarse_heads_is_not_coarse(multi_label: bool) -> None:
    heads = [noise(1, 3, 8, 8, seed=seed).mul(9).bfloat16() for seed in range(4)]
    mean = mean_of_heads(heads, multi_label=multi_label)
    assert mean.dtype == torch.float32
    exact = mean_of_heads([head.double() for head in heads], multi_label=multi_label)
    torch.testing.assert_close(mean.double(), exact, rtol=1e-5, atol=1e-5)


def test_several_classes_may_be_independent() -> None:
    config = UNetPlusPlusConfig(features=(4, 6), out_channels=3, activation="sigmoid")
    network = settled(config).double()
    images = noise(1, 1, 8, 8).double()
    torch.testing.assert_close(network(images).sigmoid(), network.head_logits(images)[0].sigmoid())


def test_training_yields_every_head_and_evaluation_one_tensor() -> None:
    network = build(UNetPlusPlusConfig(features=SMALL, out_channels=2, dropout=0.0))
    images = noise(1, 1, 20, 20)
    heads = network(images)
    assert isinstance(heads, list)
    assert [head.shape for head in heads] == [(1, 2, 20, 20)] * 4
    torch.testing.assert_close(heads, network.head_logits(images))
    assert isinstance(network.eval()(images), Tensor)


def test_training_one_head_yields_one_tensor() -> None:
    network = build(UNetPlusPlusConfig(features=SMALL, **ONE_HEAD))
    assert list(network.heads) == ["4"]
    assert network(noise(1, 1, 16, 16)).shape == (1, 1, 16, 16)


def test_fast_mode_is_the_last_head() -> None:
    accurate = settled(UNetPlusPlusConfig(features=SMALL))
    fast = settled(UNetPlusPlusConfig(features=SMALL, mode="fast"))
    images = noise(1, 1, 16, 16)
    assert torch.equal(fast(images), accurate.head_logits(images)[-1])


@pytest.mark.parametrize("level", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(21, 40), (5, 16, 20)], ids=["2D", "3D"])
def test_pruned_computes_what_its_head_did(level: int, size: tuple[int, ...]) -> None:
    dims = len(size)
    network = settled(UNetPlusPlusConfig(spatial_dims=dims, features=SMALL, out_channels=2, normalisation="batch"))
    smaller = network.pruned(level)
    images = noise(2, 1, *size)  # 16 does not divide them: a pruned network pads as its parent does
    torch.testing.assert_close(smaller(images), network.head_logits(images)[level - 1], rtol=0, atol=1e-6)
    assert not smaller.training
    assert parameter_count(smaller.config) == sum(parameter.numel() for parameter in smaller.parameters())
    rebuilt = build(smaller.config).eval()
    rebuilt.load_state_dict(smaller.state_dict(), strict=True)
    assert torch.equal(rebuilt(images), smaller(images))


def test_pruned_published_network_has_the_published_size() -> None:
    network = build(UNetPlusPlusConfig())
    counts = [sum(p.numel() for p in network.pruned(level).parameters()) for level in (1, 2, 3, 4)]
    assert counts == [100_961, 511_105, 2_204_961, 9_041_601]


def test_pruned_shares_nothing_with_its_parent() -> None:
    network = settled(UNetPlusPlusConfig(features=SMALL))
    smaller, images = network.pruned(2), noise(1, 1, 16, 16)
    before = smaller(images)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(smaller(images), before)


def test_pruning_needs_a_head() -> None:
    with pytest.raises(ValueError, match="one of 4, got 2; train with deep_supervision"):
        build(UNetPlusPlusConfig(features=SMALL, **ONE_HEAD)).pruned(2)


def test_dropout_is_the_published_rate_or_none_beside_normalisation() -> None:
    for config, rate in (
        (UNetPlusPlusConfig(features=SMALL), 0.5),
        (UNetPlusPlusConfig(features=SMALL, normalisation="batch"), 0.0),
        (UNetPlusPlusConfig(features=SMALL, dropout=0.2), 0.2),
    ):
        rates = [part.p for part in build(config).modules() if isinstance(part, nn.Dropout)]
        assert rates == [rate] * 30  # two in each of 15 nodes
