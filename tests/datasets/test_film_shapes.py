"""What phantom films are drawn with keeps areas, sums and edges of its formulas."""

import numpy as np
import pytest

from datasets.phantoms.film_planted import Haze
from datasets.phantoms.film_regions import BOX_STEP_MM, Cut, Fluid, Plate, traced_box
from datasets.phantoms.film_shapes import Oval, Plane, Stroke
from datasets.phantoms.film_thorax import Lung

LUNG = Lung(1.0, 130.0, (46.0, -130.0), 55.0, 20.0, 80.0, (44.0, 10.0))
OVAL = Oval((3.0, -4.0), (30.0, 12.0), 0.6)


def plane(step: float, half: float = 60.0) -> Plane:
    at = (np.arange(round(2 * half / step)) + 0.5) * step - half
    return Plane(at.astype(np.float32)[None], at.astype(np.float32)[:, None], step)


@pytest.mark.parametrize("step", [0.25, 1.0, 3.0])
def test_a_lens_has_the_volume_of_half_an_ellipsoid(step: float) -> None:
    target = np.zeros(plane(step).shape, np.float32)
    OVAL.add(target, plane(step), 10.0)
    # Twice the half axis times 2/3 pi a b, of a lens whose middle is 10 mm thick.
    assert target.sum(dtype=np.float64) * step**2 == pytest.approx(2 / 3 * np.pi * 30 * 12 * 10, rel=0.01)


@pytest.mark.parametrize("step", [0.2, 1.0, 2.5])
def test_a_stroke_keeps_its_sum_on_coarse_pixels(step: float) -> None:
    target = np.zeros(plane(step).shape, np.float32)
    Stroke((-40.0, -20.0), (38.0, 25.0), 0.0, (1.0, 1.0)).add(target, plane(step), 3.0)
    # Half an ellipse across, all along.
    expected = np.pi / 2 * 1.0 * 3.0 * np.hypot(78, 45)
    assert target.sum(dtype=np.float64) * step**2 == pytest.approx(expected, rel=0.02)


def test_a_bent_stroke_goes_through_its_points() -> None:
    stroke = Stroke((-30.0, 0.0), (30.0, 0.0), 8.0, (2.0, 1.0))
    assert stroke.at(0.0) == (-30.0, 0.0)
    assert stroke.at(1.0) == (30.0, 0.0)
    # Towards +y where it runs along +x.
    assert stroke.at(0.5) == pytest.approx((0.0, 8.0))
    for share in np.linspace(0, 1, 7):
        x, y = (np.array(value) for value in stroke.at(float(share)))
        along, off, radius = stroke.across(x, y)
        assert (float(along), float(off), float(radius)) == pytest.approx((share, 0.0, 2 - share), abs=1e-6)


def test_the_box_of_an_oval_is_met_on_all_sides() -> None:
    angle = np.linspace(0, 2 * np.pi, 100_000)
    cos, sin = np.cos(0.6), np.sin(0.6)
    x = 3 + 30 * np.cos(angle) * cos - 12 * np.sin(angle) * sin
    y = -4 + 30 * np.cos(angle) * sin + 12 * np.sin(angle) * cos
    np.testing.assert_allclose(OVAL.square(x, y), 1.0, atol=1e-4)
    np.testing.assert_allclose(OVAL.box, (x.min(), y.min(), x.max(), y.max()), atol=1e-6)


def test_a_traced_box_is_that_of_the_formula() -> None:
    np.testing.assert_allclose(traced_box(OVAL, (-50, -50, 50, 50)), OVAL.box, atol=BOX_STEP_MM)
    straight = Plate(Stroke((-20.0, 5.0), (20.0, 5.0), 0.0, (3.0, 3.0)))
    np.testing.assert_allclose(straight.box, (-20, 2, 20, 8), atol=BOX_STEP_MM)
    nothing = Cut(LUNG, Oval((-80.0, 0.0), (10.0, 10.0)))
    left, top, right, bottom = nothing.box
    assert (left, top) == (right, bottom)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_lung_ends_at_its_outlines(side: float) -> None:
    lung = Lung(side, 130.0, (46.0, -130.0), 55.0, 20.0, 80.0, (44.0, 10.0))
    y = np.linspace(-100.0, 70.0, 40)
    for outline in (lung.lateral(y), lung.medial(y)):
        np.testing.assert_allclose(lung.depth(side * outline, y), 0, atol=1e-4)
    x = side * np.linspace(30.0, 120.0, 40)
    np.testing.assert_allclose(lung.depth(x, lung.dome(x)), 0, atol=1e-4)
    assert lung.depth(np.array(side * 70.0), np.array(0.0)) > 40
    assert lung.depth(np.array(-side * 70.0), np.array(0.0)) < 0
    assert float(lung.lateral(np.array(55.0))) == pytest.approx(130.0)
    np.testing.assert_allclose(np.abs(lung.across(side * lung.lateral(y), y)), 1, atol=1e-4)
    left, top, right, bottom = lung.box
    assert (left, right) == ((20.0, 130.0) if side > 0 else (-130.0, -20.0))
    assert (top, bottom) == (-130.0, pytest.approx(124.0, abs=4))


def test_a_collapsed_lung_is_within_the_lung() -> None:
    rest = LUNG.collapsed(30.0, 40.0)
    y = np.linspace(-85.0, 60.0, 30)
    assert (LUNG.lateral(y) - rest.lateral(y) > 12).all()
    assert rest.dome_y_mm == LUNG.dome_y_mm


def test_fluid_stands_level_and_climbs_at_the_wall() -> None:
    fluid = Fluid(1.0, 60.0, 30.0, 128.0, 20.0)
    assert float(fluid.depth(np.array(128.0), np.array(30.0))) == pytest.approx(0.0, abs=1e-5)
    assert float(fluid.depth(np.array(108.0), np.array(60 - 30 / np.e))) == pytest.approx(0.0, abs=1e-5)
    assert float(fluid.depth(np.array(-100.0), np.array(70.0))) == pytest.approx(10.0, abs=1e-3)


def test_haze_is_full_within_its_edge_and_nothing_outside() -> None:
    cover = Haze(1.0, OVAL, 0.8, 5.0).cover(plane(0.5))
    depth = OVAL.depth(plane(0.5).x, plane(0.5).y)
    np.testing.assert_allclose(cover[depth >= 5.0], 0.8, rtol=1e-5)
    assert (cover[depth <= 0] == 0).all()
    # Half of it half way in: the ramp is even about its middle.
    assert cover[np.abs(depth - 2.5) < 0.05] == pytest.approx(0.4, abs=0.02)
    patchy = Haze(1.0, OVAL, 0.8, 5.0, 0.6, ((0.3, 0.2), (-0.1, 0.4))).cover(plane(0.5))
    assert (patchy <= cover + 1e-6).all()
    assert patchy[depth >= 5.0].min() == pytest.approx(0.8 * 0.4, abs=0.05)


def test_parts_of_a_plane_are_its_pixels() -> None:
    whole = plane(1.5)
    window, near = whole.part((-10.0, 5.0, 12.0, 30.0))
    assert np.array_equal(whole.x[:, window[1]], near.x)
    assert np.array_equal(whole.y[window[0]], near.y)
    assert near.x.min() <= -10.0 < near.x.min() + 4
    assert near.y.max() >= 30.0 > near.y.max() - 5
    assert whole.part((500.0, 0.0, 600.0, 10.0))[1].shape[1] == 0
