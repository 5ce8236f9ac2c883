import numpy as np
import pytest
import torch
from torch import nn

from networks.build import parameter_count
from networks.configs import DenseUNetConfig
from networks.scse import SpatialChannelSqueezeExcite
from tests.networks.conftest import noise


def transcription(block: SpatialChannelSqueezeExcite, x: np.ndarray) -> np.ndarray:
    """The paper's equations pixel by pixel in NumPy, on the weights alone."""
    weights = {name: value.numpy() for name, value in block.state_dict().items()}

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    result = np.empty_like(x)
    for image, out in zip(x, result, strict=True):
        means = np.array([channel.mean() for channel in image])
        hidden = np.maximum(weights["squeeze.weight"] @ means + weights["squeeze.bias"], 0)
        gates = sigmoid(weights["excite.weight"] @ hidden + weights["excite.bias"])
        for place in np.ndindex(*image.shape[1:]):
            pixel = image[(slice(None), *place)]
            told = sigmoid(weights["spatial.weight"].ravel() @ pixel + weights["spatial.bias"])
            one, other = gates * pixel, told * pixel
            out[(slice(None), *place)] = one + other if block.combination == "sum" else np.maximum(one, other)
    return result


@pytest.mark.parametrize("combination", ["sum", "max"])
@pytest.mark.parametrize(("channels", "size"), [(7, (5, 6)), (4, (3, 2, 5)), (1, (3, 3))])
def test_equals_the_paper_written_out(combination: str, channels: int, size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    block = SpatialChannelSqueezeExcite(len(size), channels, combination).double()
    x = noise(2, channels, *size).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_()
        ours = block(x).numpy()
    np.testing.assert_allclose(ours, transcription(block, x.numpy()), rtol=1e-12, atol=1e-12)
    assert np.abs(ours - x.numpy()).max() > 0.1


def test_undecided_gates_add_up_to_the_input() -> None:
    """Without weights every gate is one half: the sum is the input, the larger of the two its half."""
    x = noise(2, 6, 4, 5)
    for combination, expected in (("sum", x), ("max", x / 2)):
        block = SpatialChannelSqueezeExcite(2, 6, combination)
        for parameter in block.parameters():
            nn.init.zeros_(parameter)
        assert torch.equal(block(x), expected)


@pytest.mark.parametrize("combination", ["sum", "max"])
def test_gradient_reaches_input_and_every_parameter(combination: str) -> None:
    torch.manual_seed(1)
    block = SpatialChannelSqueezeExcite(3, 8, combination)
    x = noise(2, 8, 3, 4, 5).requires_grad_()
    (block(x) * noise(2, 8, 3, 4, 5, seed=1)).sum().backward()
    assert [name for name, p in block.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert x.grad is not None
    assert x.grad.all()


def test_memory_layout_does_not_matter() -> None:
    block = SpatialChannelSqueezeExcite(2, 4, "sum")
    x = noise(2, 4, 6, 8)
    torch.testing.assert_close(block(x.to(memory_format=torch.channels_last)), block(x))
    strided = noise(2, 4, 6, 16)[..., ::2]
    torch.testing.assert_close(block(strided), block(strided.contiguous()))


def test_empty_batch_stays_empty() -> None:
    assert SpatialChannelSqueezeExcite(2, 4, "max")(noise(0, 4, 3, 3)).shape == (0, 4, 3, 3)


def test_costs_what_its_docstring_says() -> None:
    """A matrix each way with its biases, and a 1x1 convolution: C^2 + 2.5 C + 1 for every stage's C."""
    expected = sum(c * c + 5 * c // 2 + 1 for c in (768, 384, 96, 96, 64))
    plain, scaled = (parameter_count(DenseUNetConfig(scse=scse)) for scse in ("none", "max"))
    assert scaled - plain == expected == 763_333
    assert expected / plain == pytest.approx(0.0154, abs=5e-5)
