"""Files of our own networks, with their settings or bare, and those of H-DenseUNet's authors."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from networks.build import build
from networks.checkpoints.imported import CheckpointRefused
from networks.checkpoints.importing import import_checkpoint
from networks.checkpoints.targets import Wishes
from networks.configs import (
    DenseNetConfig,
    DenseUNet3DConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetPlusPlusConfig,
)
from tests.networks.checkpoints.foreign_networks import in_parallel, torch_file
from tests.networks.checkpoints.keras_authors_code import (
    NARROW_SLICES,
    narrow_arrays,
    random_arrays,
    slice_shapes,
    write,
)

WIDTHS = {"block_config": (1, 2, 2, 2), "growth_rate": 6, "init_features": 8, "feature_channels": 8}
FLAT, DEEP = DenseUNetConfig(**WIDTHS), DenseUNet3DConfig(**WIDTHS, in_channels=4)


def state(config: NetworkConfig) -> dict[str, Tensor]:
    return dict(build(config, seed=3).state_dict())


@pytest.mark.parametrize(
    "config",
    [
        DenseNetConfig(block_config=(2, 2), growth_rate=4, init_features=8, out_channels=2, dropout=0.1),
        FLAT.model_copy(update={"scse": "max", "skips": False}),
        DenseUNet3DConfig(**WIDTHS, skips=False),
        HDenseUNetConfig(slice_network=FLAT, volume_network=DEEP, context="logits"),
        UNetPlusPlusConfig(features=(4, 8), mode="fast"),
    ],
    ids=lambda config: config.name,
)
def test_a_file_that_says_its_network(config: NetworkConfig, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(state(config), path, metadata={"network": json.dumps(config.model_dump(mode="json"))})
    imported = import_checkpoint(path, config.name)
    assert imported.config == config
    assert imported.layout == "DenseLens"
    assert imported.counts()["as it is"] == len(imported.tensors)
    assert all(torch.equal(imported.tensors[name], tensor) for name, tensor in state(config).items())
    spoiled = state(config)
    del spoiled[next(iter(spoiled))]
    save_file(spoiled, path, metadata={"network": json.dumps(config.model_dump(mode="json"))})
    with pytest.raises(CheckpointRefused, match="1 missing"):
        import_checkpoint(path, config.name)


@pytest.mark.parametrize(
    "config",
    [
        FLAT,
        FLAT.model_copy(update={"skips": False, "in_channels": 1, "out_channels": 2}),
        DEEP,
        HDenseUNetConfig(slice_network=FLAT, volume_network=DEEP),
    ],
    ids=["2D", "2D without skips", "3D", "hybrid"],
)
def test_a_bare_state_dict_says_its_network_by_its_shapes(config: NetworkConfig, tmp_path: Path) -> None:
    path = torch_file(in_parallel(state(config)), tmp_path / "a.pth")
    imported = import_checkpoint(path, config.name)
    assert imported.config == config
    build(imported.config).load_state_dict(dict(imported.tensors), strict=True)


def test_what_shapes_do_not_show_is_told(tmp_path: Path) -> None:
    # As wide at the deepest tap as below it, like DenseUNet-121: no adapter shows whether there are long connections.
    config = DenseUNetConfig(block_config=(1, 1), growth_rate=8, init_features=8, feature_channels=4)
    imported = import_checkpoint(torch_file(state(config), tmp_path / "a.pth"), "dense_unet")
    assert imported.config == config
    assert imported.notes == ("The file does not say and its tensors do not show: skips=True was taken.",)
    hybrid = HDenseUNetConfig(slice_network=FLAT, volume_network=DEEP, context="logits")
    told = import_checkpoint(torch_file(state(hybrid), tmp_path / "b.pth"), "h_dense_unet").notes[0]
    assert "context=probabilities, context_scale=250.0 was taken" in told


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    path = torch_file(state(UNetPlusPlusConfig(features=(4, 8))), tmp_path / "a.pth")
    with pytest.raises(CheckpointRefused, match="a file that says for which network it is"):
        import_checkpoint(path, "unet_plus_plus")
    path = torch_file({k: v for k, v in state(FLAT).items() if not k.startswith("head.")}, tmp_path / "b.pth")
    with pytest.raises(CheckpointRefused, match="every tensor of a DenseUNet"):
        import_checkpoint(path, "dense_unet")
    save_file(state(FLAT), tmp_path / "c.safetensors", metadata={"network": '{"name": "dense_unet", "colour": 1}'})
    with pytest.raises(CheckpointRefused, match="settings of one of our networks"):
        import_checkpoint(tmp_path / "c.safetensors", "dense_unet")


def test_another_network_than_asked_for_is_refused(tmp_path: Path) -> None:
    path = torch_file(state(FLAT), tmp_path / "a.pth")
    for network in ("h_dense_unet", "dense_unet_167", "densenet121", "chexnet"):
        with pytest.raises(CheckpointRefused, match="a DenseLens file of dense_unet; use --as dense_unet"):
            import_checkpoint(path, network)
    mixed = state(FLAT) | {f"slice_network.{name}": tensor for name, tensor in state(DEEP).items()}
    with pytest.raises(CheckpointRefused):
        import_checkpoint(torch_file(mixed, tmp_path / "b.pth"), "h_dense_unet")


def test_keras_files_are_the_hybrid_or_its_2d_network(tmp_path: Path) -> None:
    write(tmp_path / "hybrid.h5", narrow_arrays())
    hybrid = import_checkpoint(tmp_path / "hybrid.h5", "h_dense_unet", Wishes(trained_on="LiTS"))
    assert isinstance(hybrid.config, HDenseUNetConfig)
    assert hybrid.trained_on == "LiTS"
    with pytest.raises(CheckpointRefused, match="of h_dense_unet; use --as h_dense_unet"):
        import_checkpoint(tmp_path / "hybrid.h5", "dense_unet_167")
    with pytest.raises(CheckpointRefused, match="1 input channel in place of 3"):
        import_checkpoint(tmp_path / "hybrid.h5", "h_dense_unet", Wishes(in_channels=3))
    write(tmp_path / "slices.hdf5", random_arrays(slice_shapes(NARROW_SLICES, long=True)))
    assert isinstance(import_checkpoint(tmp_path / "slices.hdf5", "dense_unet").config, DenseUNetConfig)
    with pytest.raises(CheckpointRefused, match="of dense_unet; use --as dense_unet"):
        import_checkpoint(tmp_path / "slices.hdf5", "h_dense_unet")
