"""A label map seen on the frames of its source: the way back from a volume to the planes it was made of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.box import Box, bounding_box
from datasets.dicom_source import Plane
from datasets.image import Image

# Grid points nearer to a voxel centre than this (in voxels) are that voxel: rounding in headers is smaller, a shift
# anybody could see is larger.
_ON_GRID_VOXELS = 1e-2

Labels = NDArray[np.uint8]


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
    sizes = {plane.size for plane in planes}
    if len(sizes) != 1:
        raise ValueError(f"expected frames of one size; got {sorted(sizes)}")
    frames = np.zeros((len(planes), *sizes.pop()), np.uint8)
    voxels = labels.array[0]
    box = bounding_box(voxels)
    if box is None:
        return frames
    to_index = np.linalg.inv(labels.grid.affine)
    for frame, plane in zip(frames, planes, strict=True):
        _fill(frame, voxels, to_index @ plane.affine, box)
    return frames


def _fill(frame: Labels, voxels: Labels, to_index: NDArray[np.float64], box: Box) -> None:
    """Write one frame (rows, columns); `to_index` maps (column, row, 0) to voxel indices."""
    rows, columns = frame.shape
    row, column = np.ogrid[:rows, :columns]
    where = [to_index[a, 0] * column + to_index[a, 1] * row + to_index[a, 3] for a in range(3)]
    near = np.ones(frame.shape, bool)
    for axis in range(3):
        near &= (where[axis] > box[axis].start - 1) & (where[axis] < box[axis].stop)
    if not near.any():
        return
    points = np.stack([axis[near] for axis in where])
    whole = np.round(points)
    if np.abs(points - whole).max() <= _ON_GRID_VOXELS:
        frame[near] = _gather(voxels, whole.astype(np.int64))
    else:
        frame[near] = _largest_share(voxels, points)


def _gather(voxels: Labels, index: NDArray[np.int64]) -> Labels:
    """Labels at whole indices (3, N); 0 outside."""
    shape = np.array(voxels.shape)[:, np.newaxis]
    inside = ((index >= 0) & (index < shape)).all(axis=0)
    i, j, k = np.clip(index, 0, shape - 1)
    return np.where(inside, voxels[i, j, k], np.uint8(0))


def _largest_share(voxels: Labels, points: NDArray[np.float64]) -> Labels:
    """The label with the largest linear share at fractional indices (3, N)."""
    floor = np.floor(points)
    beyond = points - floor
    # A coordinate that is a whole number but for rounding takes no share from its neighbour.
    beyond[np.abs(beyond) < 1e-6] = 0.0
    base = floor.astype(np.int64)
    corners = []
    for corner in np.ndindex(2, 2, 2):
        side = np.array(corner)[:, np.newaxis]
        weight = np.where(side == 1, beyond, 1.0 - beyond).prod(axis=0)
        if weight.max() > 0.0:
            corners.append((_gather(voxels, base + side), weight))
    present = np.unique(np.concatenate([np.unique(values) for values, _ in corners]))
    shares = np.stack([sum(weight * (values == label) for values, weight in corners) for label in present])
    # Rounding must not decide a tie.
    winners: Labels = present[np.argmax(shares.round(9), axis=0)]
    return winners
