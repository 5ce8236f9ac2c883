"""How labels fit images: phantoms lie right and are missed when moved; labels of nothing that is seen say nothing."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from datasets.audit.fit import Fit, fit, sample
from datasets.image import Array
from datasets.phantoms import ct_phantom
from tests.datasets.audit.phantom_sets import grid_of


def _fit(image: Array, labels: Array) -> Fit:
    sampled = sample(image, labels)
    assert sampled is not None
    return fit(sampled)


def _torso(seed: int) -> tuple[Array, Array]:
    phantom, grid = ct_phantom(seed), grid_of(seed)
    return phantom.image(grid).array, phantom.labels(grid).array[0]


def test_nats_are_those_of_the_formula() -> None:
    """A label on exactly the bright quarter: every labelled voxel tells ln 4, in however many bins it lies."""
    values = np.random.default_rng(0).permutation(32 * 32 * 16).reshape(1, 32, 32, 16).astype(np.float32)
    labels = (values[0] >= 0.75 * values.size).astype(np.uint8)
    assert _fit(values, labels).nats == pytest.approx(np.log(4.0), abs=0.01)


def test_torsos_lie_right_and_are_missed_when_mirrored() -> None:
    missed = []
    for seed in range(40, 60):
        image, labels = _torso(seed)
        assert _fit(image, labels).move is None
        axis = seed % 3
        found = _fit(image, np.flip(labels, axis)).move
        if found is None or found.mirrored != (axis,) or found.is_turn:
            missed.append(seed)
    assert missed == []


def test_a_turn_of_axes_is_told_from_a_mirror() -> None:
    image, labels = _torso(42)
    found = _fit(image, labels.transpose(1, 0, 2)).move
    assert found is not None
    assert found.axes == (1, 0, 2)
    assert found.mirrored == ()


@pytest.mark.parametrize("shift", [(30, 0, 0), (0, 30, 0), (24, 24, 0)])
def test_a_shift_is_found_to_within_the_raster(shift: tuple[int, int, int]) -> None:
    image, labels = _torso(42)
    found = _fit(image, np.roll(labels, shift, (0, 1, 2)))
    assert found.move is not None
    back = np.add(found.move.shift, shift)
    assert found.is_hint
    assert (np.abs(back) <= 4).all()


def test_labels_of_nothing_that_is_seen_raise_no_alarm() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        noise = gaussian_filter(rng.normal(size=(48, 48, 32)), rng.uniform(0, 4))
        field = gaussian_filter(rng.normal(size=noise.shape), 6)
        found = _fit(noise[np.newaxis].astype(np.float32), field > np.quantile(field, rng.uniform(0.7, 0.98)))
        assert found.move is None or found.is_hint


def test_a_ball_in_the_middle_looks_the_same_from_all_sides() -> None:
    i, j, k = np.mgrid[-16:17, -16:17, -16:17]
    ball = (i**2 + j**2 + k**2 < 64).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0.0, 10.0, (1, *ball.shape))
    assert _fit((noise + 100 * ball).astype(np.float32), ball).move is None


@pytest.mark.parametrize("off", [1, 2])
def test_a_ball_near_the_middle_raises_no_alarm_where_it_lies(off: int) -> None:
    i, j, k = np.mgrid[-16:17, -16:17, -16:17]
    ball = ((i - off) ** 2 + j**2 + k**2 < 64).astype(np.uint8)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(0.0, 60.0, (1, *ball.shape))
        assert _fit((noise + 100 * ball).astype(np.float32), ball).move is None


def test_too_little_to_tell() -> None:
    image = np.random.default_rng(0).normal(size=(1, 30, 30, 30)).astype(np.float32)
    labels = np.zeros(image.shape[1:], np.uint8)
    assert sample(image, labels) is None
    labels[:4, :4, :6] = 1
    assert sample(image, labels) is None
    labels[:9] = 1
    assert sample(image, labels) is not None
    assert sample(np.zeros_like(image), labels) is None
