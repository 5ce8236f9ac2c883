"""Folding against the layers it stands for, one pixel and one channel at a time where a formula says it."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from networks.folding import affine, doubling_kernel, fold_before, fold_behind
from tests.networks.conftest import noise


def normalisation(weight: list[float], bias: list[float], mean: list[float], variance: list[float]) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(weight), eps=0.0).double().eval()
    norm.load_state_dict(
        {
            "weight": torch.tensor(weight),
            "bias": torch.tensor(bias),
            "running_mean": torch.tensor(mean),
            "running_var": torch.tensor(variance),
            "num_batches_tracked": torch.tensor(1),
        }
    )
    return norm


def test_affine_is_the_formula() -> None:
    factor, shift = affine(normalisation([3.0, -1.0], [0.5, 2.0], [4.0, 1.0], [4.0, 0.25]))
    assert factor.tolist() == [1.5, -2.0]  # weight / sqrt(variance)
    assert shift.tolist() == [0.5 - 6.0, 2.0 + 2.0]  # bias - mean * factor
    plain = nn.BatchNorm2d(1, eps=0.0, affine=False).double()
    plain.running_mean.fill_(3.0)
    assert [part.item() for part in affine(plain)] == [1.0, -3.0]
    with pytest.raises(ValueError, match="running statistics"):
        affine(nn.BatchNorm2d(1, track_running_stats=False))


@pytest.mark.parametrize("bias", [True, False])
def test_fold_behind(bias: bool) -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=bias).double()
    norm = normalisation([1.0, -2.0, 0.0], [0.5, 0.1, 3.0], [1.0, 2.0, 3.0], [1.0, 4.0, 9.0])
    x = noise(2, 2, 5, 4).double()
    with torch.no_grad():
        expected = norm(conv(x))
        fold_behind(conv, norm)
        torch.testing.assert_close(conv(x), expected, rtol=0, atol=1e-12)


def test_bounds_by_hand() -> None:
    # Rising, falling, constant above zero, constant below zero, and factors at the edge of what can be divided by.
    weight, bias = [2.0, -2.0, 0.0, 0.0, 1e-30, 1e-15], [1.0, 3.0, 5.0, -5.0, 1.0, -1.0]
    norm = normalisation(weight, bias, [0.0] * 6, [1.0] * 6)
    conv = nn.Conv2d(6, 6, 1, bias=False).double()
    conv.weight.data = torch.eye(6).double().reshape(6, 6, 1, 1)
    folded = fold_before(norm, conv, torch.float64)
    low, high = folded.low.flatten().tolist(), folded.high.flatten().tolist()
    inf = float("inf")
    assert low[:4] == [-0.5, -inf, 0.0, 0.0]
    assert high[:4] == [inf, 1.5, 0.0, 0.0]
    x = torch.linspace(-4, 4, 41).double().reshape(1, 1, 1, -1).expand(1, 6, 1, -1)
    got = functional.conv2d(x.clamp(folded.low, folded.high), folded.weight, folded.bias)
    torch.testing.assert_close(got, norm(x).clamp(min=0), rtol=0, atol=1e-13)


def test_no_upper_bound_where_all_factors_are_positive() -> None:
    norm = normalisation([1.0, 2.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0])
    assert fold_before(norm, nn.Conv2d(2, 3, 1).double(), torch.float64).high is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_channel_at_rest_adds_nothing(dtype: torch.dtype) -> None:
    """Bounds are rounded, and the shift is that of the rounded ones: below them zero comes out, to the last bit."""
    norm = normalisation([1.0], [-100.3], [0.0], [1.0])
    conv = nn.Conv2d(1, 1, 1, bias=False).double()
    conv.weight.data.fill_(0.7)
    folded = fold_before(norm, conv, dtype)
    at_rest = folded.weight.double() * folded.low.double() + folded.bias.double()
    assert abs(at_rest.item()) <= 70.21 * torch.finfo(dtype).eps  # a shift of 70.21 is rounded once


def enlarged(x: Tensor, factors: tuple[int, ...]) -> Tensor:
    for axis, factor in enumerate(factors, start=2):
        x = x.repeat_interleave(factor, dim=axis)
    return x


@pytest.mark.parametrize("factors", [*product((1, 2), repeat=2), *product((1, 2), repeat=3)])
def test_doubling_kernel_is_growth_and_convolution(factors: tuple[int, ...]) -> None:
    flat = len(factors) == 2
    convolve = functional.conv2d if flat else functional.conv3d
    transposed = functional.conv_transpose2d if flat else functional.conv_transpose3d
    for size in ((1, 1, 1), (2, 3, 1), (3, 2, 4)):
        x = noise(2, 3, *size[: len(factors)]).double()
        weight, bias = noise(4, 3, *[3] * len(factors), seed=1).double(), noise(4, seed=2).double()
        expected = convolve(enlarged(x, factors), weight, bias, padding=1)
        kernel = doubling_kernel(weight, factors)
        assert kernel.shape == (3, 4, *[2 + factor for factor in factors])
        got = transposed(x, kernel, bias, stride=factors, padding=1)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
