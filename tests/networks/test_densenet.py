import re
from typing import Any

import numpy as np
import pytest
import torch
from monai.networks.nets.densenet import DenseNet as MonaiDenseNet
from torch import nn

from networks.build import build, parameter_count
from networks.configs import DenseNetConfig
from networks.densenet import DenseNet
from tests.networks.conftest import NetworkBattery, noise, settled

SMALL = {"block_config": (2, 3, 2, 2), "growth_rate": 4, "init_features": 8}


class TestDenseNet2D(NetworkBattery):
    config = DenseNetConfig(**SMALL, in_channels=3, out_channels=5)
    odd_size, size_by_hand, dense = (28, 45), (32, 45), False
    published_counts = (
        (7_978_856, DenseNetConfig(variant=121, out_channels=1000)),
        (14_149_480, DenseNetConfig(variant=169, out_channels=1000)),
        (20_013_928, DenseNetConfig(variant=201, out_channels=1000)),
        (28_681_000, DenseNetConfig(variant=161, out_channels=1000)),
        (33_337_704, DenseNetConfig(variant=264, out_channels=1000)),
        (6_966_034, DenseNetConfig(in_channels=1, out_channels=18)),
    )


class TestDenseNet3D(NetworkBattery):
    config = DenseNetConfig(**SMALL, spatial_dims=3, in_channels=1, out_channels=2)
    odd_size, size_by_hand, dense = (12, 33, 29), (32, 33, 29), False
    published_counts = (
        (11_244_674, DenseNetConfig(variant=121, spatial_dims=3, in_channels=1, out_channels=2)),
        (18_546_050, DenseNetConfig(variant=169, spatial_dims=3, in_channels=1, out_channels=2)),
        (25_334_658, DenseNetConfig(variant=201, spatial_dims=3, in_channels=1, out_channels=2)),
        (40_251_266, DenseNetConfig(variant=264, spatial_dims=3, in_channels=1, out_channels=2)),
    )


class TestDropout(NetworkBattery):
    config = DenseNetConfig(**SMALL, in_channels=1, out_channels=1, dropout=0.2, checkpointing=True)
    odd_size, size_by_hand, dense = (5, 64), (32, 64), False

    def test_is_active_in_training_only(self) -> None:
        network = build(self.config)
        assert sum(isinstance(part, nn.Dropout) and part.p == 0.2 for part in network.modules()) == 9


def monai_twin(network: nn.Module, config: DenseNetConfig) -> nn.Module:
    """MONAI's network with the same weights, under the names it has for them."""
    block_config, growth_rate, init_features = config.widths
    with torch.device("meta"):
        twin = MonaiDenseNet(
            config.spatial_dims, config.in_channels, config.out_channels, init_features, growth_rate, block_config
        )
    renamed = {
        re.sub(r"(denselayer\d+)\.", r"\1.layers.", key).replace("classifier.", "class_layers.out."): value
        for key, value in network.state_dict().items()
    }
    twin.load_state_dict(renamed, strict=True, assign=True)
    return twin.eval()


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (DenseNetConfig(variant=121, out_channels=14), (64, 96)),
        (DenseNetConfig(variant=161, out_channels=3), (45, 33)),
        (DenseNetConfig(variant=169, in_channels=1, out_channels=5), (32, 71)),
        (DenseNetConfig(variant=201, out_channels=2), (67, 29)),
        (DenseNetConfig(**SMALL, spatial_dims=3, in_channels=2, out_channels=3), (32, 29, 47)),
    ],
    ids=["121", "161", "169", "201", "3D"],
)
def test_logits_are_those_of_monai(config: DenseNetConfig, size: tuple[int, ...]) -> None:
    network = settled(config)
    images = noise(2, config.in_channels, *size)
    with torch.no_grad():
        ours, theirs = network(images), monai_twin(network, config)(images)
    assert ours.abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "padded"), [((28, 28), (32, 32)), ((1, 1), (32, 32)), ((28, 29), (32, 29)), ((63, 7), (63, 32))]
)
def test_small_images_are_answered_where_monai_fails(size: tuple[int, int], padded: tuple[int, int]) -> None:
    config = DenseNetConfig(**SMALL, in_channels=1, out_channels=5)
    network = settled(config)
    twin, images = monai_twin(network, config), noise(2, 1, *size)
    with pytest.raises(RuntimeError, match="too small"):
        twin(images)
    ends = [(0, 0), (0, 0), *((0, after - before) for before, after in zip(size, padded, strict=True))]
    by_hand = torch.from_numpy(np.pad(images.numpy(), ends, mode="edge"))
    torch.testing.assert_close(network(images), twin(by_hand), rtol=1e-5, atol=1e-5)


