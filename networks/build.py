"""From a network's description to the network."""

from importlib import import_module
from typing import cast

import torch
from torch import nn

from networks.configs import NetworkConfig


def build(config: NetworkConfig, *, seed: int = 0, device: str = "cpu") -> nn.Module:
    """A new network in training mode, its weights drawn from a seed.

    The network is found in the module of its name. Weights come from torch's CPU generator, seeded here and put back as
    it was, so the same config and seed give the same weights on one version of torch, and nobody else's random numbers
    change. How they are distributed is said at the top of each network's module.

    Args:
        config: what to build.
        seed: where the random numbers start.
        device: "cpu", or "meta" for shapes without memory or values. Move the network afterwards: drawn elsewhere the
            weights would not be the same.

    Returns:
        The module: float32 tensors (N, in_channels, *size) in.

    Raises:
        ValueError: if the device is neither.
    """
    if device not in {"cpu", "meta"}:
        raise ValueError(f'expected device "cpu" or "meta", got "{device}"; build on the CPU, then move the module')
    network = import_module(f"networks.{config.name}").Network
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.default_generator.manual_seed(seed)
        return cast(nn.Module, network(config))


def parameter_count(config: NetworkConfig) -> int:
    """Trainable numbers of a network, counted without making them."""
    return sum(parameter.numel() for parameter in build(config, device="meta").parameters())
