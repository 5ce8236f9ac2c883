"""CAM and what came after it, by formula, by each other, and beside MONAI."""

from typing import Any

import pytest
import torch
from monai.visualize.class_activation_maps import GradCAM as MonaiGradCam
from monai.visualize.class_activation_maps import GradCAMpp as MonaiGradCamPlusPlus
from torch import Tensor, nn
from torch.nn import functional

from datasets.errors import ConfigError
from networks.inference import for_inference
from pipelines.explain.cam import Cam
from pipelines.explain.evidence import gather, recording
from pipelines.explain.grad_cam import GradCam
from pipelines.explain.grad_cam_plus_plus import GradCamPlusPlus
from pipelines.explain.hires_cam import HiResCam
from pipelines.explain.layer_cam import LayerCam
from pipelines.explain.registry import method
from pipelines.explain.targets import ClassLogit, Point
from tests.pipelines.explain import scenes
from tests.pipelines.explain.conftest import network_and_inputs
from tests.pipelines.explain.test_captum import Rectified

TARGETS = [ClassLogit(index) for index in range(4)]
ROWS = torch.arange(2)


@pytest.mark.parametrize("kind", ["densenet", "densenet_3d", "unrectified"])
def test_cam_is_the_sum_of_maps_by_the_rows_of_the_head(kind: str) -> None:
    network, inputs = network_and_inputs(kind, images=2)
    with torch.no_grad():
        maps = network.features(inputs)
        maps = maps if kind == "unrectified" else maps.relu()
        expected = torch.einsum("tk,nk...->nt...", network.classifier.weight, maps)
    evidence = gather(network, inputs, TARGETS, ROWS)
    torch.testing.assert_close(Cam.coarse(evidence), expected)
    # The mean over cells is the logit without its bias.
    logits = network(inputs).detach() - network.classifier.bias
    torch.testing.assert_close(expected.flatten(2).mean(2), logits)


@pytest.mark.parametrize("kind", ["densenet", "densenet_3d", "unrectified"])
def test_grad_cam_is_cam_over_the_number_of_cells(kind: str) -> None:
    network, inputs = network_and_inputs(kind, images=2)
    evidence = gather(network, inputs, TARGETS, ROWS)
    cells = evidence.maps[0, 0].numel()
    assert cells > 1
    torch.testing.assert_close(GradCam.coarse(evidence), Cam.coarse(evidence).relu() / cells)
    torch.testing.assert_close(HiResCam.coarse(evidence), Cam.coarse(evidence) / cells)


@pytest.mark.parametrize("family", [GradCam, GradCamPlusPlus, HiResCam, LayerCam])
def test_the_closed_form_is_what_gradients_give(family: type[GradCam]) -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    closed = gather(network, inputs, TARGETS, ROWS)
    derived = gather(Rectified(network), inputs, TARGETS, ROWS, "relu")
    assert closed.uniform
    assert not derived.uniform
    torch.testing.assert_close(derived.maps, closed.maps)
    torch.testing.assert_close(family.coarse(closed), family.coarse(derived))


def test_cell_by_cell() -> None:
    """On a layer whose gradients differ from cell to cell, by autograd on a network written out here."""
    network, inputs = network_and_inputs("unet", images=1)
    target = Point(1, (6, 11)).bound(network(inputs))
    evidence = gather(network, inputs, [target], torch.arange(1), "analysis.1")
    leaf: list[Tensor] = []
    hook = network.analysis[1].register_forward_hook(lambda _module, _given, answer: leaf.append(answer))
    (gradients,) = torch.autograd.grad(network(inputs)[0, 1, 6, 11], leaf)
    hook.remove()
    maps = leaf[0].detach()
    torch.testing.assert_close(HiResCam.coarse(evidence)[:, 0], (gradients * maps).sum(1))
    torch.testing.assert_close(LayerCam.coarse(evidence)[:, 0], (gradients.relu() * maps).sum(1).relu())
    weights = gradients.mean((2, 3))
    torch.testing.assert_close(GradCam.coarse(evidence)[:, 0], torch.einsum("nk,nkhw->nhw", weights, maps).relu())
    # Grad-CAM++ as sums that are written out, one map at a time.
    total = torch.zeros_like(maps[0, 0])
    for one, slope in zip(maps[0], gradients[0], strict=True):
        below = 2 * slope**2 + one.sum() * slope**3
        alpha = torch.where(below == 0, 0.0, slope**2 / torch.where(below == 0, 1.0, below))
        total += (alpha * slope.relu()).sum() * one
    torch.testing.assert_close(GradCamPlusPlus.coarse(evidence)[0, 0], total.relu())


