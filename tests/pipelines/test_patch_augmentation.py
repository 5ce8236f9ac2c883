"""Lenses, stains, turns and shifts, against what formulas say of single points."""

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.patch_augmentation import (
    STRONGEST,
    WEAKEST,
    Lenses,
    LensKind,
    Variation,
    draw_lenses,
    restained,
    shifted,
    through_lenses,
    turned,
    varied,
)

SIZE = 64


def lens(x: float, y: float, radius: float, strength: float) -> Lenses:
    return Lenses(torch.tensor([[[x, y]]]), torch.tensor([[radius]]), torch.tensor([[strength]]))


def ramps() -> Tensor:
    """Two channels that hold each pixel's own column and row: linear, so that interpolation is exact."""
    rows, columns = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    return torch.stack([columns, rows])[None]


def noise(count: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((count, 3, SIZE, SIZE), dtype=np.float32))


def test_without_strength_nothing_changes() -> None:
    assert torch.equal(through_lenses(noise(), lens(30.0, 20.0, 15.0, 0.0)), noise())


@pytest.mark.parametrize("strength", [0.7, -0.4, -1.1])
def test_a_point_shows_what_the_formula_says(strength: float) -> None:
    seen = through_lenses(ramps(), lens(30.0, 34.0, 20.0, strength))[0]
    # 12 px right of the middle and 9 up: 15 of 20 px away, so (1 - 0.75^2)^2 of the strength is in force.
    factor = 1 - strength * 0.19140625
    assert seen[0, 25, 42].item() == pytest.approx(30 + 12 * factor, abs=1e-4)
    assert seen[1, 25, 42].item() == pytest.approx(34 - 9 * factor, abs=1e-4)
    assert seen[:, 34, 30].tolist() == pytest.approx([30, 34], abs=1e-4)


def test_the_middle_is_magnified_or_shrunk_as_told() -> None:
    for strength in (-0.5, 0.5):
        seen = through_lenses(ramps(), lens(32.0, 32.0, 31.0, strength))[0]
        step = (seen[0, 32, 33] - seen[0, 32, 31]).item() / 2
        assert step == pytest.approx(1 - strength, rel=0.01)


def test_pixels_outside_of_a_lens_are_untouched() -> None:
    x, y, radius = 20.0, 40.0, 14.0
    before = noise()
    after = through_lenses(before, lens(x, y, radius, 0.9))
    columns, rows = ramps()[0]
    outside = (columns - x) ** 2 + (rows - y) ** 2 >= radius**2
    assert torch.equal(after[0, :, outside], before[0, :, outside])
    assert (after != before)[0, :, ~outside].float().mean() > 0.9


def test_lenses_follow_one_another() -> None:
    both = Lenses(
        torch.tensor([[[20.0, 20.0], [26.0, 22.0]]]), torch.tensor([[12.0, 9.0]]), torch.tensor([[0.8, -0.6]])
    )
    point = torch.tensor([[[24.0, 21.0]]])
    one_by_one = lens(26.0, 22.0, 9.0, -0.6).sources_px(lens(20.0, 20.0, 12.0, 0.8).sources_px(point))
    assert torch.allclose(both.sources_px(point), one_by_one)
    assert not torch.allclose(one_by_one, point)


def areas(lenses: Lenses) -> Tensor:
    """Determinants of the derivative of `sources_px` at a fine grid of points, by automatic differentiation."""
    at = torch.linspace(-5, SIZE + 5, 281, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1)[None].repeat(len(lenses.radii_px), 1, 1, 1)
    points.requires_grad_()
    sources = lenses.sources_px(points)
    rows = [torch.autograd.grad(sources[..., axis].sum(), points, retain_graph=True)[0] for axis in (0, 1)]
    return torch.linalg.det(torch.stack(rows, dim=-2))


def test_no_lens_folds_a_picture() -> None:
    drawn = draw_lenses(np.random.default_rng(1), 6, (SIZE, SIZE), LensKind(count=(4, 4), strength=0.99))
    assert areas(drawn).min() > 0
    for strength in (WEAKEST + 1e-3, STRONGEST - 1e-3):
        assert areas(lens(32.0, 32.0, 25.0, strength)).min() > 0


def test_beyond_the_bounds_a_lens_would_fold_and_is_refused() -> None:
    for strength in (WEAKEST - 0.05, STRONGEST + 0.05):
        with pytest.raises(ValueError, match="fold"):
            lens(32.0, 32.0, 25.0, strength)
        unchecked = lens(32.0, 32.0, 25.0, 0.5)
        object.__setattr__(unchecked, "strengths", torch.tensor([[strength]]))
        # Along the radius it folds. Turned about (at 1.05, both ways) the area alone would not show it.
        out = torch.linspace(32.0, 57.0, 500)
        sources = unchecked.sources_px(torch.stack([out, torch.full_like(out, 32.0)], dim=-1)[None])[0, :, 0]
        assert sources.diff().min() < 0
    with pytest.raises(ValueError, match="radii"):
        lens(1.0, 1.0, 0.0, 0.1)


