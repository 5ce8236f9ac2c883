"""Maps lie in the image that was read as the formula says, however that was squared, resampled, turned or tilted."""

import numpy as np
import pytest
import torch

from datasets.geometry import grid_from_axes
from datasets.image import Image, Intensity
from networks.configs import Input
from pipelines.examination import Seen
from pipelines.explain.placement import on_image
from pipelines.film_preparation import prepared, shown

SLOPE = np.array([0.02, -0.01, 0.03])


def ramp(grid) -> np.ndarray:
    """A linear function of millimetres on a grid, (I, J, K)."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return grid.points_mm(index.reshape(-1, 3)).reshape(*grid.shape, 3) @ SLOPE


def turned(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    about_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return about_x @ about_z


DIRECTIONS = {
    "plain": np.eye(3),
    "flipped and exchanged": np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]]).T,
    "oblique": turned(12),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("spacing", [(2.0, 2.0, 2.0), (1.5, 1.5, 4.0)])
def test_a_linear_map_is_the_same_function_of_millimetres(direction: str, spacing: tuple[float, ...]) -> None:
    image_grid = grid_from_axes((24, 20, 18), (2.0, 2.5, 3.0), DIRECTIONS[direction], (-10.0, 4.0, 7.0))
    # What was prepared covers all of the image, on axes of its own.
    seen_grid = grid_from_axes((110, 110, 110), spacing, np.eye(3), tuple(-110.0 * s / 2 for s in spacing))
    seen = Seen(
        Image(ramp(seen_grid).astype(np.float32)[None], Intensity.GREY, seen_grid.affine),
        Image(np.zeros((1, *image_grid.shape), np.int16), Intensity.HOUNSFIELD, image_grid.affine),
    )
    heat = torch.from_numpy(ramp(seen_grid).astype(np.float32).transpose(2, 1, 0).copy())
    placed = on_image(heat, seen)
    np.testing.assert_array_equal(placed.affine, image_grid.affine)
    # Away from the border, where cells of the coarser grid reach beyond what was prepared.
    np.testing.assert_allclose(placed.array[0], ramp(image_grid), atol=2e-3)


def test_what_the_network_did_not_see_is_zero() -> None:
    image_grid = grid_from_axes((20, 20, 20), (1.0, 1.0, 1.0), np.eye(3), (0.0, 0.0, 0.0))
    part = grid_from_axes((6, 20, 20), (1.0, 1.0, 1.0), np.eye(3), (10.0, 0.0, 0.0))
    seen = Seen(
        Image(np.zeros((1, *part.shape), np.float32), Intensity.GREY, part.affine),
        Image(np.zeros((1, *image_grid.shape), np.int16), Intensity.HOUNSFIELD, image_grid.affine),
    )
    placed = on_image(torch.ones(part.shape[::-1]), seen).array[0]
    assert (placed[10:16] == 1.0).all()
    assert (placed[:10] == 0.0).all()
    assert (placed[16:] == 0.0).all()


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(300, 200), (200, 301), (256, 256)])
@pytest.mark.parametrize("spacing", [None, (0.2, 0.2), (0.2, 0.3)])
def test_a_film_laid_back_on_itself_is_the_film(
    fit: str, shape: tuple[int, int], spacing: tuple[float, float] | None
) -> None:
    rows, columns = shape
    grey = np.add.outer(np.linspace(20, 120, rows), np.linspace(0, 100, columns)).astype(np.uint8)
    affine = None if spacing is None else np.diag([spacing[0], spacing[1], 1.0, 1.0])
    image = Image(np.ascontiguousarray(grey.T)[None, :, :, None], Intensity.GREY, affine)
    expected = Input(scale="", channels=1, size_px=96, fit=fit)
    seen = Seen(prepared(shown(image)[0], expected), image)
    heat = torch.from_numpy(seen.prepared.array[0].transpose(2, 1, 0).copy())
    placed = on_image(heat, seen, expected).array[0, :, :, 0].T
    inside = placed > 0
    if fit != "crop":
        assert inside.mean() > 0.99
    # A pixel of the small picture is three of the film; the ramp climbs half a grey per pixel. Edges of padding blend.
    middle = inside.copy()
    middle[:6], middle[-6:], middle[:, :6], middle[:, -6:] = False, False, False, False
    if fit == "crop":
        edge = ~inside
        for shift in range(1, 7):
            edge |= np.roll(~inside, shift, 0) | np.roll(~inside, -shift, 0)
            edge |= np.roll(~inside, shift, 1) | np.roll(~inside, -shift, 1)
        middle &= ~edge
    assert middle.mean() > 0.3
    np.testing.assert_allclose(placed[middle] * 255, grey[middle], atol=1.6)


def test_a_map_that_nobody_can_place_is_refused() -> None:
    seen = Seen(
        Image(np.zeros((1, 8, 8, 1), np.float32), Intensity.GREY),
        Image(np.zeros((1, 9, 9, 1), np.uint8), Intensity.GREY),
    )
    with pytest.raises(ValueError, match="affines"):
        on_image(torch.zeros(1, 8, 8), seen)
    with pytest.raises(ValueError, match="what was seen"):
        on_image(torch.zeros(1, 9, 9), seen)
