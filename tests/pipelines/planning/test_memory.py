"""What training keeps, against a count by hand and against the networks themselves."""

import gc

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from networks.build import build
from networks.configs import DenseUNetConfig, NetworkConfig, UNetConfig, UNetPlusPlusConfig
from pipelines.planning.memory import activation_bytes, training_bytes

SMALL = DenseUNetConfig(block_config=(1, 2, 1), growth_rate=6, init_features=8, feature_channels=8)
CONFIGS = [
    UNetConfig(features=(4, 8, 16), normalisation="batch", in_channels=1, out_channels=3),
    UNetConfig(features=(4, 8), spatial_dims=3, dropout=0.2),
    UNetPlusPlusConfig(features=(4, 6, 8)),
    SMALL,
    SMALL.model_copy(update={"checkpointing": True}),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_it_is_what_a_real_pass_keeps(config: NetworkConfig) -> None:
    size = (16,) * config.spatial_dims if config.name != "dense_unet" else (32, 32)
    network = build(config).train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        network(torch.randn(1, config.in_channels, *size))
    real = sum(storage.nbytes() for storage in kept.values())
    gc.collect()
    # Masks of dropout and workspace of kernels differ from device to device; the maps do not.
    assert activation_bytes(config, size) == pytest.approx(real, rel=0.1)


def test_one_level_by_hand() -> None:
    # Down: input, and two maps each of 4 on 16 x 16 and of 8 on 8 x 8, with the pooled map and its places (8 bytes);
    # up: 4 raised and 4 beside them in one map, two maps of 4. In place ReLUs keep nothing of their own.
    maps = 256 * (1 + 4 + 4) + 64 * (4 + 8 + 8) + 256 * (8 + 4 + 4)
    places = 64 * 4 * 8
    config = UNetConfig(features=(4, 8), dropout=0.0)
    counted = activation_bytes(config, (16, 16))
    assert counted == pytest.approx(4 * maps + places, rel=0.25)


def test_it_grows_with_the_batch_and_checkpointing_saves() -> None:
    one, two, three = (training_bytes(SMALL, (64, 64), batch) for batch in (1, 2, 3))
    assert three - two == pytest.approx(two - one, abs=2)
    assert training_bytes(SMALL.model_copy(update={"checkpointing": True}), (64, 64), 2) < two


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_large_inputs_are_told_from_small_ones(config: NetworkConfig) -> None:
    size = (256, 320) if config.spatial_dims == 2 else (64, 96, 128)
    batches = training_bytes(config, size, 3) - training_bytes(config, size, 2)
    assert batches == pytest.approx(1.35 * activation_bytes(config, size), rel=0.02)