def test_monais_grad_cam_one_image_at_a_time() -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    theirs: Any = MonaiGradCam(Rectified(network), "relu")
    apart = [theirs.compute_map(inputs[n : n + 1], class_idx=2) for n in range(2)]
    evidence = gather(network, inputs, [ClassLogit(2)], ROWS)
    torch.testing.assert_close(GradCam.coarse(evidence), torch.cat([one.detach() for one in apart]))


def test_monais_grad_cam_plus_plus_where_gradients_are_the_same_everywhere() -> None:
    """But for the exponential of the score, and what it adds to the denominator, which counts for small gradients.

    Elsewhere they differ: it sums A g^3 over cells, where equation 19 has the sum of A times g^3 of the cell.
    """
    network, inputs = network_and_inputs("densenet", images=1)
    with torch.no_grad():
        network.classifier.weight *= 300.0
    theirs: Any = MonaiGradCamPlusPlus(Rectified(network), "relu")
    expected = theirs.compute_map(inputs, class_idx=2).detach()
    score = network(inputs)[0, 2].exp().detach()
    evidence = gather(network, inputs, [ClassLogit(2)], torch.arange(1))
    torch.testing.assert_close(GradCamPlusPlus.coarse(evidence) * score, expected, rtol=1e-5, atol=0.0)
    assert float(expected.max()) > 0.0


def test_monais_default_is_upside_down() -> None:
    network, inputs = network_and_inputs("densenet", images=1)
    inputs = inputs[..., :40, :64]  # A whole number of cells.
    maps = method("grad_cam").explain(network, inputs, TARGETS)[0].flatten(1).double()
    index = int(maps.std(dim=1).argmax())
    theirs = MonaiGradCam(Rectified(network), "relu")(inputs, class_idx=index).detach().flatten()
    ours = maps[index]
    assert torch.corrcoef(torch.stack([theirs, ours]))[0, 1] < -0.9


def test_the_forward_pass_of_somebody_else_is_enough() -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    quick = for_inference(network.float())
    with torch.inference_mode(), recording(quick) as record:
        quick(inputs[:1].float())
        quick(inputs[1:].float())
    evidence = record.evidence(TARGETS)
    found = evidence.on_inputs(GradCam.coarse(evidence), inputs.shape[2:])
    expected = method("grad_cam").explain(network, inputs.float(), TARGETS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_cam_of_the_network_that_scores() -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    expected = method("cam").explain(network, inputs, TARGETS)
    quick = for_inference(network.float())
    torch.testing.assert_close(method("cam").explain(quick, inputs.float(), TARGETS), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="got no call"), recording(quick) as record:
        record.evidence(TARGETS)


def test_cells_lie_where_their_pixels_are() -> None:
    """A bright pixel moves the last map of a network that pads its images at the far end; so moves the explanation."""
    network, _ = network_and_inputs("unet", images=1)  # Halves twice: 21 x 32 is padded to 24 x 32.
    coarse = torch.zeros(1, 1, 6, 8)
    coarse[0, 0, 2, 5] = 1.0
    inputs = torch.zeros(1, 1, 21, 32, dtype=torch.float64)
    evidence = gather(network, inputs, [Point(1, (2, 2)).bound(network(inputs))], torch.arange(1))
    assert evidence.maps.shape[2:] == coarse.shape[2:]
    found = evidence.on_inputs(coarse, (21, 32))[0, 0]
    assert found.shape == (21, 32)
    # The cell is of rows 8 to 11 and columns 20 to 23, half-way out it has a half.
    whole = functional.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)[0, 0, :21]
    torch.testing.assert_close(found, whole)
    at = torch.stack(torch.meshgrid(torch.arange(21.0), torch.arange(32.0), indexing="ij"))
    torch.testing.assert_close((at * found).flatten(1).sum(1) / found.sum(), torch.tensor([9.5, 21.5]))


def test_a_foreign_network_needs_the_name_of_a_layer() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    inputs = scenes.pictures(1, seed=5).pixels
    with pytest.raises(ConfigError, match=r"layers are known; got Sequential; name the layer"):
        method("grad_cam").explain(network.eval(), inputs, [ClassLogit(0)])
    with pytest.raises(ConfigError, match="name of a module of the network; got 7"):
        method("grad_cam", layer="7").explain(network, inputs, [ClassLogit(0)])
    found = method("hires_cam", layer="1").explain(network, inputs, [ClassLogit(1)])
    assert found.shape == (1, 1, scenes.SIDE, scenes.SIDE)
