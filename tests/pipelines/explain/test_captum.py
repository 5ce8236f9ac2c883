"""Maps equal those of captum, for every method that both have, before any scaling."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import GuidedBackprop, IntegratedGradients, LayerGradCam, Occlusion, Saliency
from torch import Tensor, nn

from pipelines.explain.evidence import gather
from pipelines.explain.grad_cam import GradCam
from pipelines.explain.registry import method
from pipelines.explain.smooth_grad import SmoothGrad
from pipelines.explain.targets import ClassLogit, PixelLogits, Target
from tests.pipelines.explain.conftest import network_and_inputs

# Of the range of captum's map.
CLOSE = 1e-4


def equal(ours: Tensor, captums: Tensor) -> None:
    captums = captums.detach()
    spread = float(captums.max() - captums.min())
    assert spread > 0.0
    assert ours.shape == captums.shape
    assert float((ours - captums).abs().max()) <= CLOSE * spread


class Summed(nn.Module):
    """A segmentation network that says the sum of a class's logits over pixels, as captum wants one number."""

    def __init__(self, network: nn.Module, target: PixelLogits) -> None:
        super().__init__()
        self.network, self.target = network, target

    def forward(self, x: Tensor) -> Tensor:
        chosen: Tensor = self.network(x)[:, self.target.index] * self.target.pixels
        return chosen.flatten(1).sum(1, keepdim=True)


Case = tuple[Any, Tensor, Target, nn.Module, dict[str, Any]]


def classifier_2d() -> Case:
    network, inputs = network_and_inputs("densenet", images=2)
    return network.float(), inputs.float(), ClassLogit(1), network, {"target": 1}


def classifier_3d() -> Case:
    network, inputs = network_and_inputs("densenet_3d", images=2)
    return network.float(), inputs.float(), ClassLogit(3), network, {"target": 3}


def segmentation(kind: str) -> Case:
    network, inputs = network_and_inputs(kind, images=2)
    pixels = torch.zeros(1, *inputs.shape[2:], dtype=torch.bool)
    pixels[..., 2:9, 4:11] = True
    target = PixelLogits(1, pixels)
    return network.float(), inputs.float(), target, Summed(network, target), {"target": 0}


CASES: dict[str, Callable[[], Case]] = {
    "classifier_2d": classifier_2d,
    "classifier_3d": classifier_3d,
    "unet": lambda: segmentation("unet"),
    "unet_plus_plus": lambda: segmentation("unet_plus_plus"),
    "dense_unet_3d": lambda: segmentation("dense_unet_3d"),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]()


def test_saliency(case: Case) -> None:
    network, inputs, target, theirs, asked = case
    ours = method("saliency").explain(network, inputs, [target])[:, 0]
    equal(ours, Saliency(theirs).attribute(inputs.clone().requires_grad_(), **asked).amax(1))


@pytest.mark.parametrize("baseline", [0.0, -1.5])
def test_integrated_gradients(case: Case, baseline: float) -> None:
    network, inputs, target, theirs, asked = case
    ours = method("integrated_gradients", steps=6, tolerance=None, baseline=baseline)
    found = ours.explain(network, inputs, [target])[:, 0]
    captums = IntegratedGradients(theirs).attribute(
        inputs, baselines=baseline, n_steps=6, method="gausslegendre", **asked
    )
    equal(found, captums.sum(1))


@pytest.mark.parametrize("mean_of", ["gradients", "magnitudes"])
def test_smooth_grad_with_the_same_noise(case: Case, mean_of: str) -> None:
    network, inputs, target, theirs, asked = case
    ours = SmoothGrad(samples=3, noise=0.1, mean_of=mean_of, seed=5)
    found = ours.explain(network, inputs, [target])[:, 0]
    spread = torch.stack([0.1 * (one.max() - one.min()) for one in inputs]).reshape(-1, *[1] * (inputs.ndim - 1))
    total = torch.zeros_like(inputs)
    for sample in range(3):
        noisy = (inputs + ours.drawn(sample, inputs.shape[1:]) * spread).requires_grad_()
        total += Saliency(theirs).attribute(noisy, abs=mean_of == "magnitudes", **asked)
    equal(found, (total / 3).abs().amax(1))


@pytest.mark.parametrize(("window", "stride"), [(12, 12), (13, 5)])
def test_occlusion(case: Case, window: int, stride: int) -> None:
    network, inputs, target, theirs, asked = case
    ours = method("occlusion", window=window, stride=stride, baseline=0.25).explain(network, inputs, [target])[:, 0]
    edges = [min(window, extent) for extent in inputs.shape[2:]]
    captums = Occlusion(theirs).attribute(
        inputs,
        sliding_window_shapes=(inputs.shape[1], *edges),
        strides=(inputs.shape[1], *(min(stride, edge) for edge in edges)),
        baselines=0.25,
        perturbations_per_eval=8,
        **asked,
    )
    equal(ours, captums[:, 0])


@pytest.mark.parametrize(
    ("kind", "layer"),
    [
        ("classifier_2d", "features"),
        ("classifier_2d", "features.transition1"),
        ("classifier_3d", "features.denseblock2"),
        ("unet", "analysis.2"),
        ("unet_plus_plus", "units.x_2_0"),
        ("dense_unet_3d", "encoder.denseblock4"),
    ],
)
def test_grad_cam_of_a_layer(kind: str, layer: str) -> None:
    network, inputs, target, theirs, asked = CASES[kind]()
    evidence = gather(network, inputs, [target], torch.arange(len(inputs)), layer)
    captum = LayerGradCam(theirs, network.get_submodule(layer))
    signed = captum.attribute(inputs, relu_attributions=False, **asked).detach()
    equal(evidence.weighted(evidence.gradients.flatten(3).mean(3)), signed)
    rectified = captum.attribute(inputs, relu_attributions=True, **asked).detach()
    assert float((GradCam.coarse(evidence) - rectified).abs().max()) <= CLOSE * float(signed.max() - signed.min())


# captum says what it does to the network meanwhile.
says = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")


@says
@pytest.mark.parametrize("kind", ["unet", "unet_plus_plus"])
def test_guided_backpropagation_where_all_relus_are_modules(kind: str) -> None:
    network, inputs, target, theirs, asked = CASES[kind]()
    ours = method("guided_backpropagation").explain(network, inputs, [target])[:, 0]
    captums = GuidedBackprop(theirs).attribute(inputs.clone().requires_grad_(), **asked)
    equal(ours, captums.abs().amax(1))


class Rectified(nn.Module):
    """A DenseNet that calls a module where the other calls a function."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.features, self.relu, self.classifier = network.features, nn.ReLU(), network.classifier
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.classifier(self.relu(self.features(x)).flatten(2).mean(2))
        return answer


@says
def test_functions_are_guided_as_modules_are() -> None:
    network, inputs, target, theirs, asked = classifier_2d()
    ours = method("guided_backpropagation").explain(network, inputs, [target])[:, 0]
    equal(ours, GuidedBackprop(Rectified(network)).attribute(inputs.clone().requires_grad_(), **asked).abs().amax(1))
    missed = GuidedBackprop(theirs).attribute(inputs.clone().requires_grad_(), **asked).abs().amax(1)
    assert float((ours - missed).abs().max()) > 1e-2 * float(missed.max())


def test_grad_cam_behind_the_last_relu() -> None:
    network, inputs, target, _, asked = classifier_2d()
    twin = Rectified(network)
    evidence = gather(network, inputs, [target], torch.arange(2))
    captums = LayerGradCam(twin, twin.relu).attribute(inputs, relu_attributions=True, **asked)
    equal(GradCam.coarse(evidence), captums)
