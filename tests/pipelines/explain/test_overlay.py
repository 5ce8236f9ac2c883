"""Maps over pictures: nothing where they say nothing, in order of lightness, grey where they are not to be believed."""

import numpy as np
import pytest

from pipelines.explain.overlay import Caption, colours, overlay

GROUND = np.full((400, 400), 80, np.uint8)


def disc(value: float) -> np.ndarray:
    y, x = np.mgrid[:400, :400]
    return np.where((y - 100) ** 2 + (x - 300) ** 2 < 900, value, 0.0).astype(np.float32)


PLAIN = Caption("a")


def drawn(heat: np.ndarray, caption: Caption = PLAIN) -> np.ndarray:
    """The picture without caption and bar: it is drawn pixel for pixel."""
    whole = np.asarray(overlay(GROUND, heat, caption)).astype(int)
    bottom = whole.shape[0] - 12  # A margin of 12 pixels below it and on its left.
    return whole[bottom - 400 : bottom, 12:412]


def test_a_map_of_nothing_leaves_the_picture_as_it_is() -> None:
    assert (drawn(np.zeros((400, 400), np.float32)) == 80).all()


@pytest.mark.parametrize("value", [0.6, -0.6])
def test_what_speaks_for_it_is_warm_and_what_speaks_against_it_blue(value: float) -> None:
    picture = drawn(disc(value))
    red, _, blue = picture[100, 300]  # Rows, columns: the disc is in the upper right.
    assert (red > blue + 20) == (value > 0)
    assert (blue > red + 20) == (value < 0)
    assert (picture[200:] == 80).all()
    assert (picture[:, :200] == 80).all()


def test_colours_grow_in_lightness() -> None:
    for shares in (np.linspace(0, 1, 40), np.linspace(0, -1, 40)):
        # Rec. 709 luma is near enough to lightness for its order.
        light = colours(shares) @ np.array([0.2126, 0.7152, 0.0722])
        assert (np.diff(light) > 0).all()


def test_a_map_that_is_not_faithful_has_no_colour() -> None:
    picture = drawn(disc(1.0), Caption("a", warnings=("it says the same of random weights",)))
    assert np.ptp(picture, axis=-1).max() == 0
    assert picture[100, 300, 0] != 80


def test_pixels_that_are_not_square_are_drawn_as_they_lie() -> None:
    square = overlay(GROUND, disc(1.0), Caption("a"))
    tall = overlay(GROUND, disc(1.0), Caption("a"), pixel_aspect=2.0)
    assert (tall.height - square.height, tall.width) == (400, square.width)
