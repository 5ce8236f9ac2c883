"""The table of networks says what the networks are."""

import re
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

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

CONFIGS: dict[str, NetworkConfig] = {
    "DenseNet-121": DenseNetConfig(out_channels=1000),
    "DenseNet-169": DenseNetConfig(variant=169, out_channels=1000),
    "DenseNet-201": DenseNetConfig(variant=201, out_channels=1000),
    "DenseNet-161": DenseNetConfig(variant=161, out_channels=1000),
    "DenseNet-264": DenseNetConfig(variant=264, out_channels=1000),
    "DenseUNet-167": DenseUNetConfig(),
    "DenseUNet-167, as released": DenseUNetConfig(skips=False),
    "DenseUNet-65": DenseUNet3DConfig(in_channels=4),
    "DenseUNet-65, as released": DenseUNet3DConfig(in_channels=4, skips=False),
    "H-DenseUNet": HDenseUNetConfig(),
    "H-DenseUNet, as released": HDenseUNetConfig(
        slice_network=DenseUNetConfig(skips=False),
        volume_network=DenseUNet3DConfig(in_channels=4, skips=False),
        context="logits",
    ),
    "UNet++ L4": UNetPlusPlusConfig(deep_supervision=False, mode="fast"),
    "UNet++ L3": UNetPlusPlusConfig(level=3, deep_supervision=False, mode="fast"),
    "UNet++ L2": UNetPlusPlusConfig(level=2, deep_supervision=False, mode="fast"),
    "UNet++ L1": UNetPlusPlusConfig(level=1, deep_supervision=False, mode="fast"),
    "UNet++ with DenseNet-201": UNetPlusPlusConfig(in_channels=3, encoder={"variant": 201}),
    "U-Net": UNetConfig(),
    "wide U-Net": UNetConfig(features=(35, 70, 140, 280, 560)),
    "3D U-Net": UNetConfig(
        spatial_dims=3,
        in_channels=3,
        out_channels=3,
        features=(64, 128, 256, 512),
        normalisation="batch",
        units="doubling",
    ),
}


@pytest.fixture(scope="module")
def rows() -> dict[str, list[str]]:
    text = (Path(__file__).resolve().parents[1] / "docs" / "networks.md").read_text(encoding="utf-8")
    text, _, _ = text.partition("\n## ")
    cells = [[cell.strip() for cell in line.strip("|\n ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: row for row in cells[2:]}


def test_table_and_list_name_the_same_networks(rows: dict[str, list[str]]) -> None:
    assert sorted(rows) == sorted(CONFIGS)
    assert {len(row) for row in rows.values()} == {6}


@pytest.mark.parametrize("name", CONFIGS)
def test_figures_are_right(name: str, rows: dict[str, list[str]]) -> None:
    config = CONFIGS[name]
    _, settings, _, parameters, gmacs, _ = rows[name]
    network = build(config, device="meta").eval()
    assert int(parameters.replace(",", "")) == sum(parameter.numel() for parameter in network.parameters())
    told = re.fullmatch(r"([\d.]+) at ([\d×]+)", gmacs)
    assert told is not None
    size = [int(extent) for extent in told[2].split("×")]
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, config.in_channels, *size, device="meta"))
    assert counter.get_total_flops() / 2e9 == pytest.approx(float(told[1]), abs=0.005)
    if f"`{config.name}`" in settings:
        assert f"{config.out_channels} class" in settings
