"""One channel in place of three: the same numbers as the network for RGB, and where not, exactly where not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.build import build
from networks.checkpoints.grey_stem import grey_stem
from networks.checkpoints.imported import CheckpointRefused, Imported
from networks.checkpoints.importing import import_checkpoint
from networks.checkpoints.targets import Wishes
from networks.configs import Input
from tests.networks.checkpoints.foreign_networks import (
    SMALL,
    TorchvisionDenseNet,
    TorchXRayVision,
    lived_in,
    pixels,
    torch_file,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
GREY = Wishes(in_channels=1)


def network_of(imported: Imported) -> nn.Module:
    network = build(imported.config)
    network.load_state_dict(dict(imported.tensors), strict=True)
    return network.eval()


def per_channel(grey: Tensor) -> Tensor:
    """(N, 1, H, W) in [0, 1] as (N, 3, H, W), normalised as ImageNet's images are."""
    return (grey.expand(-1, 3, -1, -1) - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)


def test_three_equal_channels_give_the_same_logits(tmp_path: Path) -> None:
    network = lived_in(TorchvisionDenseNet(SMALL, classes=5))
    path = torch_file(network.state_dict(), tmp_path / "a.pth")
    imported = import_checkpoint(path, "densenet", GREY)
    assert imported.config.in_channels == 1
    assert imported.counts()["converted"] == 1
    assert imported.counts()["folded"] == 0
    assert any("sum of that for RGB" in note for note in imported.notes)
    grey = pixels(2, 1, 45, 64)
    with torch.no_grad():
        theirs = network(grey.expand(-1, 3, -1, -1))
        torch.testing.assert_close(network_of(imported)(grey), theirs, rtol=1e-5, atol=1e-5)
        # What a mean over the kernels, as some loaders take it, would have given.
        network.features.conv0.weight.div_(3)
        assert (network(grey.expand(-1, 3, -1, -1)) - theirs).abs().max() > 0.1


@pytest.fixture(scope="module")
def imagenet() -> nn.Module:
    """Of published classes, so that what pixels it expects is known."""
    return lived_in(TorchvisionDenseNet(SMALL, classes=1000))


def test_normalisation_per_channel_is_folded_in_exactly_but_for_the_edge(imagenet: nn.Module, tmp_path: Path) -> None:
    imported = import_checkpoint(torch_file(imagenet.state_dict(), tmp_path / "a.pth"), "densenet", GREY)
    assert imported.input is not None
    assert imported.input.channels == 1
    assert imported.input.mean == pytest.approx([sum(MEAN) / 3], abs=1e-6)
    assert imported.input.std == pytest.approx([sum(STD) / 3], abs=1e-6)
    assert imported.counts()["folded"] == 1
    grey = torch.rand(2, 1, 65, 64, generator=torch.Generator().manual_seed(0))
    features = network_of(imported).features
    with torch.no_grad():
        ours = features.relu0(features.norm0(features.conv0((grey - imported.input.mean[0]) / imported.input.std[0])))
        theirs = imagenet.stem(per_channel(grey))
    assert theirs.shape[2:] == (33, 32)
    torch.testing.assert_close(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=1e-5, atol=1e-5)
    # The note says that the edge differs, and how deep: no deeper, and it does.
    edge = torch.ones(33, 32, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    assert (ours - theirs)[..., edge].abs().max() > 1e-3


def test_equal_statistics_are_exact_to_the_edge() -> None:
    kernel, mean = pixels(8, 3, 7, 7).double(), pixels(8, seed=1).double()
    stem = grey_stem(kernel, mean, Input(scale="grey thrice", channels=3, mean=(0.5,) * 3, std=(0.25,) * 3))
    assert stem.input is not None
    assert (stem.input.mean, stem.input.std) == ((0.5,), (0.25,))
    z = pixels(1, 1, 16, 16, seed=2).double()
    theirs = functional.conv2d(z.expand(-1, 3, -1, -1), kernel, stride=2, padding=3) - mean.reshape(8, 1, 1)
    ours = functional.conv2d(z, stem.kernel, stride=2, padding=3) - stem.running_mean.reshape(8, 1, 1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_an_encoder_has_it_too(imagenet: nn.Module, tmp_path: Path) -> None:
    path = torch_file(imagenet.state_dict(), tmp_path / "a.pth")
    three, one = import_checkpoint(path, "dense_unet"), import_checkpoint(path, "dense_unet", GREY)
    assert (three.config.in_channels, one.config.in_channels) == (3, 1)
    changed = {name for name in three.tensors if not torch.equal(three.tensors[name], one.tensors[name])}
    assert changed == {"encoder.conv0.weight", "encoder.norm0.running_mean"}
    assert network_of(one)(pixels(1, 1, 32, 32)).shape == (1, 3, 32, 32)


def test_it_is_never_made_unasked_and_only_from_three(imagenet: nn.Module, tmp_path: Path) -> None:
    path = torch_file(imagenet.state_dict(), tmp_path / "a.pth")
    assert import_checkpoint(path, "densenet").config.in_channels == 3
    assert import_checkpoint(path, "densenet", Wishes(in_channels=3)).counts()["converted"] == 0
    with pytest.raises(CheckpointRefused, match="1 input channel in place of 3"):
        import_checkpoint(path, "densenet", Wishes(in_channels=2))
    film = torch_file(TorchXRayVision(None).state_dict(), tmp_path / "film.pt")
    assert import_checkpoint(film, "torchxrayvision", GREY).config.in_channels == 1
    with pytest.raises(CheckpointRefused, match="1 input channel in place of 3"):
        import_checkpoint(film, "torchxrayvision", Wishes(in_channels=3))
