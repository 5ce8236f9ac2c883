import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from networks.configs import (
    DENSENET_VARIANTS,
    DenseNetConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetPlusPlusConfig,
)

ANY: TypeAdapter[Any] = TypeAdapter(NetworkConfig)


def test_reading_configs_needs_no_torch() -> None:
    code = "import sys, networks, networks.configs; sys.exit(bool({'torch', 'monai', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"name": "densenet", "variant": 169, "out_channels": 14}, DenseNetConfig),
        ({"name": "dense_unet", "block_config": [3, 6, 8, 6], "growth_rate": 16, "init_features": 32}, DenseUNetConfig),
        ({"name": "unet_plus_plus", "features": [8, 16, 32]}, UNetPlusPlusConfig),
    ],
)
def test_name_decides_the_kind(given: dict[str, Any], kind: type) -> None:
    assert type(ANY.validate_python(given)) is kind


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            {"name": "dense_net", "out_channels": 2},
            "'densenet', 'dense_unet', 'dense_unet_3d', 'h_dense_unet', 'unet', 'unet_plus_plus'",
        ),
        ({"variant": 121}, "Unable to extract tag"),
        ({"name": "densenet"}, "out_channels"),
        ({"name": "densenet", "out_channels": 2, "varient": 121}, "varient"),
        ({"name": "densenet", "out_channels": 0}, "greater than 0"),
        ({"name": "densenet", "out_channels": 2, "variant": 122}, "121, 161, 169, 201 or 264"),
        ({"name": "densenet", "out_channels": 2, "growth_rate": 8}, "together"),
        (
            {"name": "dense_unet", "variant": 161, "growth_rate": 8, "init_features": 8, "block_config": [2, 2]},
            "variant or explicit widths, got both",
        ),
        ({"name": "dense_unet", "in_channels": 2}, "1 or 3"),
        ({"name": "dense_unet", "dropout": 1.0}, "less than 1"),
        ({"name": "unet_plus_plus", "level": 5}, "level of at most 4.*, got 5"),
        ({"name": "unet_plus_plus", "deep_supervision": False}, "mode: fast or deep_supervision: true"),
        ({"name": "unet_plus_plus", "activation": "softmax"}, "softmax over a single class"),
        ({"name": "unet_plus_plus", "features": [8]}, "at least 2"),
    ],
)
def test_what_makes_no_network_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ANY.validate_python(given)


def test_configs_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DenseUNetConfig().skips = False  # type: ignore[misc]


def test_every_field_is_described() -> None:
    for kind in (DenseNetConfig, DenseUNetConfig, UNetPlusPlusConfig):
        assert [name for name, field in kind.model_fields.items() if not field.description] == []


def test_defaults_are_the_published_networks() -> None:
    assert DenseNetConfig(out_channels=1).widths == DENSENET_VARIANTS[121] == ((6, 12, 24, 16), 32, 64)
    assert DenseUNetConfig().widths == DENSENET_VARIANTS[161] == ((6, 12, 36, 24), 48, 96)
    assert UNetPlusPlusConfig().features == (32, 64, 128, 256, 512)
    assert UNetPlusPlusConfig().depth == 4


@pytest.mark.parametrize("variant", [121, 161, 169, 201])
def test_depth_is_what_the_name_says(variant: Any) -> None:
    """Huang et al., table 1: stem, two convolutions per layer, three transitions, classifier (264, alone, has 265)."""
    layers = DenseNetConfig(variant=variant, out_channels=1).widths.block_config
    assert 1 + 2 * sum(layers) + 3 + 1 == variant


@pytest.mark.parametrize(
    ("config", "feeding"),
    [
        (DenseNetConfig(out_channels=2, spatial_dims=3, in_channels=1), (3, 1, 1)),
        (DenseUNetConfig(), (2, 3, 32)),
        (DenseUNetConfig(in_channels=1, block_config=(1, 1, 1), growth_rate=2, init_features=4), (2, 1, 16)),
        (UNetPlusPlusConfig(spatial_dims=3, in_channels=4), (3, 4, 16)),
        (UNetPlusPlusConfig(level=2), (2, 1, 16)),
    ],
)
def test_how_a_volume_is_fed(config: Any, feeding: tuple[int, int, int]) -> None:
    assert (config.spatial_dims, config.in_channels, config.divisor) == feeding


def test_widths_are_the_same_however_they_are_said() -> None:
    said = DenseNetConfig(out_channels=2, block_config=(6, 12, 24, 16), growth_rate=32, init_features=64)
    assert said != DenseNetConfig(out_channels=2)
    assert (
        said.identity()
        == DenseNetConfig(out_channels=2).identity()
        == DenseNetConfig(variant=121, out_channels=2).identity()
    )
    assert said.identity() != DenseNetConfig(variant=169, out_channels=2).identity()


def test_how_weights_are_learnt_is_no_part_of_what_they_compute() -> None:
    assert DenseUNetConfig(dropout=0.1, checkpointing=True).identity() == DenseUNetConfig().identity()
    assert DenseUNetConfig(skips=False).identity() != DenseUNetConfig().identity()
    trained = HDenseUNetConfig(stage="slices", slice_network=DenseUNetConfig(dropout=0.0))
    assert trained.identity() == HDenseUNetConfig().identity()
    assert HDenseUNetConfig(context="logits").identity() != HDenseUNetConfig().identity()
