"""Patches of phantom slides carry the truth of their own middle."""

import numpy as np
import pytest

from datasets.phantoms import SlidePhantom
from pipelines.phantom_patches import Blocks, cut_patches, draw_blocks, drawn_slide


@pytest.fixture(scope="module")
def coded() -> list[Blocks]:
    """Blocks whose red says where tumour is, and whose blue says whether they are normalised."""
    rng = np.random.default_rng(0)
    slides = []
    for _ in range(3):
        tumor = np.zeros((4, 288, 288), np.bool_)
        for block in tumor[:3]:
            top, left = rng.integers(0, 200, 2)
            block[top : top + 60, left : left + 40] = True
        plain = np.zeros((*tumor.shape, 3), np.uint8)
        plain[..., 0] = 255 * tumor
        normalised = plain.copy()
        normalised[..., 2] = 255
        slides.append(Blocks(plain, normalised, tumor))
    return slides


def test_labels_are_about_the_32_pixels_in_the_middle(coded: list[Blocks]) -> None:
    patches = cut_patches(coded, 200, np.random.default_rng(1))
    assert patches.pixels.shape == (200, 96, 96, 3)
    middle = patches.pixels[:, 32:64, 32:64, 0] > 0
    np.testing.assert_array_equal(patches.tumor, middle.any(axis=(1, 2)))
    # Half of them, as in PatchCamelyon, and some at the rim of the middle.
    assert patches.tumor.sum() == 100
    assert (middle.mean(axis=(1, 2))[patches.tumor] < 0.2).any()
    around = (patches.pixels[..., 0] > 0).any(axis=(1, 2))
    assert (around & ~patches.tumor).sum() > 10


def test_places_do_not_depend_on_the_share_of_normalised_ones(coded: list[Blocks]) -> None:
    plain, both, normalised = (cut_patches(coded, 60, np.random.default_rng(2), share) for share in (0.0, 0.5, 1.0))
    for patches in (both, normalised):
        np.testing.assert_array_equal(patches.pixels[..., 0], plain.pixels[..., 0])
    assert plain.pixels[..., 2].max() == 0
    assert normalised.pixels[..., 2].min() == 255
    assert 15 < (both.pixels[:, 0, 0, 2] == 255).sum() < 45


def test_without_tumour_all_patches_are_negative(coded: list[Blocks]) -> None:
    empty = [Blocks(one.plain[3:], one.normalised[3:], one.tumor[3:]) for one in coded]
    assert not cut_patches(empty, 8, np.random.default_rng(3)).tumor.any()


@pytest.fixture(scope="module")
def slide() -> SlidePhantom:
    return drawn_slide(4)


def test_blocks_show_outlines_and_insides_of_tumours_and_other_tissue(slide: SlidePhantom) -> None:
    blocks = draw_blocks(4)
    assert blocks.plain.shape == (*blocks.tumor.shape, 3)
    shares = blocks.tumor.mean(axis=(1, 2))
    assert ((shares > 0) & (shares < 1)).sum() >= 4
    assert (shares > 0.4).sum() >= 2
    assert (shares == 0).any()
    # Tumour is rich in nuclei: little red gets through.
    mixed = blocks.tumor[:4]
    assert blocks.plain[:4][mixed][:, 0].mean() < blocks.plain[:4][~mixed][:, 0].mean() - 15
    # Normalised, the slide has other colours, and glass those of the reference.
    assert np.abs(blocks.normalised.astype(int) - blocks.plain).mean() > 3


def test_some_slides_are_spoilt_and_the_same_seed_is_the_same_slide(slide: SlidePhantom) -> None:
    spoilt = [bool(drawn_slide(seed).artifacts) for seed in range(40)]
    assert 4 <= sum(spoilt) <= 22
    np.testing.assert_array_equal(slide.stain_vectors, drawn_slide(4).stain_vectors)