def test_drawn_lenses_are_as_many_and_as_strong_as_asked() -> None:
    kind = LensKind(count=(1, 3), radii_px=(5.0, 9.0), strength=0.4)
    drawn = draw_lenses(np.random.default_rng(2), 500, (40, 80), kind)
    there = (drawn.strengths != 0).sum(dim=1)
    assert sorted(set(there.tolist())) == [1, 2, 3]
    assert 0.35 < drawn.strengths.abs().max() <= 0.4
    assert drawn.strengths.min() < -0.3 < 0.3 < drawn.strengths.max()
    assert 5.0 <= drawn.radii_px.min() < 5.2 < 8.8 < drawn.radii_px.max() <= 9.0
    assert drawn.centres_px[..., 0].max() > 75 > 39 >= drawn.centres_px[..., 1].max()


def test_the_same_lenses_on_picture_and_label_map() -> None:
    disc = ((ramps()[:, :1] - 30) ** 2 + (ramps()[:, 1:] - 30) ** 2 < 100).float()
    drawn = draw_lenses(np.random.default_rng(3), 1, (SIZE, SIZE), LensKind(count=(4, 4)))
    assert torch.equal(through_lenses(torch.cat([disc, 1 - disc], 1), drawn)[:, :1], through_lenses(disc, drawn))


def test_an_empty_batch_stays_empty() -> None:
    empty = noise()[:0]
    drawn = draw_lenses(np.random.default_rng(3), 0, (SIZE, SIZE), LensKind())
    assert through_lenses(empty, drawn).shape == empty.shape
    assert turned(empty, np.zeros(0, np.int64)).shape == empty.shape
    assert shifted(empty, np.zeros((0, 2), np.int64)).shape == empty.shape
    assert restained(empty, torch.ones(0, 2)).shape == empty.shape


def stained(hematoxylin: float, eosin: float) -> Tensor:
    """A pixel by Beer and Lambert, with the vectors of Macenko et al."""
    density = hematoxylin * np.array([0.5626, 0.7201, 0.4062]) + eosin * np.array([0.2159, 0.8012, 0.5581])
    return torch.from_numpy(10**-density).float().reshape(1, 3, 1, 1)


def test_stains_are_changed_as_by_staining_otherwise() -> None:
    more = restained(stained(0.3, 0.5), torch.tensor([[1.4, 0.8]]))
    assert torch.allclose(more, stained(0.42, 0.4), atol=1e-5)


def test_a_factor_of_one_changes_nothing_and_glass_stays_glass() -> None:
    assert torch.allclose(restained(noise(), torch.ones(1, 2)), noise(), atol=1e-6)
    glass = torch.ones(1, 3, 4, 4)
    assert torch.equal(restained(glass, torch.tensor([[1.5, 1.5]])), glass)


def test_the_eight_ways_a_square_lies() -> None:
    square = torch.arange(9.0).reshape(1, 1, 3, 3).repeat(8, 1, 1, 1)
    ways = turned(square, np.arange(8))
    assert len({tuple(way.flatten().tolist()) for way in ways}) == 8
    assert torch.equal(ways[0], square[0])
    # A quarter counter-clockwise brings the right column to the top.
    assert ways[1, 0, 0].tolist() == [2, 5, 8]
    assert ways[4, 0, 0].tolist() == [2, 1, 0]


def test_shifts_are_whole_pixels_rightwards_and_downwards() -> None:
    before = noise(2)
    after = shifted(before, np.array([[3, -2], [0, 4]]))
    assert torch.equal(after[0, :, :-2, 3:], before[0, :, 2:, :-3])
    assert torch.equal(after[1, :, 4:], before[1, :, :-4])
    assert torch.equal(after[1, :, 3], before[1, :, 1])  # a mirror at the edge: row -1 is row 1
    assert torch.equal(shifted(before, np.zeros((2, 2), np.int64)), before)


def test_a_patch_is_seen_differently_each_time() -> None:
    rng = np.random.default_rng(4)
    first, second = (varied(noise(8), rng, Variation()) for _ in "ab")
    assert first.shape == (8, 3, SIZE, SIZE)
    assert 0 <= first.min() <= first.max() <= 1
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_without_lenses_stains_and_shifts_a_patch_is_turned_alone() -> None:
    none = Variation(LensKind(count=(0, 0)), restaining=0.0, shift_px=0)
    ways = turned(noise().repeat(8, 1, 1, 1), np.arange(8))
    for seen in varied(noise().repeat(20, 1, 1, 1), np.random.default_rng(5), none):
        assert min((seen - way).abs().max() for way in ways) < 1e-6
