"""The scale that weights expect, by hand."""

import pytest
import torch

from networks.configs import Input
from pipelines.input_scale import on_scale


def test_another_range_and_no_moments() -> None:
    wide = Input(scale="[-1024, 1024]", channels=3, low=-1024.0, high=1024.0)
    seen = on_scale(torch.tensor([0.0, 0.25, 1.0]).reshape(1, 3, 1, 1), wide)
    assert seen.flatten().tolist() == [-1024.0, -512.0, 1024.0]
    one_for_all = Input(scale="x", channels=3, mean=(0.5,), std=(0.25,))
    assert on_scale(torch.ones(1, 3, 1, 1), one_for_all).flatten().tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("axes", [(2,), (2, 3), (2, 3, 4)])
def test_channels_have_their_own_moments_whatever_the_axes(axes: tuple[int, ...]) -> None:
    each = Input(scale="x", channels=2, low=0.0, high=80.0, mean=(40.0, 0.0), std=(20.0, 80.0))
    seen = on_scale(torch.full((3, 2, *axes), 0.75), each)
    assert seen.shape == (3, 2, *axes)
    assert torch.equal(seen[:, 0], torch.full((3, *axes), 1.0))
    assert torch.equal(seen[:, 1], torch.full((3, *axes), 0.75))


def test_an_empty_batch_stays_empty() -> None:
    assert on_scale(torch.empty(0, 1, 4, 4), Input(scale="x", channels=1, mean=(0.5,))).shape == (0, 1, 4, 4)
