"""What training a network takes of memory: counted on the network itself, without making it.

A forward pass on torch's meta device has shapes and no numbers; what autograd would keep for the way back is counted
tensor by tensor. nnU-Net counts the outputs of convolutions of its own U-Net instead, against a reference it measured.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from networks.build import build
from networks.configs import NetworkConfig
from pipelines.planning.topology import Shape

GIB = 2**30
# Weights, their gradients and two moments of Adam; SGD with momentum has one.
_COPIES_OF_WEIGHTS = 4
# Beside what is kept: gradients on the way back, the workspace of convolutions, an allocator's gaps.
_OVER = 1.35
_BYTES = 4


def training_bytes(config: NetworkConfig, size: Shape, batch: int) -> int:
    """Estimate of the memory that a training step in float32 takes.

    Maps grow with the input voxel by voxel, so large inputs are told from a small one.

    Args:
        config: Of the network.
        size: (H, W) or (D, H, W) of the input, which the network can halve without padding.
        batch: How many at once.
    """
    small = tuple(min(edge, _small_edge(config)) for edge in size)
    kept, weights = _kept(config.model_dump_json(), type(config), small)
    grown = math.prod(size) / math.prod(small)
    return int(_COPIES_OF_WEIGHTS * _BYTES * weights + _OVER * batch * kept * grown)


def activation_bytes(config: NetworkConfig, size: Shape) -> int:
    """What a forward pass in training keeps of one input (1, in_channels, *size) for the way back, in float32."""
    return _kept(config.model_dump_json(), type(config), size)[0]


def _small_edge(config: NetworkConfig) -> int:
    """Long enough for the maps of the deepest level to be as many as they should."""
    return max(64, 2 * config.divisor)


@lru_cache(maxsize=256)
def _kept(settings: str, kind: type[NetworkConfig], size: Shape) -> tuple[int, int]:
    network, config = _network(settings, kind)
    weights = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    # Storages are held, or their places could be given to others and counted once.
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        # Two, for normalisation refuses to learn from a single value.
        network(torch.empty((2, config.in_channels, *size), device="meta"))
    return sum(storage.nbytes() for storage in kept.values()) // 2, sum(p.numel() for p in network.parameters())


@lru_cache(maxsize=8)
def _network(settings: str, kind: type[NetworkConfig]) -> tuple[nn.Module, NetworkConfig]:
    config: NetworkConfig = kind.model_validate_json(settings)
    return build(config, device="meta").train(), config
