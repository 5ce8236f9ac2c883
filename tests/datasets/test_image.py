"""An image: read-only, laid out for networks, never with a spacing nobody told."""

import numpy as np
import pytest

from datasets.image import Image, Intensity

FRAMES = np.arange(2 * 3 * 5, dtype=np.int16).reshape(2, 3, 5)  # (K, J, I)
AFFINE = np.diag([0.5, 0.7, 2.0, 1.0])


def test_frames_become_voxels_without_a_copy() -> None:
    image = Image.from_slices(FRAMES, Intensity.HOUNSFIELD, AFFINE)
    assert image.array.shape == (1, 5, 3, 2)
    assert image.shape == (5, 3, 2)
    assert image.channels == 1
    # Column 4 of row 1 of frame 0 stands at 0 * 15 + 1 * 5 + 4.
    assert image.array[0, 4, 1, 0] == 9
    for view in (image.array, image.slices()):
        assert np.shares_memory(view, FRAMES)
    assert image.array.transpose(0, 3, 2, 1).flags.c_contiguous
    assert np.array_equal(image.slices(), FRAMES)
    assert image.grid.spacing_mm == (0.5, 0.7, 2.0)


def test_neither_array_nor_affine_can_be_written() -> None:
    own, affine = FRAMES.copy(), AFFINE.copy()
    image = Image.from_slices(own, Intensity.HOUNSFIELD, affine)
    for array in (image.array, image.slices(), image.affine):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0  # type: ignore[index]
    # The giver's arrays stay the giver's.
    assert own.flags.writeable
    affine[0, 0] = 7
    assert image.affine is not None
    assert image.affine[0, 0] == 0.5
    with pytest.raises(AttributeError):
        image.intensity = Intensity.GREY  # type: ignore[misc]


def test_an_unknown_spacing_is_refused_not_invented() -> None:
    image = Image.from_slices(FRAMES, Intensity.GREY)
    assert image.affine is None
    with pytest.raises(ValueError, match=r"known spacing.*\(5, 3, 2\)"):
        _ = image.grid


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 0, 4, 5), (0, 3, 4, 5), (1, 1, 3, 4, 5)])
def test_an_image_has_four_axes_and_no_empty_one(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="without an empty axis"):
        Image(np.zeros(shape), Intensity.GREY)


def test_an_affine_must_be_one() -> None:
    with pytest.raises(ValueError, match="invertible"):
        Image(np.zeros((1, 2, 2, 2)), Intensity.GREY, np.zeros((4, 4)) + np.diag([0, 0, 0, 1]))


def test_another_array_on_the_same_grid() -> None:
    image = Image.from_slices(FRAMES, Intensity.HOUNSFIELD, AFFINE)
    labels = image.like(image.array[0] > 9, Intensity.LABEL)
    assert labels.intensity is Intensity.LABEL
    assert labels.array.shape == (1, 5, 3, 2)
    assert labels.affine is not None
    assert np.array_equal(labels.affine, AFFINE)
    probabilities = image.like(np.zeros((3, 5, 3, 2)))
    assert (probabilities.channels, probabilities.intensity) == (3, Intensity.HOUNSFIELD)
    with pytest.raises(ValueError, match=r"\(5, 3, 2\).*\(2, 3, 5\)"):
        image.like(FRAMES)
