"""The naive peers of the benchmark compute what our networks compute: two writings of the same layer tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks import _peers as peers
from benchmarks._cases import CASES, RELEASED, contestants, scaled_weights, with_checkpointing
from benchmarks._hybrid_volume import equal_labels
from networks.build import build, parameter_count
from networks.configs import (
    DenseNetConfig,
    DenseUNet3DConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetConfig,
    UNetPlusPlusConfig,
)
from tests.networks.conftest import noise, settled

BLOCKS = (1, 2, 3, 2)
WIDTHS = {"block_config": BLOCKS, "growth_rate": 6, "init_features": 8, "feature_channels": 8}
FEATURES = (4, 6, 8, 10, 12)


def _hybrid(**changes: object) -> HDenseUNetConfig:
    flat = DenseUNetConfig(**WIDTHS, skips=False, dropout=0.0)
    deep = DenseUNet3DConfig(**WIDTHS, in_channels=4, skips=False)
    return HDenseUNetConfig(slice_network=flat, volume_network=deep, context="logits", dropout=0.0, **changes)


def _hybrid_heads(layers: peers.Layers, x: Tensor) -> list[Tensor]:
    kind = peers.Hybrid(slice_blocks=BLOCKS, volume_blocks=BLOCKS, dropout=0.0)
    return list(reversed(peers.hybrid_window(layers, x, kind)))


def _dense(skips: bool) -> Callable[[peers.Layers, Tensor], list[Tensor]]:
    return lambda layers, x: [peers.dense_unet(layers, x, BLOCKS, skips=skips, dropout=0.0)[1]]


PAIRS = {
    "DenseUNet": (DenseUNetConfig(**WIDTHS, dropout=0.0), _dense(True), (2, 3, 64, 96)),
    "DenseUNet without skips": (DenseUNetConfig(**WIDTHS, dropout=0.0, skips=False), _dense(False), (2, 3, 64, 32)),
    "3D": (DenseUNet3DConfig(**WIDTHS), _dense(True), (2, 1, 8, 64, 32)),
    "3D without skips": (DenseUNet3DConfig(**WIDTHS, skips=False), _dense(False), (1, 1, 4, 64, 96)),
    "hybrid": (_hybrid(), _hybrid_heads, (1, 1, 8, 64, 32)),
    "UNet++": (
        UNetPlusPlusConfig(features=FEATURES, out_channels=2, dropout=0.0),
        lambda layers, x: peers.unet_plus_plus(layers, x, depth=4, dropout=0.0),
        (2, 1, 32, 48),
    ),
    "U-Net": (
        UNetConfig(features=FEATURES, out_channels=2, dropout=0.0),
        lambda layers, x: [peers.unet(layers, x, depth=4, dropout=0.0)],
        (2, 1, 32, 48),
    ),
}


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 1, 3, 4, 2).contiguous() if x.ndim == 5 else x


def _first(x: Tensor) -> Tensor:
    return x.permute(0, 1, 4, 2, 3) if x.ndim == 5 else x


def _our_heads(network: nn.Module, x: Tensor) -> list[Tensor]:
    """Logits of every head with a loss, in any mode."""
    if not hasattr(network, "head_logits"):
        return [network(x)]
    heads = network.head_logits(x)
    return heads if isinstance(heads, list) else [heads.slices, heads.fused]


@pytest.mark.parametrize("name", PAIRS)
def test_peer_equals_ours(name: str) -> None:
    config, heads, shape = PAIRS[name]
    network = settled(config).double()
    x = noise(*shape).double()
    with torch.no_grad():
        ours = _our_heads(network, x)
        theirs = heads(peers.Layers(peers.slices_last(network.state_dict())), _last(x))
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, _first(other), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PAIRS)
def test_peer_learns_as_ours(name: str) -> None:
    """One pass in training mode: the same gradients and the same running statistics."""
    config, heads, shape = PAIRS[name]
    network = settled(config).double().train()
    weights = peers.slices_last({key: value.clone() for key, value in network.state_dict().items()})
    learnt = {key: value.requires_grad_() for key, value in weights.items() if key in dict(network.named_parameters())}
    layers = peers.Layers(weights, training=True, batch_statistics=name != "hybrid")
    x = noise(*shape).double()
    answer = network(x)
    ours = [answer] if isinstance(answer, Tensor) else answer
    for index, (mine, other) in enumerate(zip(ours, heads(layers, _last(x)), strict=True)):
        torch.testing.assert_close(mine, _first(other), rtol=1e-8, atol=1e-8)
        weighting = noise(*mine.shape, seed=index).double()
        (mine * weighting).sum().backward(retain_graph=True)
        (_first(other) * weighting).sum().backward(retain_graph=True)
    grown = {key: value.grad for key, value in network.named_parameters() if value.grad is not None}
    assert len(grown) > 5
    expected = {key: learnt[key].grad for key in grown}
    assert {key for key, value in learnt.items() if value.grad is None} == set(learnt) - set(grown)
    # A bias before a normalisation by the batch has no gradient but rounding; nothing is compared more finely.
    finest = 1e-12 * max(gradient.abs().max().item() for gradient in expected.values())
    for key, gradient in peers.slices_last(grown).items():
        torch.testing.assert_close(gradient, expected[key], rtol=1e-6, atol=finest, msg=key)
    for key, statistic in network.named_buffers():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(statistic, weights[key], rtol=1e-9, atol=1e-12, msg=key)


def test_monai_takes_our_weights() -> None:
    from monai.networks.nets.densenet import DenseNet  # noqa: PLC0415 - slow to import, for this test alone

    widths = {"block_config": (1, 2, 2, 1), "growth_rate": 4, "init_features": 8}
    network = settled(DenseNetConfig(**widths, out_channels=5)).double()
    twin = DenseNet(2, 3, 5, **widths).double().eval()
    twin.load_state_dict(peers.monai_densenet(network.state_dict()))
    images = noise(2, 3, 64, 64).double()
    with torch.no_grad():
        torch.testing.assert_close(twin(images), network(images), rtol=1e-9, atol=1e-9)


def test_dropout_drops_while_training_only() -> None:
    weights = settled(UNetConfig(features=FEATURES)).state_dict()
    x = noise(1, 1, 32, 32)
    still, moving = (peers.unet(peers.Layers(weights, on), x, depth=4, dropout=0.5) for on in (False, True))
    assert torch.equal(still, peers.unet(peers.Layers(weights), x, depth=4, dropout=0.5))
    assert not torch.allclose(still, moving)


@pytest.mark.parametrize(
    ("depth", "starts"),
    [(40, list(range(0, 33, 2))), (12, [0, 2, 4]), (13, [0, 2, 4, 5]), (8, [0])],
)
def test_published_windows_step_by_two_and_end_flush(depth: int, starts: list[int]) -> None:
    assert peers.published_starts(depth) == starts


def test_published_protocol_averages_inner_slices_by_hits() -> None:
    """Against the definition, voxel by voxel: every window's inner six slices, softmax, mean, most probable class."""
    depth = 13
    volume = noise(2, 3, depth)
    lifts = {start: noise(3, 2, 3, 8, seed=start + 1) for start in (0, 2, 4, 5)}
    asked = []

    def window_logits(window: Tensor) -> Tensor:
        (start,) = (s for s in lifts if torch.equal(volume[..., s : s + 8], window[0, 0]))
        asked.append(start)
        return (window[0] * torch.tensor([0.5, -1.0, 2.0]).view(3, 1, 1, 1) + lifts[start])[None]

    told: list[tuple[int, int]] = []
    labels = peers.published_labels(window_logits, volume, lambda number, of: told.append((number, of)))
    expected = np.zeros((2, 3, depth), np.uint8)
    for z in range(1, depth - 1):
        votes = [
            torch.softmax(window_logits(volume[None, None, ..., s : s + 8]), 1)[0, ..., z - s]
            for s in lifts
            if s < z < s + 7
        ]
        expected[..., z] = torch.stack(votes).mean(0).argmax(0).numpy()
    assert (labels.numpy() == expected).all()
    assert asked[:4] == [0, 2, 4, 5]
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert not labels[..., 0].any()
    assert not labels[..., -1].any()


