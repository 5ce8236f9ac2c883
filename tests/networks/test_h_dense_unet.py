from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from networks.build import build, parameter_count
from networks.configs import DenseUNet3DConfig, DenseUNetConfig, HDenseUNetConfig
from networks.h_dense_unet import adjacent_slices
from tests.networks.conftest import NetworkBattery, noise, settled

WIDTHS = {"block_config": (1, 2, 2, 2), "growth_rate": 6, "init_features": 8, "feature_channels": 8}


def small(**changes: Any) -> HDenseUNetConfig:
    return HDenseUNetConfig(
        slice_network=DenseUNetConfig(**WIDTHS),
        volume_network=DenseUNet3DConfig(**WIDTHS, in_channels=4),
        **({"context_scale": 1.0} | changes),
    )


RELEASED = HDenseUNetConfig(
    slice_network=DenseUNetConfig(skips=False),
    volume_network=DenseUNet3DConfig(in_channels=4, skips=False),
    context="logits",
)


class TestHDenseUNet(NetworkBattery):
    config = small()
    odd_size, size_by_hand = (5, 33, 30), (8, 64, 32)
    published_counts = (
        (60_950_785, RELEASED),
        (
            65_616_289,
            HDenseUNetConfig(volume_network=DenseUNet3DConfig(in_channels=4, skips=False)),
        ),
    )

    def test_gradient_reaches_every_parameter(self, odd: Tensor) -> None:
        network = settled(self.config)
        sum((logits * noise(*logits.shape)).sum() for logits in network.head_logits(odd)).backward()
        still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert still == []

    def test_training_step_is_finite(self, odd: Tensor) -> None:
        network = build(self.config)
        sum(logits.square().mean() for logits in network(odd)).backward()
        lost = [
            name
            for name, p in network.named_parameters()
            if not name.startswith("volume_network.head") and (p.grad is None or not torch.isfinite(p.grad).all())
        ]
        assert lost == []


class TestLogitsAsContext(TestHDenseUNet):
    config = small(context="logits")
    odd_size, size_by_hand = (6, 40, 32), (8, 64, 32)
    published_counts = ()


def test_fusion_has_the_published_size() -> None:
    network = build(HDenseUNetConfig(), device="meta")
    assert sum(parameter.numel() for parameter in network.fusion.parameters()) == 110_979
    assert parameter_count(HDenseUNetConfig()) == 49_527_843 + 9_617_131 + 110_979


@pytest.mark.parametrize("context", ["probabilities", "logits"])
def test_is_its_two_networks_and_the_fusion(context: str) -> None:
    """Figure 2 of the paper, on the two networks' own answers."""
    network = settled(small(context=context, context_scale=2.5)).double()
    volume = noise(1, 1, 8, 32, 64).double()
    with torch.no_grad():
        slices = volume[0, 0]
        padded = torch.cat([slices[:1], slices, slices[-1:]])
        features, logits = zip(
            *(network.slice_network.features_and_logits(padded[None, z : z + 3]) for z in range(8)), strict=True
        )
        maps = torch.stack(logits, dim=2)
        context_maps = maps.softmax(dim=1) if context == "probabilities" else maps
        deep, _ = network.volume_network.features_and_logits(torch.cat([volume, 2.5 * context_maps], dim=1))
        fused = network.fusion.conv(deep + torch.stack(features, dim=2))
        expected = network.fusion.head(network.fusion.norm(fused).clamp(min=0))
        torch.testing.assert_close(network(volume), expected, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(network.head_logits(volume).slices, maps, rtol=1e-9, atol=1e-9)


def test_end_slices_stand_beside_themselves() -> None:
    volume = torch.arange(4.0).reshape(1, 1, 4, 1, 1)
    triples = adjacent_slices(volume)[0, :, :, 0, 0].T.tolist()
    assert triples == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]
    assert adjacent_slices(volume[:, :, :1])[0, :, 0].flatten().tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="at least one slice"):
        adjacent_slices(volume[:, :, :0])


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7, 9])
def test_any_depth_is_predicted(depth: int) -> None:
    answer = settled(small())(noise(1, 1, depth, 32, 32))
    assert answer.shape == (1, 3, depth, 32, 32)
    assert torch.isfinite(answer).all()


def test_shape_of_the_published_network() -> None:
    network = build(HDenseUNetConfig(), device="meta").eval()
    for size in ((8, 512, 512), (12, 224, 224), (3, 100, 75)):
        assert network(torch.empty(1, 1, *size, device="meta")).shape == (1, 3, *size)


def moved(network: nn.Module, volume: Tensor) -> tuple[set[str], set[str]]:
    """Parts whose parameters a training step moved, and parts whose statistics it moved."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    outputs = network(volume)
    sum((logits * noise(*logits.shape)).mean() for logits in outputs).backward()
    optimiser.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    statistics = {name for name in changed if name.rpartition(".")[2] in {"running_mean", "running_var"}}
    return {name.partition(".")[0] for name in changed - statistics}, {name.partition(".")[0] for name in statistics}


def test_stages_train_what_the_paper_trains() -> None:
    volume = noise(1, 1, 4, 64, 64)
    assert moved(build(small(stage="slices")), volume) == ({"slice_network"}, {"slice_network"})
    parameters, statistics = moved(build(small(stage="volume")), volume)
    assert parameters == statistics == {"volume_network", "fusion"}
    assert moved(build(small(stage="end_to_end")), volume) == ({"slice_network", "volume_network", "fusion"}, set())


def test_stages_answer_with_what_has_a_loss() -> None:
    volume = noise(2, 1, 3, 32, 32)
    answers = {stage: build(small(stage=stage))(volume) for stage in ("slices", "volume", "end_to_end")}
    assert {stage: len(answer) for stage, answer in answers.items()} == {"slices": 1, "volume": 1, "end_to_end": 2}
    assert {tuple(logits.shape) for answer in answers.values() for logits in answer} == {(2, 3, 3, 32, 32)}


def test_evaluation_is_the_same_at_every_stage() -> None:
    volume = noise(1, 1, 4, 32, 32)
    networks = [build(small(stage=stage)).eval() for stage in ("slices", "volume", "end_to_end")]
    assert torch.equal(networks[0](volume), networks[1](volume))
    assert torch.equal(networks[1](volume), networks[2](volume))


def test_frozen_parts_stay_so_when_training_goes_on() -> None:
    network = build(small(stage="volume"))
    network.eval()
    assert not network.fusion.training
    network.train()
    assert network.fusion.training
    assert network.volume_network.training
    assert not network.slice_network.training
    assert not any(part.training for part in network.slice_network.modules())


@pytest.mark.parametrize(
    ("slices", "volume", "told"),
    [
        ({"in_channels": 1}, {"in_channels": 4}, "in_channels 3"),
        ({"out_channels": 2}, {"in_channels": 4}, "as many classes"),
        ({}, {}, "in_channels 4"),
        ({"feature_channels": 32}, {"in_channels": 4}, "equal width"),
    ],
)
def test_networks_that_do_not_fit_are_refused(slices: dict[str, int], volume: dict[str, int], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        HDenseUNetConfig(slice_network=DenseUNetConfig(**slices), volume_network=DenseUNet3DConfig(**volume))
