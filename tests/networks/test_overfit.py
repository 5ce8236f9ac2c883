"""Every network learns two cases by heart, which a wrong gradient, a lost skip or a misplaced map would prevent."""

from typing import Any

import pytest
import torch
from monai.losses import DiceLoss
from torch import Tensor, nn
from torch.nn import functional

from networks.build import build
from networks.configs import (
    DenseNetConfig,
    DenseUNet3DConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetConfig,
    UNetPlusPlusConfig,
)
from networks.h_dense_unet import adjacent_slices
from tests.pipelines.liver_scene import BALL, BODY, LIVER, OVAL, Ellipsoid, field_of_view, scan, truth

DENSE = {"block_config": (2, 2, 2, 2), "growth_rate": 8, "init_features": 16, "norm_momentum": 0.1}
DENSE_2D = DenseUNetConfig(**DENSE, feature_channels=16, dropout=0.0)
DENSE_3D = DenseUNet3DConfig(**DENSE, feature_channels=16)
UNET = {"features": (8, 16, 32), "out_channels": 3, "normalisation": "batch", "deep_supervision": True}
BASELINE = {"features": (8, 16, 32), "out_channels": 3, "normalisation": "batch"}
# Two patients: one with a large tumour in the middle, one with a tumour elsewhere and the liver lower down.
PATIENTS = (
    (BODY, LIVER, OVAL, BALL),
    (
        BODY,
        Ellipsoid((-8, -6, -10), (30, 30, 28), LIVER.hu, -15),
        Ellipsoid((-10, -12, -12), (12, 9, 11), OVAL.hu),
    ),
)


@pytest.fixture(scope="module")
def cases() -> tuple[Tensor, Tensor]:
    """CT in hundreds of HU (2, 1, D, H, W) and labels (2, D, H, W), 3 x 3 x 4 mm."""
    grid = field_of_view((3.0, 3.0, 4.0), (96, 96, 80))
    volumes = [torch.from_numpy(scan(grid, parts).slices().copy()) for parts in PATIENTS]
    labels = [torch.from_numpy(truth(grid, parts).transpose(2, 1, 0).copy()) for parts in PATIENTS]
    clipped = torch.stack(volumes)[:, None].float().clamp(-200, 250) / 100
    return clipped, torch.stack(labels).long()


# What H-DenseUNet's authors weigh background, liver and tumour with.
WEIGHTS = torch.tensor([0.78, 0.65, 8.57])


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    overlap = DiceLoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)
    return functional.cross_entropy(logits, labels, WEIGHTS) + overlap(logits, labels[:, None])


def learn(network: nn.Module, images: Tensor, labels: Tensor, steps: int, peak: float = 1e-2) -> None:
    """Every head of every step sees both cases."""
    network.train()
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad])
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, total_steps=steps)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        answer = network(images)
        heads = [answer] if isinstance(answer, Tensor) else answer
        sum(loss(logits, labels) for logits in heads).backward()
        optimiser.step()
        cycle.step()


