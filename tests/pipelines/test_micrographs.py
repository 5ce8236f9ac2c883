"""Black and white of micrographs."""

import numpy as np
import pytest

from pipelines.micrographs import display_range, scaled_micrograph


@pytest.mark.parametrize(("kind", "factor"), [(np.uint8, 1), (np.uint16, 200), (np.float64, 0.001)])
def test_the_same_whatever_the_depth(kind: type, factor: float) -> None:
    ramp = np.tile(np.arange(201), (1, 50, 1))
    grey = (ramp * factor).astype(kind)[..., np.newaxis].transpose(0, 2, 1, 3)
    scaled = scaled_micrograph(grey)
    assert (scaled.shape, scaled.dtype) == ((3, 201, 50, 1), np.float32)
    assert (scaled[0] == scaled[1]).all()
    assert (scaled[0] == scaled[2]).all()
    # Percentiles 0.5 and 99.8 of 0 to 200 are 1 and 199.6, to the nearest value that occurs.
    expected = np.clip((np.arange(201) - 1.0) / (200.0 - 1.0), 0.0, 1.0)
    assert np.abs(scaled[0, :, 0, 0] - expected).max() < 0.006


def test_hues_stay() -> None:
    colour = np.zeros((3, 40, 40, 1), np.uint8)
    colour[0], colour[1], colour[2, :20] = 200, 100, 50
    scaled = scaled_micrograph(colour)
    assert scaled[:, 0, 0, 0] == pytest.approx([1.0, 0.5, 0.25])
    assert scaled[:, 39, 0, 0] == pytest.approx([1.0, 0.5, 0.0])


def test_few_bright_pixels_on_one_black_are_seen() -> None:
    sparse = np.full((1, 100, 100, 1), 7, np.uint16)
    sparse[0, 50, 50, 0] = 900
    assert display_range(sparse) == (7.0, 900.0)


@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_picture_is_black(value: int) -> None:
    assert scaled_micrograph(np.full((1, 5, 6, 1), value, np.uint8)).max() == 0.0
