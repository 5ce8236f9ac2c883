"""Labels on source frames: voxels are copied where they coincide, boundaries kept where they do not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.dicom_source import Plane
from datasets.geometry import grid_from_axes
from datasets.image import Image, Intensity
from datasets.plane_sampling import labels_on_planes, values_on_planes

X, Y = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
# RAS axes such that LPS coordinates of voxel (i, j, k) are (i, j, 2 k).
GRID = grid_from_axes((20, 16, 12), (1.0, 1.0, 2.0), np.diag([-1.0, -1.0, 1.0]))


def plane(z_mm: float, position_mm: tuple[float, float] = (0.0, 0.0), size: tuple[int, int] = (16, 20)) -> Plane:
    return Plane(0, 1, np.array([*position_mm, z_mm]), X, Y, (1.0, 1.0), size)


def labels_of(array: NDArray[np.uint8]) -> Image:
    return Image(array[np.newaxis], Intensity.LABEL, GRID.affine)


def test_planes_on_the_grid_are_copies_of_its_slices() -> None:
    array = np.random.default_rng(0).integers(0, 3, GRID.shape, np.uint8)
    frames = labels_on_planes(labels_of(array), [plane(2.0 * k) for k in (3, 0, 11)])
    np.testing.assert_array_equal(frames, array.transpose(2, 1, 0)[[3, 0, 11]])


def test_rounded_positions_count_as_on_the_grid() -> None:
    array = np.random.default_rng(1).integers(0, 3, GRID.shape, np.uint8)
    frames = labels_on_planes(labels_of(array), [plane(8.004, (0.004, -0.004))])
    np.testing.assert_array_equal(frames[0], array[:, :, 4].T)


def test_a_smaller_and_shifted_frame_sees_its_part_and_background_outside() -> None:
    array = np.ones(GRID.shape, np.uint8)
    frames = labels_on_planes(labels_of(array), [plane(4.0, (-2.0, 10.0), (10, 6)), plane(99.0, size=(10, 6))])
    expected = np.zeros((10, 6), np.uint8)
    expected[:6, 2:] = 1  # rows 10..15 and columns 0..3 of the grid
    np.testing.assert_array_equal(frames[0], expected)
    assert not frames[1].any()


def test_between_slices_the_boundary_lies_between_their_boundaries() -> None:
    """The edge moves 4 voxels from one slice to the next; in between the slice that is nearer has the larger share."""
    array = np.zeros(GRID.shape, np.uint8)
    array[:6, :, 5] = 2
    array[:10, :, 6] = 2
    (quarter, three_quarters, shifted) = labels_on_planes(
        labels_of(array), [plane(10.5), plane(11.5), plane(11.5, (0.5, 0.0))]
    )
    np.testing.assert_array_equal(quarter[8], [2] * 6 + [0] * 14)
    np.testing.assert_array_equal(three_quarters[8], [2] * 10 + [0] * 10)
    # Half a pixel on: column 9 sees 3/4 of 1/2, less than half; column 8 still sees 3/4.
    np.testing.assert_array_equal(shifted[8], [2] * 9 + [0] * 11)


def test_no_label_is_invented_between_two_others() -> None:
    """Between label 1 and label 3 a linear mix of numbers would show 2."""
    array = np.zeros(GRID.shape, np.uint8)
    array[:10], array[10:] = 1, 3
    frames = labels_on_planes(labels_of(array), [plane(9.0, (shift, 0.3)) for shift in (0.2, 0.4, 0.6, 0.8)])
    assert set(np.unique(frames[:, :14, :19])) == {1, 3}


def test_a_tie_goes_to_the_lower_label() -> None:
    array = np.zeros(GRID.shape, np.uint8)
    array[:, :, 4], array[:, :, 5] = 2, 1
    (between,) = labels_on_planes(labels_of(array), [plane(9.0)])
    assert set(np.unique(between)) == {1}


def test_frames_oblique_to_the_grid_show_a_ball_as_a_disc() -> None:
    grid = grid_from_axes((60, 60, 60), (1.0, 1.0, 1.0), np.diag([-1.0, -1.0, 1.0]))
    centre, radius = np.array([29.0, 31.0, 28.0]), 15.0
    points = grid.points_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) * (-1.0, -1.0, 1.0)
    ball = (np.linalg.norm(points - centre, axis=-1) <= radius).astype(np.uint8)
    along_row = np.array([np.cos(0.5), 0.0, np.sin(0.5)])
    along_column = np.array([-0.2 * np.sin(0.5), np.sqrt(1 - 0.04), 0.2 * np.cos(0.5)])
    offset = 6.0
    start = centre + offset * np.cross(along_row, along_column) - 20 * along_row - 20 * along_column
    oblique = Plane(0, 1, start, along_row, along_column, (0.5, 0.5), (81, 81))
    (frame,) = labels_on_planes(Image(ball[np.newaxis], Intensity.LABEL, grid.affine), [oblique])
    assert frame.sum() * 0.25 == pytest.approx(np.pi * (radius**2 - offset**2), rel=0.02)
    np.testing.assert_allclose(np.argwhere(frame).mean(axis=0), [40.0, 40.0], atol=0.2)


def test_a_map_without_labels_gives_empty_frames() -> None:
    frames = labels_on_planes(labels_of(np.zeros(GRID.shape, np.uint8)), [plane(0.3), plane(2.0)])
    assert frames.shape == (2, 16, 20)
    assert not frames.any()


def test_what_is_no_label_map_is_an_error() -> None:
    two = Image(np.zeros((2, *GRID.shape), np.uint8), Intensity.LABEL, GRID.affine)
    floats = Image(np.zeros((1, *GRID.shape)), Intensity.LABEL, GRID.affine)
    empty = labels_of(np.zeros(GRID.shape, np.uint8))
    for labels, planes in ((two, [plane(0.0)]), (floats, [plane(0.0)]), (empty, [])):
        with pytest.raises(ValueError, match="expected"):
            labels_on_planes(labels, planes)
    with pytest.raises(ValueError, match="one size"):
        labels_on_planes(empty, [plane(0.0), plane(2.0, size=(3, 4))])


def values_of(array: NDArray[np.floating]) -> Image:
    return Image(array[np.newaxis], Intensity.PROBABILITY, GRID.affine)


def ramp() -> Image:
    """x + 10 y + 100 z, LPS mm, on the grid."""
    i, j, k = np.indices(GRID.shape)
    return values_of(i + 10.0 * j + 100.0 * 2 * k)


def test_values_on_the_grid_are_copies_and_between_slices_linear() -> None:
    row, column = np.indices((16, 20))
    heights = [6.0, 6.004, 6.5, 9.3]
    frames = values_on_planes(ramp(), [plane(z) for z in heights])
    assert frames.dtype == np.float32
    for frame, z in zip(frames, (6.0, 6.0, 6.5, 9.3), strict=True):
        np.testing.assert_allclose(frame, column + 10.0 * row + 100.0 * z, rtol=1e-6)


def test_values_on_oblique_frames_are_linear() -> None:
    along_row = np.array([np.cos(0.3), 0.0, np.sin(0.3)])
    along_column = np.array([-0.2 * np.sin(0.3), np.sqrt(1 - 0.04), 0.2 * np.cos(0.3)])
    start = np.array([4.0, 3.0, 5.0])
    oblique = Plane(0, 1, start, along_row, along_column, (0.7, 0.6), (12, 14))
    (frame,) = values_on_planes(ramp(), [oblique])
    row, column = np.indices((12, 14))[..., np.newaxis]
    points = start + row * 0.7 * along_column + column * 0.6 * along_row
    np.testing.assert_allclose(frame, points @ (1.0, 10.0, 100.0), rtol=1e-6)


def test_the_outermost_value_is_held_to_the_end_of_its_voxel_and_no_farther() -> None:
    frames = values_on_planes(values_of(np.full(GRID.shape, 0.75)), [plane(z) for z in (22.9, 23.1, -0.9, -1.1)])
    assert [set(np.unique(frame)) for frame in frames] == [{0.75}, {0.0}, {0.75}, {0.0}]
    (shifted,) = values_on_planes(values_of(np.full(GRID.shape, 0.75)), [plane(4.0, (0.4, -0.6))])
    assert (shifted[1:] == 0.75).all()  # 19.4 is within the last column's voxel
    assert not shifted[0].any()


def test_a_map_without_values_gives_empty_frames_and_what_is_no_map_is_an_error() -> None:
    empty = values_of(np.zeros(GRID.shape))
    assert not values_on_planes(empty, [plane(0.3), plane(2.0)]).any()
    two = Image(np.zeros((2, *GRID.shape)), Intensity.PROBABILITY, GRID.affine)
    yes_no = values_of(np.zeros(GRID.shape, bool))
    for values, planes in ((two, [plane(0.0)]), (yes_no, [plane(0.0)]), (empty, [])):
        with pytest.raises(ValueError, match="expected"):
            values_on_planes(values, planes)
