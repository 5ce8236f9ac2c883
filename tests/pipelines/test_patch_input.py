"""Pixels on the scale that weights expect."""

import numpy as np
import pytest
import torch

from networks.configs import Input
from pipelines.patch_input import IMAGENET, as_input, on_scale


def test_imagenet_normalisation_of_a_pixel() -> None:
    pixels = np.zeros((1, 2, 3, 3), np.uint8)
    pixels[0, 1, 2] = 255, 102, 0
    seen = as_input(pixels, IMAGENET)
    assert seen.shape == (1, 3, 2, 3)
    expected = [(1 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0 - 0.406) / 0.225]
    assert seen[0, :, 1, 2].tolist() == pytest.approx(expected, abs=1e-6)
    assert seen[0, 0, 0, 0].item() == pytest.approx(-0.485 / 0.229, abs=1e-6)


def test_another_range_and_no_moments() -> None:
    wide = Input(scale="[-1024, 1024]", channels=3, low=-1024.0, high=1024.0)
    seen = on_scale(torch.tensor([0.0, 0.25, 1.0]).reshape(1, 3, 1, 1), wide)
    assert seen.flatten().tolist() == [-1024.0, -512.0, 1024.0]
    one_for_all = Input(scale="x", channels=3, mean=(0.5,), std=(0.25,))
    assert on_scale(torch.ones(1, 3, 1, 1), one_for_all).flatten().tolist() == [2.0, 2.0, 2.0]


def test_no_patches() -> None:
    assert as_input(np.empty((0, 8, 8, 3), np.uint8), IMAGENET).shape == (0, 3, 8, 8)
