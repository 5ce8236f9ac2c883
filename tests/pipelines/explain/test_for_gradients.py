"""A network rewritten for gradients gives the answers and the gradients of the one it was made of."""

import pytest
import torch
from torch import nn

from networks.gradients import for_gradients
from networks.inference import for_inference
from tests.pipelines.explain.conftest import NETWORKS, network_and_inputs


def answer_and_gradient(network: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = inputs.clone().requires_grad_()
    answer = network(leaf)
    weights = torch.randn(answer.shape, generator=torch.Generator().manual_seed(1), dtype=answer.dtype)
    return answer.detach(), torch.autograd.grad((answer * weights).sum(), leaf)[0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_answers_and_gradients_stay(kind: str) -> None:
    network, inputs = network_and_inputs(kind, images=2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    rewritten = for_gradients(network)
    for found, expected in zip(
        answer_and_gradient(rewritten, inputs), answer_and_gradient(network, inputs), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in rewritten.parameters())
    assert [name for name, _ in rewritten.named_modules()] == [name for name, _ in network.named_modules()]


@pytest.mark.parametrize("kind", ["densenet", "dense_unet", "h_dense_unet"])
def test_normalisations_behind_convolutions_are_gone(kind: str) -> None:
    network, _ = network_and_inputs(kind, images=1)

    def normalisations(some: nn.Module) -> int:
        return sum(isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d) for part in some.modules())

    assert normalisations(for_gradients(network)) < normalisations(network)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_rewritten_for_gradients_is_rewritten_for_inference_too(kind: str) -> None:
    network, inputs = network_and_inputs(kind, images=2)
    with torch.no_grad():
        expected = network(inputs)
        found = for_inference(for_gradients(network))(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8 * float(expected.abs().max()))