def torchvision_layout(blocks: tuple[int, ...], growth: int, channels: int, classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's DenseNet, from the rule that layers grow by k and transitions halve."""
    layout: dict[str, tuple[int, ...]] = {"features.conv0.weight": (channels, 3, 7, 7)}

    def norm(name: str, width: int) -> None:
        layout.update({f"{name}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")})
        layout[f"{name}.num_batches_tracked"] = ()

    norm("features.norm0", channels)
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            norm(f"{name}.norm1", channels)
            layout[f"{name}.conv1.weight"] = (4 * growth, channels, 1, 1)
            norm(f"{name}.norm2", 4 * growth)
            layout[f"{name}.conv2.weight"] = (growth, 4 * growth, 3, 3)
            channels += growth
        if block < 4:
            norm(f"features.transition{block}.norm", channels)
            layout[f"features.transition{block}.conv.weight"] = (channels // 2, channels, 1, 1)
            channels //= 2
    norm("features.norm5", channels)
    return layout | {"classifier.weight": (classes, channels), "classifier.bias": (classes,)}


@pytest.mark.parametrize(
    ("variant", "blocks", "growth", "stem", "tensors"),
    [
        (121, (6, 12, 24, 16), 32, 64, 727),
        (161, (6, 12, 36, 24), 48, 96, 967),
        (169, (6, 12, 32, 32), 32, 64, 1015),
        (201, (6, 12, 48, 32), 32, 64, 1207),
    ],
)
def test_names_and_shapes_are_those_of_torchvision(
    variant: Any, blocks: tuple[int, ...], growth: int, stem: int, tensors: int
) -> None:
    layout = torchvision_layout(blocks, growth, stem, 1000)
    assert len(layout) == tensors == 6 * variant + 1  # as many convolutions and matrices as normalisations of 5; a bias
    network = build(DenseNetConfig(variant=variant, out_channels=1000), device="meta")
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == layout
    given = {key: torch.empty(shape, device="meta") for key, shape in layout.items()}
    network.load_state_dict(given, strict=True, assign=True)


def test_what_is_loaded_is_what_is_saved() -> None:
    widths = (SMALL["block_config"], SMALL["growth_rate"], SMALL["init_features"])
    layout = torchvision_layout(*widths, classes=5)
    given = {
        key: torch.tensor(seed) if key.endswith("tracked") else noise(*shape, seed=seed)
        for seed, (key, shape) in enumerate(layout.items())
    }
    network = build(DenseNetConfig(**SMALL, out_channels=5))
    network.load_state_dict(given, strict=True)
    saved = network.state_dict()
    assert saved.keys() == given.keys()
    assert [key for key, value in given.items() if not torch.equal(saved[key], value)] == []


def test_features_stand_before_the_last_relu() -> None:
    config = DenseNetConfig(**SMALL, in_channels=1, out_channels=2)
    network = settled(config)
    images = noise(1, 1, 64, 96)
    features = network.features(images)
    assert features.shape == (1, network.features.out_channels, 2, 3)
    assert features.min() < 0
    by_hand = network.classifier(features.clamp(min=0).mean(dim=(2, 3)))
    torch.testing.assert_close(network(images), by_hand)


def test_backward_hooks_on_features_work() -> None:
    """In-place rectification after the last normalisation makes torch refuse these hooks."""
    network = settled(DenseNetConfig(**SMALL, in_channels=1, out_channels=2))
    gradients = []
    network.features.norm5.register_full_backward_hook(lambda _part, _inputs, outputs: gradients.append(outputs[0]))
    network(noise(1, 1, 64, 64))[0, 1].backward()
    assert gradients[0].shape == (1, network.features.out_channels, 2, 2)


def test_encoder_of_161_has_the_published_size() -> None:
    with torch.device("meta"):
        network = DenseNet(DenseNetConfig(variant=161, out_channels=1000))
    assert sum(parameter.numel() for parameter in network.features.parameters()) == 26_472_000
    assert network.features.tap_channels == (96, 384, 768, 2112)
    assert network.features.out_channels == 2208


def test_29_pixels_need_no_padding_and_28_do() -> None:
    network = settled(DenseNetConfig(**SMALL, in_channels=1, out_channels=2))
    assert network.features(noise(1, 1, 29, 29)).shape[2:] == (1, 1)
    assert network(noise(1, 1, 28, 28)).shape == (1, 2)
    assert network(noise(1, 1, 1, 1)).shape == (1, 2)


def test_new_weights_are_he_normal() -> None:
    network = build(DenseNetConfig(variant=121, out_channels=2))
    kernel = network.features.denseblock4.denselayer16.conv1.weight
    assert kernel.std().item() == pytest.approx((2 / 992) ** 0.5, rel=0.02)
    assert not network.classifier.bias.any()


def test_more_classes_cost_a_row_and_a_bias_each() -> None:
    few, many = (parameter_count(DenseNetConfig(out_channels=classes)) for classes in (1, 4))
    assert many - few == 3 * (1024 + 1)
