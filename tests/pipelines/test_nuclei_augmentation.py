"""Crops to learn nuclei from: pixels and classes go together, and everything can be repeated."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.nuclei_augmentation import BORDER, INTERIOR, Crops, batches, classes_of
from pipelines.nuclei_data import Labelled
from tests.pipelines.discs import discs


def test_classes_by_eye() -> None:
    numbers = np.array(
        [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 5, 5, 5, 2, 2, 2, 2],
            [0, 5, 5, 5, 2, 2, 2, 2],
            [0, 5, 5, 5, 2, 2, 2, 2],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ]
    )
    # The picture's own edge is no border.
    assert classes_of(numbers).tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 2, 2, 2],
        [0, 2, 1, 2, 2, 1, 1, 1],
        [0, 2, 2, 2, 2, 2, 2, 2],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert classes_of(np.zeros((3, 4), int)).max() == 0


def cells(colour: bool) -> Labelled:
    mask = discs((90, 100), (30, 30, 14.0), (60, 70, 17.0))
    pixels = np.where(mask, 230, 10).astype(np.uint8)
    stained = [pixels, pixels // 2, pixels // 4] if colour else [pixels] * 3
    return Labelled(Path("cells.png"), np.stack(stained), mask.astype(np.uint16))


@pytest.mark.parametrize("colour", [False, True])
def test_bright_is_nucleus_wherever_it_was_turned_to(colour: bool) -> None:
    crops = Crops(12, 4, 64, blank=0.0, inverted=0.0)
    for inputs, classes in batches([cells(colour)], crops):
        assert inputs.shape == (4, 3, 64, 64)
        assert inputs.dtype == torch.float32
        assert classes.shape == (4, 64, 64)
        assert (inputs.min() >= 0.0, inputs.max() <= 1.0) == (True, True)
        for picture, truth in zip(inputs, classes, strict=True):
            if (truth == INTERIOR).any() and (truth == 0).any():
                brightest = picture.amax(dim=0)
                assert brightest[truth == INTERIOR].mean() > brightest[truth == 0].mean() + 0.3
    assert BORDER in classes


def test_grey_stays_grey() -> None:
    for inputs, _ in batches([cells(colour=False)], Crops(6, 4, 48)):
        assert (inputs[:, 0] == inputs[:, 1]).all()
        assert (inputs[:, 0] == inputs[:, 2]).all()


def test_blank_crops_hold_nothing() -> None:
    for inputs, classes in batches([cells(colour=True)], Crops(3, 4, 48, blank=1.0)):
        assert classes.max() == 0
        assert inputs.std() > 0.0


def test_repeatable_and_varied() -> None:
    first = [inputs for inputs, _ in batches([cells(colour=True)], Crops(2, 2, 32, seed=4))]
    again = [inputs for inputs, _ in batches([cells(colour=True)], Crops(2, 2, 32, seed=4))]
    other = [inputs for inputs, _ in batches([cells(colour=True)], Crops(2, 2, 32, seed=5))]
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])


def test_pictures_are_not_written_into() -> None:
    case = cells(colour=False)
    before = case.pixels.copy()
    list(batches([case], Crops(4, 4, 96)))
    assert np.array_equal(case.pixels, before)


def test_a_picture_smaller_than_a_crop_is_mirrored() -> None:
    small = Labelled(Path("s.png"), np.full((3, 20, 25), 9, np.uint8), np.ones((20, 25), np.uint16))
    for inputs, classes in batches([small], Crops(3, 2, 64, blank=0.0)):
        assert inputs.shape[2:] == (64, 64)
        assert (classes == INTERIOR).all()
