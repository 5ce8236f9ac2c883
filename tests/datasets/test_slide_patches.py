"""Patches by the rule of PatchCamelyon: balanced, labelled by their middle, not solved by colour."""

import numpy as np
import pytest

from datasets.errors import ConfigError
from datasets.phantoms import patch_label, slide_patches, slide_phantom

PATCHES = slide_patches(24, 3)


def test_labels_follow_from_the_middle_of_the_patch() -> None:
    for number in range(24):
        slide = slide_phantom(int(PATCHES.slides[number]), (4000.0, 3000.0))
        x, y = PATCHES.corners_um[number]
        places = [
            (x + (column + 0.5) * 0.97, y + (row + 0.5) * 0.97) for row in range(32, 64) for column in range(32, 64)
        ]
        inside = slide.is_tumor(*np.array(places).T)
        assert int(any(inside)) == PATCHES.labels[number] == patch_label(slide, x, y)
        assert slide.is_tissue(np.array([x + 46.56]), np.array([y + 46.56]))[0] or PATCHES.labels[number]


def test_one_tumour_pixel_in_the_middle_is_enough_and_one_outside_is_not() -> None:
    slide = slide_phantom(2)
    edge = slide.tumor_regions[0].outline_um(4096)
    x, y = edge[np.argmin(edge[:, 0])]  # Its leftmost point.
    # The middle's right edge reaches just beyond the tumour's left tip, or not quite.
    assert patch_label(slide, x - 64 * 0.97 + 1.5, y - 48.3 * 0.97) == 1
    assert patch_label(slide, x - 64 * 0.97 - 0.1, y - 48.3 * 0.97) == 0


def test_patches_are_cut_from_their_slides() -> None:
    slide = slide_phantom(int(PATCHES.slides[5]), (4000.0, 3000.0))
    np.testing.assert_array_equal(slide.read(*PATCHES.corners_um[5], 96, 96, 0.97), PATCHES.pixels[5])


def test_half_of_the_patches_hold_tumour_and_slides_differ() -> None:
    assert PATCHES.pixels.shape == (24, 96, 96, 3)
    assert PATCHES.labels.tolist() == [0, 1] * 12
    assert len(set(PATCHES.slides.tolist())) == 6
    assert not set(slide_patches(4, 4).slides.tolist()) & set(PATCHES.slides.tolist())


def test_the_same_seed_gives_the_same_patches() -> None:
    again = slide_patches(3, 3)
    np.testing.assert_array_equal(again.pixels, PATCHES.pixels[:3])
    assert slide_patches(0, 3).pixels.shape == (0, 96, 96, 3)


def test_too_small_patches_are_refused() -> None:
    with pytest.raises(ConfigError):
        slide_patches(2, 1, size_px=31)


def test_mean_colour_does_not_tell_tumour() -> None:
    """The rank of any mean channel, brightness or tint separates the labels little (area under the curve)."""
    colour = PATCHES.pixels.reshape(24, -1, 3).mean(axis=1)
    tints = np.column_stack((colour, colour.sum(axis=1), colour[:, 0] - colour[:, 2], colour[:, 1] - colour[:, 0]))
    for values in tints.T:
        positive, negative = values[PATCHES.labels == 1], values[PATCHES.labels == 0]
        area = (positive[:, None] > negative).mean()
        assert 0.08 < area < 0.92