def test_labels_are_compared_where_both_predict(tmp_path: Path) -> None:
    one = np.zeros((4, 2, 2), np.uint8)
    other = one.copy()
    other[0] = other[-1] = 1  # slices the published protocol leaves out
    other[1, 0, 0] = 2
    np.save(tmp_path / "one.npy", one)
    np.save(tmp_path / "other.npy", other)
    assert equal_labels(tmp_path / "one.npy", tmp_path / "other.npy") == 7 / 8


@pytest.mark.parametrize(
    "config",
    [DenseNetConfig(variant=121, out_channels=3), _hybrid(), UNetPlusPlusConfig(features=FEATURES)],
    ids=["classifier", "hybrid", "four heads"],
)
def test_weights_are_scaled_so_that_logits_are_of_size_one(config: NetworkConfig, tmp_path: Path) -> None:
    x = noise(2, config.in_channels, *((8, 32, 32) if config.spatial_dims == 3 else (64, 64)))
    scaled_weights(config, x, tmp_path / "weights.safetensors")
    network = build(config).eval()
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        heads = [network(x)] if isinstance(config, DenseNetConfig) else _our_heads(network, x)
    assert [head.std().item() for head in heads] == pytest.approx([1.0] * len(heads), rel=1e-3)


def test_published_sizes_are_benchmarked() -> None:
    """Parameter counts of the papers and their codes."""
    counts = {name: parameter_count(case.config) for name, case in CASES.items()}
    assert counts["dense_unet"] == 49_527_843
    assert counts["h_dense_unet"] == parameter_count(RELEASED) == 60_950_785
    assert counts["unet"] == 7_759_521
    assert counts["unet_plus_plus"] == 9_041_601 + 3 * 33  # three heads more


def test_bf16_takes_part_only_where_the_processor_has_it() -> None:
    for name in CASES:
        for work in ("forward", "training"):
            assert "bf16" in contestants(name, work, bf16=True)
            without = contestants(name, work, bf16=False)
            assert next(iter(without)) == "peer"
            assert not any("bf16" in who for who in without)
    assert list(contestants("unet", "forward", bf16=True)) == ["peer", "fp32", "bf16"]
    assert list(contestants("dense_unet", "training", bf16=True)) == ["peer", "bf16", "bf16 recomputing"]


def test_recomputing_reaches_both_networks_of_the_hybrid() -> None:
    changed = with_checkpointing(RELEASED)
    assert changed.slice_network.checkpointing
    assert changed.volume_network.checkpointing
    assert with_checkpointing(UNetConfig()) == UNetConfig()