def dice(network: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """Of liver and of tumours, in evaluation mode."""
    network.eval()
    with torch.no_grad():
        found = network(images).argmax(dim=1)
    return [
        2.0 * ((found == c) & (labels == c)).sum().item() / ((found == c).sum() + (labels == c).sum()).item()
        for c in (1, 2)
    ]


def slices_of(cases: tuple[Tensor, Tensor], channels: int) -> tuple[Tensor, Tensor]:
    """Every second slice on its own, between its neighbours where there are three channels."""
    volumes, labels = cases
    images = adjacent_slices(volumes) if channels == 3 else volumes
    return images.transpose(1, 2).flatten(0, 1)[::2], labels.flatten(0, 1)[::2]


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        pytest.param(DENSE_2D, 150, id="dense_unet"),
        pytest.param(DENSE_2D.model_copy(update={"scse": "sum", "in_channels": 1}), 150, id="dense_unet scse"),
        pytest.param(UNetPlusPlusConfig(**UNET), 100, id="unet_plus_plus"),
        pytest.param(
            UNetPlusPlusConfig(**UNET | {"normalisation": "none", "dropout": 0.1}), 200, id="unet_plus_plus plain"
        ),
        pytest.param(
            UNetPlusPlusConfig(
                features=(8, 8, 16, 16),
                out_channels=3,
                encoder={"block_config": (2, 2, 2), "growth_rate": 8, "init_features": 16},
            ),
            80,
            id="unet_plus_plus with a dense encoder",
        ),
        pytest.param(UNetConfig(**BASELINE), 100, id="unet"),
    ],
)
def test_2d_networks(config: NetworkConfig, steps: int, cases: tuple[Tensor, Tensor]) -> None:
    images, labels = slices_of(cases, config.in_channels)
    network = build(config)
    learn(network, images, labels, steps)
    assert min(dice(network, images, labels)) >= 0.95


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        pytest.param(DENSE_3D, 150, id="dense_unet_3d"),
        pytest.param(DENSE_3D.model_copy(update={"skips": False}), 200, id="dense_unet_3d without skips"),
        pytest.param(UNetPlusPlusConfig(**UNET, spatial_dims=3), 70, id="unet_plus_plus 3d"),
        pytest.param(UNetConfig(**BASELINE, spatial_dims=3, units="doubling"), 140, id="unet 3d"),
    ],
)
def test_3d_networks(config: NetworkConfig, steps: int, cases: tuple[Tensor, Tensor]) -> None:
    network = build(config)
    learn(network, *cases, steps)
    assert min(dice(network, *cases)) >= 0.95


def test_hybrid_in_its_three_stages(cases: tuple[Tensor, Tensor]) -> None:
    volumes, labels = cases
    state: dict[str, Any] | None = None
    for stage, steps, peak in (("slices", 100, 1e-2), ("volume", 120, 1e-2), ("end_to_end", 30, 2e-3)):
        config = HDenseUNetConfig(
            slice_network=DENSE_2D,
            volume_network=DENSE_3D.model_copy(update={"in_channels": 4}),
            stage=stage,
            context_scale=1.0,
            dropout=0.0,
            norm_momentum=0.1,
        )
        network = build(config)
        if state is not None:
            network.load_state_dict(state)
        learn(network, volumes, labels, steps, peak)
        state = network.state_dict()
    assert min(dice(network, volumes, labels)) >= 0.95
    # Trained weights, unlike random ones, leave few voxels undecided: half the digits change next to no label.
    shifted = volumes.roll((1, 2, -3), (2, 3, 4)) + 0.1
    with torch.no_grad():
        exact = network(shifted).argmax(dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(shifted).argmax(dim=1)
    assert (exact == rough).float().mean().item() >= 0.995
    anything = (exact > 0) | (rough > 0)
    assert (exact == rough)[anything].float().mean().item() >= 0.99


@pytest.mark.parametrize("dims", [2, 3])
def test_classifiers(dims: int, cases: tuple[Tensor, Tensor]) -> None:
    volumes = cases[0]
    images = volumes if dims == 3 else slices_of(cases, 1)[0]
    # In 3D: which patient; in 2D: does the slice show a tumour.
    wanted = torch.tensor([0, 1]) if dims == 3 else (slices_of(cases, 1)[1] == 2).flatten(1).any(1).long()
    assert wanted.unique().tolist() == [0, 1]
    config = DenseNetConfig(
        block_config=(2, 2, 2), growth_rate=8, init_features=16, spatial_dims=dims, in_channels=1, out_channels=2
    )
    network = build(config).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad(set_to_none=True)
        functional.cross_entropy(network(images), wanted).backward()
        optimiser.step()
    with torch.no_grad():
        assert (network.eval()(images).argmax(dim=1) == wanted).all()
