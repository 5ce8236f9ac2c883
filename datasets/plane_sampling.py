"""A volume seen on the frames of its source: the way back from labels or values to the planes they were made of."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.box import Box, bounding_box
from datasets.dicom_source import Plane
from datasets.image import Image

# Grid points nearer to a voxel centre than this (in voxels) are that voxel: rounding in headers is smaller, a shift
# anybody could see is larger.
_ON_GRID_VOXELS = 1e-2
# A voxel ends half its size from its centre, but for rounding.
_HALF_VOXEL = 0.5 + 1e-6

Labels = NDArray[np.uint8]
Values = NDArray[np.float32]
Voxels = NDArray[Any]
Points = NDArray[np.float64]


def labels_on_planes(labels: Image, planes: Sequence[Plane]) -> Labels:
    """Sample a label map at the pixel centres of source frames.

    Where a frame's pixels coincide with voxels, the voxels are copied. Otherwise (a series rectified because of gantry
    tilt or uneven spacing) each label is interpolated linearly as a mask of its own and the largest share wins: the
    boundary then lies where the masks' half-way surface lies, to a fraction of a voxel, while the nearest voxel would
    be off by up to half a slice and a linear mix of label numbers would invent labels. A tie goes to the lower label.
    What lies outside the label map is background.

    Args:
        labels: (1, I, J, K) uint8 with an affine; may be sheared.
        planes: Frames of one size.

    Returns:
        (frames, rows, columns) uint8, in the order of the planes.

    Raises:
        ValueError: There is no plane, the sizes differ, or the label map is not one channel of uint8.
    """
    if labels.channels != 1 or labels.array.dtype != np.uint8:
        raise ValueError(f"expected one channel of uint8; got {labels.array.shape} {labels.array.dtype}")
    frames = _empty(planes, np.dtype(np.uint8))
    _sample(frames, labels, planes, _largest_share)
    return frames


def values_on_planes(values: Image, planes: Sequence[Plane]) -> Values:
    """Sample a map of real values at the pixel centres of source frames.

    Where a frame's pixels coincide with voxels, the voxels are copied; otherwise values are interpolated linearly. A
    voxel reaches half its size beyond its centre, so that up to there the outermost value is held; what lies farther
    outside is 0: nothing was looked at there.

    Args:
        values: (1, I, J, K) of finite real numbers with an affine; may be sheared.
        planes: Frames of one size.

    Returns:
        (frames, rows, columns) float32, in the order of the planes.

    Raises:
        ValueError: There is no plane, the sizes differ, or the map is not one channel of real numbers.
    """
    if values.channels != 1 or values.array.dtype.kind not in "fiu":
        raise ValueError(f"expected one channel of real numbers; got {values.array.shape} {values.array.dtype}")
    frames = _empty(planes, np.dtype(np.float32))
    _sample(frames, values, planes, _linear)
    return frames


def _empty(planes: Sequence[Plane], dtype: np.dtype[Any]) -> Voxels:
    """Zeros (frames, rows, columns)."""
    sizes = {plane.size for plane in planes}
    if len(sizes) != 1:
        raise ValueError(f"expected frames of one size; got {sorted(sizes)}")
    return np.zeros((len(planes), *sizes.pop()), dtype)


def _sample(frames: Voxels, image: Image, planes: Sequence[Plane], between: Callable[[Voxels, Points], Voxels]) -> None:
    """Write all frames; `between` gives what lies at fractional indices (3, N)."""
    voxels = image.array[0]
    box = bounding_box(voxels)
    if box is None:
        return
    to_index = np.linalg.inv(image.grid.affine)
    for frame, plane in zip(frames, planes, strict=True):
        where, near = _near(frame.shape, to_index @ plane.affine, box)
        if not near.any():
            continue
        points = np.stack([axis[near] for axis in where])
        whole = np.round(points)
        if np.abs(points - whole).max() <= _ON_GRID_VOXELS:
            frame[near] = _gather(voxels, whole.astype(np.int64))
        else:
            frame[near] = between(voxels, points)


def _near(
    size: tuple[int, ...], to_index: NDArray[np.float64], box: Box
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
    """Voxel indices along three axes of each pixel (rows, columns), and whether it is within a voxel of the box.

    `to_index` maps (column, row, 0) to voxel indices.
    """
    rows, columns = size
    row, column = np.ogrid[:rows, :columns]
    where = [to_index[a, 0] * column + to_index[a, 1] * row + to_index[a, 3] for a in range(3)]
    near = np.ones((rows, columns), bool)
    for axis in range(3):
        near &= (where[axis] > box[axis].start - 1) & (where[axis] < box[axis].stop)
    return where, near


def _gather(voxels: Voxels, index: NDArray[np.int64]) -> Voxels:
    """Voxels at whole indices (3, N); 0 outside."""
    shape = np.array(voxels.shape)[:, np.newaxis]
    inside = ((index >= 0) & (index < shape)).all(axis=0)
    i, j, k = np.clip(index, 0, shape - 1)
    values: Voxels = np.where(inside, voxels[i, j, k], voxels.dtype.type(0))
    return values


def _corners(voxels: Voxels, points: Points) -> Iterator[tuple[Voxels, NDArray[np.float64]]]:
    """The voxels around fractional indices (3, N), one corner of the cell at a time: (voxels, their weights)."""
    floor = np.floor(points)
    beyond = points - floor
    # A coordinate that is a whole number but for rounding takes no share from its neighbour.
    beyond[np.abs(beyond) < 1e-6] = 0.0
    base = floor.astype(np.int64)
    for corner in np.ndindex(2, 2, 2):
        side = np.array(corner)[:, np.newaxis]
        weight = np.where(side == 1, beyond, 1.0 - beyond).prod(axis=0)
        if weight.max() > 0.0:
            yield _gather(voxels, base + side), weight


def _largest_share(voxels: Labels, points: Points) -> Labels:
    """The label with the largest linear share at fractional indices (3, N)."""
    corners = list(_corners(voxels, points))
    present = np.unique(np.concatenate([np.unique(values) for values, _ in corners]))
    shares = np.stack([sum(weight * (values == label) for values, weight in corners) for label in present])
    # Rounding must not decide a tie.
    winners: Labels = present[np.argmax(shares.round(9), axis=0)]
    return winners


def _linear(voxels: Voxels, points: Points) -> Voxels:
    """The values at fractional indices (3, N), float64; the outermost is held to its voxel's end, beyond it is 0."""
    last = np.array(voxels.shape)[:, np.newaxis] - 1
    inside = ((points >= -_HALF_VOXEL) & (points <= last + _HALF_VOXEL)).all(axis=0)
    mixed = np.zeros(points.shape[1])
    for values, weight in _corners(voxels, np.clip(points, 0.0, last)):
        mixed += weight * values
    return np.where(inside, mixed, 0.0)
