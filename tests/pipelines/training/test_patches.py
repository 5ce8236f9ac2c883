"""Patches hold the voxels they should, by formula: linear fields keep their values wherever a patch lies."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipelines.training.augmentation import change_values, draw_move
from pipelines.training.patches import Move, centre_within, cut
from pipelines.training.prepared import Case
from pipelines.training_settings import AugmentationSettings

SIZE = (9, 20, 31)


def case(size: tuple[int, int, int] = SIZE, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Case:
    """Channels d, h and w themselves; the truth numbers the voxels."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij")).astype(np.float32)
    numbers = np.arange(np.prod(size), dtype=np.int32).reshape(1, *size)
    return Case("one", index, numbers, {}, "", spacing)


@given(st.data())
def test_a_plain_patch_is_a_block(data: st.DataObject) -> None:
    patch = tuple(data.draw(st.integers(1, n)) for n in SIZE)
    wanted = tuple(data.draw(st.floats(-3, n + 3)) for n in SIZE)
    centre = centre_within(SIZE, patch, wanted)
    pixels, truth = cut(case(), centre, patch, Move.none())
    first = pixels[:, 0, 0, 0].numpy().astype(int)
    assert pixels.shape == (3, *patch)
    window = tuple(slice(f, f + n) for f, n in zip(first, patch, strict=True))
    np.testing.assert_array_equal(truth[0], case().truth[0][window])
    np.testing.assert_array_equal(pixels, case().inputs[:, *window])
    # As near to what was wanted as the image allows.
    for at, f, n, extent in zip(wanted, first, patch, SIZE, strict=True):
        ideal = at - (n - 1) / 2
        assert abs(f - np.clip(ideal, 0, extent - n)) <= 0.5 + 1e-9


def test_beyond_the_image_its_edge_is_repeated() -> None:
    pixels, truth = cut(case((1, 4, 4)), (0.0, 1.5, 1.5), (3, 6, 6), Move.none())
    assert pixels[1, :, :, 0].unique().tolist() == [0.0, 1.0, 2.0, 3.0]
    np.testing.assert_array_equal(pixels[2, 0, 0], [0, 0, 1, 2, 3, 3])
    np.testing.assert_array_equal(pixels[0], np.zeros((3, 6, 6)))
    np.testing.assert_array_equal(truth[0, 0, :, 0], [0, 0, 4, 8, 12, 12])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("flat", [True, False])
def test_turned_patches_show_what_lies_there(seed: int, flat: bool) -> None:
    settings = AugmentationSettings(rotation_deg=40, tilt_deg=25, moved=1.0, mirror=("left_right", "front_back"))
    spacing = (2.5, 1.0, 1.0)
    move = draw_move(settings, spacing, np.random.default_rng(seed), flat=flat)
    large = case((41, 60, 60), spacing)
    patch, centre = (3, 8, 10), (20.0, 29.5, 29.5)
    pixels, truth = cut(large, centre, patch, move)
    offsets = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in patch), indexing="ij"), axis=-1)
    there = offsets @ move.turn.T + np.asarray(centre)
    # Coordinates are linear, so interpolating them gives them back.
    np.testing.assert_allclose(pixels.permute(1, 2, 3, 0), there, atol=1e-4)
    nearest = np.stack(np.unravel_index(truth[0].numpy(), large.size), axis=-1)
    assert np.abs(nearest - there).max() <= 0.5 + 1e-4
    if flat:
        np.testing.assert_allclose(move.turn[0], [np.sign(move.turn[0, 0]), 0, 0], atol=1e-12)


def test_a_turn_is_one_in_space() -> None:
    settings = AugmentationSettings(rotation_deg=0, tilt_deg=30, moved=1.0, scale=(1.0, 1.0))
    spacing = np.diag([3.0, 0.8, 0.8])
    for seed in range(5):
        move = draw_move(settings, (3.0, 0.8, 0.8), np.random.default_rng(seed), flat=False)
        in_mm = spacing @ move.turn @ np.linalg.inv(spacing)
        np.testing.assert_allclose(in_mm @ in_mm.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(in_mm) == pytest.approx(1.0)


def test_magnified_things_are_larger() -> None:
    settings = AugmentationSettings(rotation_deg=0, moved=1.0, scale=(2.0, 2.0))
    move = draw_move(settings, (1.0, 1.0, 1.0), np.random.default_rng(0), flat=True)
    np.testing.assert_allclose(move.turn, np.diag([1.0, 0.5, 0.5]))


def test_unchanged_without_changes() -> None:
    still = AugmentationSettings(moved=0.0, each=0.0)
    rng = np.random.default_rng(0)
    image = torch.rand(3, 1, 8, 8)
    assert torch.equal(change_values(image, still, rng), image)
    np.testing.assert_array_equal(draw_move(still, (1, 1, 1), rng, flat=True).turn, np.eye(3))


def test_changed_values_stay_finite_and_grey_stays_grey() -> None:
    wild = AugmentationSettings(each=1.0, inverted=0.5, hue=0.3, coarse=0.5)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        grey = torch.from_numpy(rng.random((1, 1, 16, 16)).astype(np.float32)).expand(3, -1, -1, -1)
        before = grey.clone()
        changed = change_values(grey, wild, rng)
        assert torch.equal(grey, before)
        assert bool(torch.isfinite(changed).all())
        assert not torch.equal(changed, before)
        torch.testing.assert_close(changed[0], changed[1])
        torch.testing.assert_close(changed[0], changed[2])
    blank = torch.full((1, 1, 4, 4), 7.0)
    assert torch.equal(change_values(blank, wild, np.random.default_rng(0)), blank)


def test_inverted_is_black_for_white() -> None:
    only = AugmentationSettings(each=0.0, inverted=1.0)
    image = torch.tensor([1.0, 2.0, 5.0]).reshape(1, 1, 1, 3)
    assert change_values(image, only, np.random.default_rng(0)).flatten().tolist() == [5.0, 4.0, 1.0]
