from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram, export
from torch.fx import Node

from networks.build import build, parameter_count
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
from tests.networks.conftest import noise, settled

SMALL: dict[str, Any] = {"block_config": (1, 2, 1), "growth_rate": 6, "init_features": 8}
UP = SMALL | {"feature_channels": 8}
HYBRID = HDenseUNetConfig(
    slice_network=DenseUNetConfig(**UP), volume_network=DenseUNet3DConfig(**UP, in_channels=4), context_scale=1.0
)
FEATURES = (4, 6, 8, 10, 12)
# Sizes that are padded inside, so that padding and cropping are exported too.
CASES: dict[str, tuple[NetworkConfig, tuple[int, ...]]] = {
    "DenseNet 2D": (DenseNetConfig(**SMALL, out_channels=2, checkpointing=True, dropout=0.1), (12, 45)),
    "DenseNet 3D": (DenseNetConfig(**SMALL, out_channels=2, spatial_dims=3, in_channels=1), (12, 17, 14)),
    "DenseUNet": (DenseUNetConfig(**UP, checkpointing=True), (33, 30)),
    "DenseUNet, scSE by sum": (DenseUNetConfig(**UP, scse="sum"), (33, 30)),
    "DenseUNet, scSE by max": (DenseUNetConfig(**UP, scse="max", in_channels=1), (33, 30)),
    "DenseUNet 3D": (DenseUNet3DConfig(**UP), (5, 33, 30)),
    "H-DenseUNet": (HYBRID, (5, 33, 30)),
    "UNet++, accurate": (UNetPlusPlusConfig(features=FEATURES, out_channels=3), (33, 20)),
    "UNet++ 3D, one class, accurate": (UNetPlusPlusConfig(features=FEATURES, spatial_dims=3), (7, 17, 20)),
    "UNet++, fast": (UNetPlusPlusConfig(features=FEATURES, mode="fast", normalisation="batch"), (33, 20)),
    "UNet++, DenseNet going down": (
        UNetPlusPlusConfig(encoder=DenseEncoderConfig(**SMALL), features=FEATURES[:4], in_channels=3),
        (33, 20),
    ),
    "U-Net": (UNetConfig(features=FEATURES), (33, 20)),
    "U-Net 3D": (UNetConfig(features=(4, 6, 8), spatial_dims=3, normalisation="batch", units="doubling"), (7, 9, 8)),
}


class BetweenNeighbours(nn.Module):
    """The windowed forward of H-DenseUNet, which knows the slices beside the window."""

    def __init__(self, hybrid: nn.Module) -> None:
        super().__init__()
        self.hybrid = hybrid

    def forward(self, adjacent: Tensor) -> Tensor:
        answer: Tensor = self.hybrid.logits_between(adjacent)
        return answer


def calls(program: ExportedProgram) -> list[Node]:
    return [node for node in program.graph.nodes if node.op == "call_function"]


def answers_as(network: nn.Module, images: Tensor, folder: Path) -> None:
    """Export at the size of these images, save, load, and compare on others."""
    with torch.no_grad():
        program = export(network, (images,))
    assert program.graph_signature.buffers_to_mutate == {}
    assert program.graph_signature.user_inputs_to_mutate == {}
    operators = [node.target for node in calls(program) if isinstance(node.target, torch._ops.OpOverload)]
    assert len(operators) > 20
    assert [str(operator) for operator in operators if operator._schema.is_mutable] == []

    torch.export.save(program, folder / "network.pt2")
    loaded = torch.export.load(folder / "network.pt2").module()
    others = noise(*images.shape, seed=8)
    given, before = others.clone(), {key: value.clone() for key, value in loaded.state_dict().items()}
    with torch.no_grad():
        expected = network(others)
        for exported in (program.module(), loaded):
            for _ in range(2):  # the second time as the first
                torch.testing.assert_close(exported(others), expected, rtol=0, atol=1e-6)
        assert (expected - network(images)).abs().max() > 1e-3
    assert torch.equal(others, given)
    assert before.keys() == network.state_dict().keys()
    assert [key for key, value in loaded.state_dict().items() if not torch.equal(value, before[key])] == []


@pytest.mark.parametrize("case", CASES)
def test_exported_network_answers_as_it_did(case: str, tmp_path: Path) -> None:
    config, size = CASES[case]
    answers_as(settled(config), noise(2, config.in_channels, *size), tmp_path)


def test_window_between_its_neighbours_answers_as_it_did(tmp_path: Path) -> None:
    answers_as(BetweenNeighbours(settled(HYBRID)).eval(), noise(1, 3, 6, 32, 40), tmp_path)


def test_every_network_is_exported() -> None:
    members = set(get_args(get_args(NetworkConfig)[0]))
    assert {type(config) for config, _ in CASES.values()} == members


def test_checkpointing_leaves_no_trace() -> None:
    operators = []
    for checkpointing in (False, True):
        network = build(DenseUNetConfig(**UP, checkpointing=checkpointing), device="meta").eval()
        operators.append([str(node.target) for node in calls(export(network, (torch.empty(1, 3, 32, 32).to("meta"),)))])
    assert operators[0] == operators[1]


@pytest.mark.parametrize(
    ("config", "size", "answer"),
    [
        pytest.param(DenseNetConfig(out_channels=14), (224, 224), (1, 14), marks=pytest.mark.slow),
        (DenseUNetConfig(), (512, 512), (1, 3, 512, 512)),
        pytest.param(HDenseUNetConfig(), (8, 512, 512), (1, 3, 8, 512, 512), marks=pytest.mark.slow),
    ],
    ids=["DenseNet-121", "DenseUNet-167", "H-DenseUNet"],
)
def test_published_widths_are_exported(config: NetworkConfig, size: tuple[int, ...], answer: tuple[int, ...]) -> None:
    network = build(config, device="meta").eval()
    program = export(network, (torch.empty(1, config.in_channels, *size, device="meta"),))
    assert program.graph.output_node().args[0][0].meta["val"].shape == answer
    weights = [program.state_dict[name] for name in program.graph_signature.parameters]
    assert sum(weight.numel() for weight in weights) == parameter_count(config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "size"),
    [(DenseNetConfig(out_channels=14), (64, 64)), (DenseUNetConfig(), (64, 40)), (HDenseUNetConfig(), (4, 64, 40))],
    ids=["DenseNet-121", "DenseUNet-167", "H-DenseUNet"],
)
def test_published_widths_answer_as_they_did(config: NetworkConfig, size: tuple[int, ...], tmp_path: Path) -> None:
    answers_as(settled(config), noise(1, config.in_channels, *size), tmp_path)
