"""Randomness by place: the same wherever it is asked from, with the moments it claims, averaged exactly over pixels."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from datasets.phantoms.slide_noise import Points, Region, cells, smoothstep, subkey, uniform


def test_a_part_holds_what_the_whole_holds() -> None:
    whole = Region(-30.0, 12.0, 64, 48, 0.5).noise(3, 9.0)
    part = Region(-30.0 + 20 * 0.5, 12.0 + 8 * 0.5, 30, 40, 0.5).noise(3, 9.0)
    np.testing.assert_allclose(part, whole[8:, 20:50], atol=2e-6)


def test_pixels_hold_the_mean_of_finer_pixels() -> None:
    fine = Region(5.0, -7.0, 64, 64, 0.5).noise(11, 5.0).astype(np.float64)
    coarse = Region(5.0, -7.0, 16, 16, 2.0).noise(11, 5.0)
    np.testing.assert_allclose(coarse, fine.reshape(16, 4, 16, 4).mean((1, 3)), atol=1e-5)


def test_small_pixels_hold_what_points_hold() -> None:
    region = Region(101.0, 55.0, 40, 30, 0.01)
    x, y = np.broadcast_arrays(region.x_um, region.y_um)
    np.testing.assert_allclose(Points(x, y).noise(5, 20.0), region.noise(5, 20.0), atol=1e-5)


def test_points_hold_a_cubic_spline_through_hashed_nodes() -> None:
    # scipy's basis element is the referee of the weights.
    basis = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    x, y, length = 13.7, -4.2, 5.0
    nodes = np.arange(-10, 11)
    weights = [np.nan_to_num(basis(value / length - nodes)) for value in (y, x)]
    drawn = uniform(9, nodes[None, :], nodes[:, None]) - 0.5
    expected = weights[0] @ drawn @ weights[1] * np.sqrt(12) * 315 / 151
    found = Points(np.array([x]), np.array([y])).noise(9, length)
    np.testing.assert_allclose(found, [expected], rtol=1e-4)


def test_noise_has_mean_zero_and_variance_one() -> None:
    noise = Region(0, 0, 600, 600, 0.5).noise(1, 3.0)
    # 10,000 nodes; a spline over four of them each way leaves about a tenth as many independent values.
    assert abs(float(noise.mean())) < 0.06
    assert float(noise.var()) == pytest.approx(1, abs=0.06)


def test_noise_finer_than_pixels_is_left_out() -> None:
    assert not Region(0, 0, 10, 10, 8.0).noise(1, 2.0).any()
    assert Region(0, 0, 10, 10, 2.0).noise(1, 2.0).any()


def test_hashed_numbers_are_uniform_and_unrelated() -> None:
    n = np.arange(-300, 300)
    for key in (0, 1, subkey(1, 2)):
        numbers = uniform(key, n[None, :], n[:, None])
        counts = np.histogram(numbers, 20, (0, 1))[0]
        # Chi-squared with 19 degrees of freedom: above 43.8 once in a thousand draws.
        assert ((counts - numbers.size / 20) ** 2 / (numbers.size / 20)).sum() < 43.8
        for shifted in (numbers[1:].ravel(), numbers[:, 1:].ravel()):
            assert abs(np.corrcoef(numbers.ravel()[: shifted.size], shifted)[0, 1]) < 0.01
    other = uniform(1, n[None, :], n[:, None])
    assert abs(np.corrcoef(uniform(2, n[None, :], n[:, None]).ravel(), other.ravel())[0, 1]) < 0.01


def test_pixel_noise_follows_the_pixel() -> None:
    whole = np.stack(Region(0.0, 0.0, 64, 64, 0.97).pixel_noise(4))
    part = np.stack(Region(16 * 0.97, 32 * 0.97, 16, 16, 0.97).pixel_noise(4))
    np.testing.assert_array_equal(part, whole[:, 32:48, 16:32])
    np.testing.assert_allclose(whole.std(axis=(1, 2)), 1, atol=0.05)
    assert np.abs(np.corrcoef(whole.reshape(3, -1)) - np.eye(3)).max() < 0.06


def test_cells_cover_an_extent() -> None:
    i, j = cells((-1.0, 0.5, 19.0, 10.0), 10.0)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(a, b) for a in (-1, 0, 1) for b in (0, 1)]


def test_smoothstep_rises_once() -> None:
    steps = smoothstep(1.0, 2.0, np.array([0.0, 1.0, 1.5, 2.0, 9.0], dtype=np.float32))
    np.testing.assert_allclose(steps, [0, 0, 0.5, 1, 1], atol=1e-6)
