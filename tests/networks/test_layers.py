import numpy as np
import pytest
import torch

from networks.layers import crop_to_size, pad_to_multiple, pad_to_size
from tests.networks.conftest import noise


@pytest.mark.parametrize(
    ("size", "divisor", "padded"), [((5, 8), 4, (8, 8)), ((1, 1), 32, (32, 32)), ((3, 4, 9), 4, (4, 4, 12))]
)
def test_edge_is_repeated_at_the_far_end(size: tuple[int, ...], divisor: int, padded: tuple[int, ...]) -> None:
    x = noise(2, 3, *size)
    ends = [(0, 0), (0, 0), *((0, after - before) for before, after in zip(size, padded, strict=True))]
    result = pad_to_multiple(x, divisor)
    np.testing.assert_array_equal(result.numpy(), np.pad(x.numpy(), ends, mode="edge"))
    assert torch.equal(crop_to_size(result, size), x)


def test_what_fits_is_left_alone() -> None:
    x = noise(1, 1, 32, 64)
    assert pad_to_multiple(x, 32) is x
    assert pad_to_size(x, (8, 64)) is x
    assert crop_to_size(x, (32, 64)) is x


def test_nothing_cannot_be_padded() -> None:
    with pytest.raises(ValueError, match=r"at least one pixel along every axis, got shape \(1, 1, 0, 4\)"):
        pad_to_multiple(torch.zeros(1, 1, 0, 4), 8)
