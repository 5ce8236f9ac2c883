"""Positions and weights of windows, from their definitions."""

import itertools
from collections.abc import Callable

import pytest
import torch

from datasets.errors import ConfigError
from pipelines.windows import WindowCutter, WindowSettings, importance, plan_windows


def test_the_last_window_is_flush_and_padding_is_symmetric() -> None:
    plan = plan_windows((10, 7, 4), WindowSettings((4, 9, 4), overlap=0.25))
    assert plan.starts == ((0, 3, 6), (0,), (0,))
    assert plan.before == (0, 1, 0)
    assert plan.padded == (10, 9, 4)
    assert plan.windows == len(list(plan.corners())) == 3
    assert plan.inside((6, 0, 0)) == (slice(6, 10), slice(0, 7), slice(0, 4))
    assert plan.target() == (slice(0, 4), slice(1, 8), slice(0, 4))


@pytest.mark.parametrize(
    ("extent", "size", "overlap"), list(itertools.product((5, 16, 31), (1, 4, 16), (0.0, 0.5, 0.95)))
)
def test_every_voxel_is_covered(extent: int, size: int, overlap: float) -> None:
    plan = plan_windows((extent, 1, 1), WindowSettings((size, 1, 1), overlap=overlap))
    covered = {at for start in plan.starts[0] for at in range(start, start + plan.window[0])}
    assert covered == set(range(plan.padded[0]))


def test_weights_are_a_gaussian_that_never_vanishes() -> None:
    weight = importance((9, 9, 1), 0.125)
    assert weight[4, 4, 0] == 1
    sigma = 9 * 0.125
    assert weight[5, 4, 0] == pytest.approx(torch.exp(torch.tensor(-1 / (2 * sigma**2))).item(), rel=1e-6)
    assert weight.min() == pytest.approx(1e-3)


def test_context_gives_neighbouring_slices_as_channels_and_repeats_the_ends() -> None:
    volume = torch.arange(5.0)[None, :, None, None] + torch.tensor([0.0, 100.0])[:, None, None, None]
    settings = WindowSettings((None, None), batch=2, context=1)
    plan = plan_windows((5, 3, 3), settings)
    batch = WindowCutter(volume.expand(2, 5, 3, 3), plan, settings).batch(list(plan.corners()))
    ends = [(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 4)]
    assert batch.shape == (5, 6, 3, 3)
    assert batch[:, :, 0, 0].tolist() == [[value for at in triple for value in (at, 100.0 + at)] for triple in ends]


def test_windows_are_cut_with_their_padding_whatever_the_network_did_to_the_last_batch() -> None:
    volume, settings = torch.ones(1, 4, 3, 9), WindowSettings((4, 6, 4), padding_value=-5.0)
    plan = plan_windows((4, 3, 9), settings)
    cutter = WindowCutter(volume, plan, settings)
    for corner in plan.corners():
        window = cutter.batch([corner])
        assert window[0, 0, 0, :, 0].tolist() == [-5.0, 1.0, 1.0, 1.0, -5.0, -5.0]
        window.zero_()


@pytest.mark.parametrize(
    "make",
    [
        lambda: WindowSettings((8,)),
        lambda: WindowSettings((8, 0, 8)),
        lambda: WindowSettings((8, 8, 8), overlap=1.0),
        lambda: WindowSettings((8, 8, 8), overlap=(0.5, 0.5)),
        lambda: WindowSettings((8, 8), batch=0),
        lambda: WindowSettings((8, 8), sigma_scale=0.0),
        lambda: WindowSettings((8, 8, 8), context=1),
        lambda: plan_windows((8, 0, 8), WindowSettings((8, 8, 8))),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_in_three_parts(make: Callable[[], object]) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.expected
    assert caught.value.got
    assert caught.value.advice
