"""Features are the mean of the last normalisation's output, before a ReLU, whoever's weights they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from datasets.errors import WeightsError
from networks.configs import NetworkConfig, UNetConfig
from pipelines.patch_features import FeatureNetwork
from pipelines.weights_import import Destination, import_weights
from tests.networks.checkpoints.foreign_networks import KimiaNet, in_parallel, lived_in, torch_file
from tests.pipelines.patch_files import NARROW, narrow_weights


def patches(count: int, size: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def imagenet(pixels: np.ndarray) -> torch.Tensor:
    shown = torch.from_numpy((pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225))
    return shown.permute(0, 3, 1, 2).float()


def test_features_are_those_computed_by_hand(tmp_path: Path) -> None:
    found = FeatureNetwork.load(str(narrow_weights(tmp_path)))
    x = imagenet(patches(3))
    parts = dict(found.network.features.named_children())
    with torch.no_grad():
        for name, part in parts.items():
            if name == "norm3":  # the last: two blocks
                x = functional.batch_norm(x, part.running_mean, part.running_var, part.weight, part.bias, eps=1e-5)
            else:
                x = part(x)
    assert (x < 0).any(), "a ReLU would change this"
    by_hand = x.sum(dim=(2, 3)).numpy() / (x.shape[2] * x.shape[3])
    by_hand /= np.sqrt((by_hand**2).sum(axis=1, keepdims=True))
    seen = found.features(patches(3))
    assert seen.shape == (3, found.width) == (3, found.network.classifier.in_features)
    np.testing.assert_allclose(seen, by_hand, atol=1e-6)


def test_imported_kimianet_gives_its_1024_features(tmp_path: Path) -> None:
    theirs = lived_in(KimiaNet())
    file = torch_file(in_parallel(theirs.state_dict()), tmp_path / "KimiaNetPyTorchWeights.pth")
    import_weights(file, "kimianet", destination=Destination(tmp_path / "kimia.safetensors"))
    found = FeatureNetwork.load(str(tmp_path / "kimia.safetensors"))
    with torch.no_grad():
        published, _ = theirs(imagenet(patches(2, 64)))
    expected = functional.normalize(published, dim=1).numpy()
    assert found.width == 1024
    np.testing.assert_allclose(found.features(patches(2, 64)), expected, atol=2e-5)


def test_a_patch_is_described_alike_in_any_batch(tmp_path: Path) -> None:
    found = FeatureNetwork.load(str(narrow_weights(tmp_path)))
    many = patches(70)
    together = found.features(many)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)
    for at in (0, 63, 64, 69):
        np.testing.assert_allclose(found.features(many[at : at + 1])[0], together[at], atol=1e-5)
    assert found.features(many[:0]).shape == (0, found.width)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (UNetConfig(in_channels=3, features=(4, 8)), "weights of a DenseNet.*unet"),
        (NARROW.model_copy(update={"in_channels": 1}), "colour pictures.*1 channels"),
        (NARROW.model_copy(update={"spatial_dims": 3}), "colour pictures.*3D"),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, config: NetworkConfig, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        FeatureNetwork.load(str(narrow_weights(tmp_path, config=config)))


def test_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\0" * 20)
    for name in (str(broken), str(tmp_path / "none.safetensors"), "no_such_weights"):
        with pytest.raises(WeightsError):
            FeatureNetwork.load(name)


def test_patches_too_small_for_the_trunk_are_refused(tmp_path: Path) -> None:
    found = FeatureNetwork.load(str(narrow_weights(tmp_path)))
    with pytest.raises(ValueError, match="32 x 32"):
        found.features(patches(1, 31))
