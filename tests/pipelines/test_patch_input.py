"""Pixels on the scale that weights expect."""

import numpy as np
import pytest

from pipelines.patch_input import IMAGENET, as_input


def test_imagenet_normalisation_of_a_pixel() -> None:
    pixels = np.zeros((1, 2, 3, 3), np.uint8)
    pixels[0, 1, 2] = 255, 102, 0
    seen = as_input(pixels, IMAGENET)
    assert seen.shape == (1, 3, 2, 3)
    expected = [(1 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0 - 0.406) / 0.225]
    assert seen[0, :, 1, 2].tolist() == pytest.approx(expected, abs=1e-6)
    assert seen[0, 0, 0, 0].item() == pytest.approx(-0.485 / 0.229, abs=1e-6)


def test_no_patches() -> None:
    assert as_input(np.empty((0, 8, 8, 3), np.uint8), IMAGENET).shape == (0, 3, 8, 8)
