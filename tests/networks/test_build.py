from importlib import import_module
from typing import get_args

import pytest
import torch

from networks.build import build, parameter_count
from networks.configs import DenseNetConfig, NetworkConfig

TINY = DenseNetConfig(block_config=(1, 1), growth_rate=2, init_features=4, out_channels=2)


def test_every_member_of_the_union_has_a_module_of_its_name() -> None:
    members = get_args(get_args(NetworkConfig)[0])
    assert len(members) >= 3
    for member in members:
        name = member.model_fields["name"].default
        assert issubclass(import_module(f"networks.{name}").Network, torch.nn.Module)


def test_random_numbers_of_others_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build(TINY, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_weights_do_not_depend_on_what_was_drawn_before() -> None:
    first = build(TINY, seed=1).state_dict()
    torch.rand(17)
    again = build(TINY, seed=1).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_new_network_is_in_training_mode_on_the_cpu() -> None:
    network = build(TINY)
    assert network.training
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}


def test_counting_makes_no_weights() -> None:
    assert parameter_count(TINY) == sum(parameter.numel() for parameter in build(TINY).parameters())
    assert {parameter.device.type for parameter in build(TINY, device="meta").parameters()} == {"meta"}


def test_other_devices_are_refused() -> None:
    with pytest.raises(ValueError, match='got "cuda"; build on the CPU, then move'):
        build(TINY, device="cuda")
