"""What holds for every method on every network."""

import pytest
import torch
from torch import Tensor, nn

from datasets.errors import ConfigError
from networks.densenet import DenseNet
from pipelines.explain.method import Method
from pipelines.explain.names import METHODS
from pipelines.explain.registry import method, method_class
from pipelines.explain.targets import ClassLogit, PixelLogits, Point, PredictedClass, Target
from tests.pipelines.explain.conftest import CHEAP, NETWORKS, network_and_inputs


def targets_of(network: nn.Module, inputs: Tensor) -> list[Target]:
    if isinstance(network, DenseNet):
        return [ClassLogit(index) for index in range(4)]
    pixels = torch.zeros(1, *inputs.shape[2:], dtype=torch.bool)
    pixels[..., 3:9, 5:12] = True
    middle = tuple(extent // 2 for extent in inputs.shape[2:])
    return [PixelLogits(1, pixels), Point(2, middle), PredictedClass(0)]


def applies(name: str, network: nn.Module) -> bool:
    return name != "cam" or isinstance(network, DenseNet)


# What is the same in all networks that pass images whole is proved in few of them every time.
OFTEN = {"densenet", "densenet_3d", "unet", "unet_3d", "dense_unet"}
ON_COPIES = {"rise", "occlusion", "smooth_grad", "integrated_gradients"}
CASES = [
    pytest.param(kind, name, marks=[pytest.mark.slow] if kind not in OFTEN and name in ON_COPIES else [])
    for kind in NETWORKS
    for name in METHODS
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_batch_is_its_images_one_by_one(kind: str, name: str) -> None:
    network, inputs = network_and_inputs(kind, images=2)
    targets = targets_of(network, inputs)
    explain = method(name, **CHEAP.get(name, {}))
    if not applies(name, network):
        with pytest.raises(ConfigError, match="takes the mean of its maps"):
            explain.explain(network, inputs, targets)
        return
    given = inputs.clone()
    together = explain.explain(network, inputs, targets)
    assert together.shape == (2, len(targets), *inputs.shape[2:])
    assert together.dtype == torch.float32
    assert torch.equal(inputs, given)
    apart = torch.cat([explain.explain(network, inputs[n : n + 1], targets) for n in range(2)])
    spread = float(together.max() - together.min())
    assert spread > 0.0
    assert float((together - apart).abs().max()) <= 1e-5 * spread


@pytest.mark.parametrize("name", METHODS)
def test_images_of_a_batch_do_not_meet(name: str) -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    explain = method(name, **CHEAP.get(name, {}))
    targets = targets_of(network, inputs)
    before = explain.explain(network, inputs, targets)
    inputs[1] = -3.0 * inputs[1].flip(-1)
    after = explain.explain(network, inputs, targets)
    torch.testing.assert_close(before[0], after[0])
    assert not torch.allclose(before[1], after[1])


@pytest.mark.parametrize("name", METHODS)
def test_labels_together_are_labels_one_by_one(name: str) -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    explain = method(name, **CHEAP.get(name, {}))
    targets = [ClassLogit(index) for index in range(4)]
    together = explain.explain(network, inputs, targets)
    apart = torch.cat([explain.explain(network, inputs, [target]) for target in targets], dim=1)
    torch.testing.assert_close(together, apart)
    assert not torch.allclose(together[:, 0], together[:, 1])


@pytest.mark.parametrize(
    ("kind", "name"),
    [("densenet", name) for name in ("cam", "grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "saliency")]
    + [("unet", name) for name in ("grad_cam", "grad_cam_plus_plus", "hires_cam", "layer_cam", "saliency")],
)
def test_all_labels_cost_one_forward_pass(kind: str, name: str) -> None:
    network, inputs = network_and_inputs(kind, images=2)
    calls: list[int] = []
    network.register_forward_pre_hook(lambda _module, given: calls.append(len(given[0])))
    targets = [ClassLogit(n) for n in range(4)] if kind == "densenet" else [Point(n, (4, 9)) for n in range(3)]
    with torch.no_grad():
        outputs = network(inputs)
    method(name).explain(network, inputs, targets, outputs)
    assert calls == [2, 2]


@pytest.mark.parametrize("name", METHODS)
def test_the_network_stays_as_it_was(name: str) -> None:
    network, inputs = network_and_inputs("densenet", images=1)
    network.classifier.bias.requires_grad_(False)
    asking = [parameter.requires_grad for parameter in network.parameters()]
    state = {key: value.clone() for key, value in network.state_dict().items()}
    method(name, **CHEAP.get(name, {})).explain(network, inputs, [ClassLogit(0)])
    assert [parameter.requires_grad for parameter in network.parameters()] == asking
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", METHODS)
def test_the_same_again(name: str) -> None:
    network, inputs = network_and_inputs("densenet", images=1)
    state = torch.get_rng_state()
    first, second = (method(name, **CHEAP.get(name, {})).explain(network, inputs, [ClassLogit(0)]) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", METHODS)
def test_pieces_change_nothing(name: str) -> None:
    network, inputs = network_and_inputs("densenet", images=3)
    settings = CHEAP.get(name, {})
    whole = method(name, **settings).explain(network, inputs, [ClassLogit(0)])
    one_by_one = method(name, **settings, batch=1).explain(network, inputs, [ClassLogit(0)])
    torch.testing.assert_close(whole, one_by_one, rtol=1e-4, atol=1e-6)


def test_nothing_to_explain_gives_nothing() -> None:
    network, inputs = network_and_inputs("densenet", images=2)
    for name in METHODS:
        assert method(name).explain(network, inputs[:0], [ClassLogit(0)]).shape == (0, 1, 45, 64)
        assert method(name).explain(network, inputs, []).shape == (2, 0, 45, 64)


def test_within_inference_mode() -> None:
    network, inputs = network_and_inputs("densenet", images=1)
    expected = method("saliency").explain(network, inputs, [ClassLogit(0)])
    with torch.inference_mode():
        found = method("saliency").explain(network, inputs * 1.0, [ClassLogit(0)])
    torch.testing.assert_close(found, expected)


def test_a_network_in_training_is_refused() -> None:
    network, inputs = network_and_inputs("densenet", images=1)
    with pytest.raises(ValueError, match=r"evaluation mode.*call eval"):
        method("grad_cam").explain(network.train(), inputs, [ClassLogit(0)])


def test_every_method_has_its_file_and_every_file_its_name() -> None:
    for name in METHODS:
        found = method_class(name)
        assert issubclass(found, Method)
        assert found.method_name() == name


def test_unknown_methods_and_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"grad_cam, .*choose one of them"):
        method("gradcam")
    with pytest.raises(ConfigError, match="settings of rise; got msaks"):
        method("rise", msaks=3)


def test_the_one_that_fails_is_labelled() -> None:
    assert "random weights" in method_class("guided_backpropagation").caveat
    assert [name for name in METHODS if method_class(name).caveat] == ["guided_backpropagation"]
