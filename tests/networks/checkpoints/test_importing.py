"""Published DenseNets in: the same numbers as the foreign network, every tensor accounted for, or a refusal."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from monai.networks.nets.densenet import DenseNet as MonaiDenseNet
from safetensors.torch import save_file
from torch import Tensor, nn

from networks.build import build
from networks.checkpoints.imported import CheckpointRefused, Imported
from networks.checkpoints.importing import import_checkpoint
from networks.checkpoints.targets import Wishes
from networks.configs import DenseNetConfig, DenseUNetConfig
from tests.networks.checkpoints.foreign_networks import (
    SMALL,
    WIDTHS,
    CheXNet,
    KimiaNet,
    TorchvisionDenseNet,
    TorchXRayVision,
    arnoweng_file,
    in_parallel,
    lived_in,
    old_names,
    pixels,
    torch_file,
)

# Written down once more: ChestX-ray14 in the order of the repositories, in the project's spelling.
CHEXNET_LABELS = [
    *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia"),
    *("pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural_thickening", "hernia"),
]
XRAYVISION_LABELS = [
    *("atelectasis", "consolidation", "infiltration", "pneumothorax", "edema", "emphysema", "fibrosis"),
    *("effusion", "pneumonia", "pleural_thickening", "cardiomegaly", "nodule", "mass", "hernia"),
    *("lung_lesion", "fracture", "lung_opacity", "enlarged_cardiomediastinum"),
]


@pytest.fixture(scope="module")
def imagenet() -> nn.Module:
    return lived_in(TorchvisionDenseNet(WIDTHS[121]))


@pytest.fixture(scope="module")
def chexnet() -> nn.Module:
    return lived_in(CheXNet(), seed=1)


def loaded(imported: Imported) -> nn.Module:
    """Our network with the import, strictly."""
    network = build(imported.config, seed=99)
    network.load_state_dict(dict(imported.tensors), strict=True)
    return network.eval()


def logits(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)


def same(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def accounted_for(imported: Imported, state: Mapping[str, Tensor]) -> None:
    """Every tensor of ours came from somewhere, every tensor of theirs went somewhere, none went twice."""
    assert [one.ours for one in imported.mapped] == list(build(imported.config, device="meta").state_dict())
    used = [theirs for one in imported.mapped for theirs in one.theirs]
    assert sorted([*used, *imported.left_out]) == sorted(state)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_torchvision(imagenet: nn.Module, tmp_path: Path, prefix: str) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in imagenet.state_dict().items()}
    assert len(state) == 727
    imported = import_checkpoint(torch_file(state, tmp_path / "a.pth"), "densenet121")
    assert imported.config == DenseNetConfig(variant=121, out_channels=1000)
    assert imported.counts()["renamed" if prefix else "as it is"] == 727
    accounted_for(imported, state)
    assert imported.input is not None
    assert imported.input.mean == (0.485, 0.456, 0.406)
    assert "ImageNet" in imported.trained_on
    same(logits(loaded(imported), pixels(2, 3, 45, 64)), logits(imagenet, pixels(2, 3, 45, 64)))


def test_torchvision_with_its_older_names(imagenet: nn.Module, tmp_path: Path) -> None:
    state = old_names(imagenet.state_dict())
    imported = import_checkpoint(torch_file(state, tmp_path / "a.pth"), "densenet121")
    # 58 dense layers of two convolutions and two normalisations of four tensors; 121 normalisations.
    assert imported.counts() == {
        "as it is": 26,
        "renamed": 580,
        "converted": 0,
        "folded": 0,
        "set": 121,
        "drawn anew": 0,
    }
    accounted_for(imported, state)
    counters = [one for one in imported.mapped if not one.theirs]
    assert all("starts at 0" in one.how and imported.tensors[one.ours].item() == 0 for one in counters)
    same(logits(loaded(imported), pixels(1, 3, 64, 64)), logits(imagenet, pixels(1, 3, 64, 64)))


@pytest.mark.parametrize("variant", [169, 201])
def test_other_widths(variant: int, tmp_path: Path) -> None:
    network = lived_in(TorchvisionDenseNet(WIDTHS[variant], classes=2))
    path = tmp_path / "a.safetensors"
    save_file(network.state_dict(), path)
    imported = import_checkpoint(path, f"densenet{variant}")
    assert imported.config == DenseNetConfig(variant=variant, out_channels=2)
    assert imported.trained_on == "unknown"
    same(logits(loaded(imported), pixels(1, 3, 32, 32)), logits(network, pixels(1, 3, 32, 32)))


def test_chexnet_of_arnoweng_has_its_sigmoid_once(chexnet: nn.Module, tmp_path: Path) -> None:
    imported = import_checkpoint(arnoweng_file(chexnet, tmp_path / "model.pth.tar"), "chexnet")
    assert imported.config == DenseNetConfig(variant=121, out_channels=14)
    assert list(imported.labels) == CHEXNET_LABELS
    assert any("sigmoid" in note for note in imported.notes)
    theirs = logits(chexnet, pixels(2, 3, 64, 64))
    assert 0.0 <= theirs.min() < theirs.max() <= 1.0
    ours = logits(loaded(imported), pixels(2, 3, 64, 64))
    same(torch.sigmoid(ours), theirs)
    assert (torch.sigmoid(theirs) - theirs).abs().max() > 0.1  # a second one would show


@pytest.mark.parametrize("variant", [121, 169])
def test_chexnet_of_zoogzog(variant: int, tmp_path: Path) -> None:
    network = lived_in(CheXNet(variant))
    document = {"epoch": 3, "state_dict": in_parallel(network.state_dict()), "best_loss": torch.tensor(0.1)}
    document["optimizer"] = {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]}
    imported = import_checkpoint(torch_file(document, tmp_path / "m.pth.tar"), "chexnet")
    assert imported.config == DenseNetConfig(variant=variant, out_channels=14)
    accounted_for(imported, document["state_dict"])
    images = pixels(1, 3, 32, 32)
    same(torch.sigmoid(logits(loaded(imported), images)), logits(network, images))


def test_renaming_only_the_prefix_leaves_nothing_random(chexnet: nn.Module, tmp_path: Path) -> None:
    """With strict=False it leaves 580 tensors as they were drawn, without a word."""
    original = old_names(chexnet.state_dict())
    renamed = {name.removeprefix("densenet121."): tensor for name, tensor in original.items()}
    headed = {name.replace("classifier.0.", "classifier."): tensor for name, tensor in renamed.items()}
    careless = build(DenseNetConfig(variant=121, out_channels=14)).load_state_dict(headed, strict=False)
    assert sum(not name.endswith("num_batches_tracked") for name in careless.missing_keys) == 580

    whole = import_checkpoint(arnoweng_file(chexnet, tmp_path / "model.pth.tar"), "chexnet")
    for state, network in ((renamed, "chexnet"), (headed, "densenet121")):
        imported = import_checkpoint(torch_file(state, tmp_path / "renamed.pth"), network)
        assert imported.counts()["renamed"] + imported.counts()["as it is"] == 606
        assert imported.counts()["drawn anew"] == 0
        assert all(torch.equal(whole.tensors[name], tensor) for name, tensor in imported.tensors.items())
    with pytest.raises(CheckpointRefused, match=r"a CheXNet file of DenseNet-121.*use --as chexnet"):
        import_checkpoint(torch_file(renamed, tmp_path / "renamed.pth"), "densenet121")


def test_kimianet_pools_before_the_relu(tmp_path: Path) -> None:
    network = lived_in(KimiaNet())
    state = in_parallel(network.state_dict())
    assert "module.model.0.denseblock4.denselayer16.conv2.weight" in state
    imported = import_checkpoint(torch_file(state, tmp_path / "KimiaNetPyTorchWeights.pth"), "kimianet")
    assert imported.config == DenseNetConfig(variant=121, out_channels=30, rectified=False)
    accounted_for(imported, state)
    ours, images = loaded(imported), pixels(2, 3, 64, 96)
    with torch.no_grad():
        features, theirs = network(images)
        pooled = ours.features(images).mean(dim=(2, 3))
        same(pooled, features)
        same(ours(images), theirs)
        # Rectified first, as every other DenseNet is, it would be another network.
        rectified = ours.classifier(ours.features(images).clamp(min=0).mean(dim=(2, 3)))
        assert (rectified - theirs).abs().max() > 0.1
    assert any("before the last ReLU" in note for note in imported.notes)


THRESHOLDS = torch.linspace(0.01, 0.2, 18)


def test_torchxrayvision(tmp_path: Path) -> None:
    thresholds = THRESHOLDS.clone()
    thresholds[[14, 16, 17]] = math.nan
    network = lived_in(TorchXRayVision(thresholds))
    state = network.state_dict()
    assert len(state) == 728
    imported = import_checkpoint(torch_file(state, tmp_path / "nih.pt"), "torchxrayvision")
    assert imported.config == DenseNetConfig(variant=121, in_channels=1, out_channels=18)
    untrained = {14, 16, 17}
    assert list(imported.labels) == [
        "" if index in untrained else label for index, label in enumerate(XRAYVISION_LABELS)
    ]
    assert imported.operating_points == {
        label: thresholds[index].item() for index, label in enumerate(XRAYVISION_LABELS) if index not in untrained
    }
    assert list(imported.left_out) == ["op_threshs"]
    accounted_for(imported, state)
    assert imported.input is not None
    assert (imported.input.low, imported.input.high, imported.input.channels) == (-1024.0, 1024.0, 1)
    images = 1024 * pixels(1, 1, 64, 64).clamp(-1, 1)
    same(logits(loaded(imported), images), logits(network, images))


def test_torchxrayvision_with_thresholds_beside_the_weights_or_nowhere(tmp_path: Path) -> None:
    state = lived_in(TorchXRayVision(None)).state_dict()
    beside = {"model": state, "op_threshs": THRESHOLDS.double().tolist()}
    imported = import_checkpoint(torch_file(beside, tmp_path / "a.pt"), "torchxrayvision")
    assert list(imported.operating_points) == XRAYVISION_LABELS == list(imported.labels)
    without = import_checkpoint(torch_file(state, tmp_path / "b.pt"), "torchxrayvision")
    assert without.operating_points == {}
    assert any("no operating points" in note for note in without.notes)
    wrong = torch_file({"model": state, "op_threshs": [0.5]}, tmp_path / "c.pt")
    with pytest.raises(CheckpointRefused, match="a threshold for each of 18 outputs; got 1"):
        import_checkpoint(wrong, "torchxrayvision")


@pytest.mark.parametrize(
    ("dims", "widths", "network"),
    [(2, WIDTHS[121], "densenet121"), (3, SMALL, "densenet"), (2, ((2, 2, 2), 4, 8), "densenet")],
)
def test_monai(dims: int, widths: tuple[tuple[int, ...], int, int], network: str, tmp_path: Path) -> None:
    blocks, growth, width = widths
    theirs = lived_in(MonaiDenseNet(dims, 2, 3, width, growth, blocks))
    imported = import_checkpoint(torch_file(theirs.state_dict(), tmp_path / "model.pt"), network)
    assert isinstance(imported.config, DenseNetConfig)
    assert (imported.config.spatial_dims, imported.config.widths) == (dims, widths)
    accounted_for(imported, theirs.state_dict())
    images = pixels(1, 2, *(33,) * dims)
    same(logits(loaded(imported), images), logits(theirs, images))


def test_imagenet_densenet_161_into_dense_unet_167(tmp_path: Path) -> None:
    network = lived_in(TorchvisionDenseNet(WIDTHS[161]))
    state = old_names(network.state_dict())
    imported = import_checkpoint(torch_file(state, tmp_path / "densenet161.pth"), "dense_unet_167", Wishes(seed=5))
    assert imported.config == DenseUNetConfig(variant=161)
    assert set(imported.left_out) == {"classifier.weight", "classifier.bias"}
    accounted_for(imported, state)
    anew = {one.ours for one in imported.mapped if one.kind == "drawn anew"}
    assert {name.partition(".")[0] for name in anew} == {"decoder", "head"}
    fresh = build(imported.config, seed=5).state_dict()
    assert all(torch.equal(imported.tensors[name], fresh[name]) for name in anew)
    assert "drawn anew" in imported.trained_on
    images = pixels(1, 3, 64, 32)
    with torch.no_grad():
        ours, theirs = loaded(imported).encoder(images), network.maps(images)
    # The epsilons of normalisations differ by 1e-6, of variances of a half and more.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_any_trunk_becomes_an_encoder(tmp_path: Path) -> None:
    monai = torch_file(lived_in(MonaiDenseNet(2, 1, 2, 8, 4, (2, 3, 2, 2))).state_dict(), tmp_path / "a.pt")
    imported = import_checkpoint(monai, "dense_unet", Wishes(labels=("background", "nucleus")))
    assert isinstance(imported.config, DenseUNetConfig)
    assert (imported.config.in_channels, imported.config.out_channels) == (1, 2)
    assert imported.labels == ("background", "nucleus")
    loaded(imported)
    for dims, channels, told in ((2, 2, "1 or 3 channels"), (3, 1, "a 2D DenseNet")):
        other = torch_file(MonaiDenseNet(dims, channels, 2, 8, 4, (2, 3, 2, 2)).state_dict(), tmp_path / "b.pt")
        with pytest.raises(CheckpointRefused, match=told):
            import_checkpoint(other, "dense_unet")


def test_names_and_widths_must_agree(tmp_path: Path) -> None:
    inner = CheXNet(121).state_dict()
    lying = {name.replace("densenet121.", "densenet169."): tensor for name, tensor in inner.items()}
    with pytest.raises(CheckpointRefused, match=r"a DenseNet-169, as the names in the file say; got .*DenseNet-121"):
        import_checkpoint(torch_file(lying, tmp_path / "a.pth"), "chexnet")


def test_another_number_of_outputs_needs_their_names(tmp_path: Path) -> None:
    path = torch_file(CheXNet(classes=2).state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointRefused, match=r"14 outputs for chexnet.*--labels"):
        import_checkpoint(path, "chexnet")
    assert import_checkpoint(path, "chexnet", Wishes(labels=("a", "b"), trained_on="mine")).labels == ("a", "b")
    with pytest.raises(CheckpointRefused, match="2 labels, one per output; got 3"):
        import_checkpoint(
            torch_file(TorchvisionDenseNet(SMALL, classes=2).state_dict(), tmp_path / "b.pth"),
            "densenet",
            Wishes(labels=("a", "b", "c")),
        )


def test_half_precision_is_told(tmp_path: Path) -> None:
    network = lived_in(TorchvisionDenseNet(SMALL, classes=2))
    half = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    imported = import_checkpoint(torch_file(half, tmp_path / "a.pth"), "densenet")
    assert {one.how for one in imported.mapped} == {"float16 to float32", "as it is"}
    assert all(t.dtype in {torch.float32, torch.int64} for t in imported.tensors.values())
    torch.testing.assert_close(
        logits(loaded(imported), pixels(1, 3, 32, 32)), logits(network, pixels(1, 3, 32, 32)), rtol=0.02, atol=0.02
    )
