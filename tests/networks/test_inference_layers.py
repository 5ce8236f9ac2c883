"""What makes the layers of a rewritten network quick: their layout, and the ways torch computes them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks.build import build
from networks.configs import DenseUNet3DConfig
from networks.inference import for_inference
from networks.inference_layers import VolumeConvolution
from tests.networks.conftest import noise
from tests.networks.inference_cases import SMALL


def test_autocast_decides_the_type_of_volumes() -> None:
    convolve = VolumeConvolution(nn.Conv3d(2, 3, 3, padding=1))
    with torch.inference_mode():
        assert convolve(noise(1, 2, 4, 4, 4)).dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            assert convolve(noise(1, 2, 4, 4, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_stay_channels_last(channels: int, dtype: torch.dtype) -> None:
    quick = for_inference(build(DenseUNet3DConfig(**SMALL, in_channels=channels)), dtype)
    other = []

    def note(part: nn.Module, _given: Any, answer: Tensor) -> None:
        if not answer.is_contiguous(memory_format=torch.channels_last_3d):
            other.append(part)

    for part in quick.modules():
        part.register_forward_hook(note)
    with torch.inference_mode():
        quick(noise(1, channels, 8, 64, 64))
    assert other == []


def test_small_volumes_do_not_take_the_slow_way() -> None:
    network, x = build(DenseUNet3DConfig(**SMALL)).eval(), noise(1, 1, 4, 32, 32)
    ways = []
    for each in (network, for_inference(network)):
        with torch.inference_mode(), torch.profiler.profile() as profile:
            each(x)
        ways.append({event.key for event in profile.key_averages()})
    assert "aten::slow_conv3d_forward" in ways[0]
    assert "aten::slow_conv3d_forward" not in ways[1]
    assert sum(isinstance(part, VolumeConvolution) for part in for_inference(network).modules()) > 10
