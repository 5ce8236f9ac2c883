"""Putting an image on another grid: `Image -> Image`, pure, with NumPy and SimpleITK."""

from enum import Enum

import nibabel.orientations as nio
import numpy as np
import SimpleITK as sitk

from datasets.geometry import Grid, lps_from_ras
from datasets.image import Array, Image

_AXIS_OF = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}
_NO_COSINE = 1e-12


class Interpolation(Enum):
    """How values between voxel centres are made."""

    NEAREST = sitk.sitkNearestNeighbor
    LINEAR = sitk.sitkLinear
    CUBIC = sitk.sitkBSpline


def reorient(image: Image, orientation: str) -> Image:
    """Permute and flip index axes so that they point as the letters say; no value is interpolated.

    Args:
        image: Any image with an affine.
        orientation: Three letters such as "LPS": i grows towards Left, j towards Posterior, k towards Superior.

    Returns:
        The same voxels in the same places; the array is a view where nothing moved and a view with other strides
        otherwise. Oblique images get the closest axes and keep their obliquity.

    Raises:
        ValueError: The image has no affine, or the letters do not name three different axes.
    """
    grid = image.grid
    if sorted(_AXIS_OF.get(letter, -1) for letter in orientation) != [0, 1, 2]:
        raise ValueError(f"expected three letters such as 'LPS', one per axis; got {orientation!r}")
    start = nio.io_orientation(grid.affine)  # type: ignore[no-untyped-call]
    end = nio.axcodes2ornt(tuple(orientation))  # type: ignore[no-untyped-call]
    transform = nio.ornt_transform(start, end)  # type: ignore[no-untyped-call]
    affine = grid.affine @ nio.inv_ornt_aff(transform, grid.shape)  # type: ignore[no-untyped-call]
    channels = [nio.apply_orientation(channel, transform) for channel in image.array]  # type: ignore[no-untyped-call]
    # Stacking one channel by indexing keeps it a view.
    array = channels[0][np.newaxis] if len(channels) == 1 else np.stack(channels)
    return Image(array, image.intensity, affine)


def resample(image: Image, grid: Grid, interpolation: Interpolation, fill: float) -> Image:
    """Sample an image at the voxel centres of another grid.

    Args:
        image: Any image with an affine whose axes are perpendicular.
        grid: Where to sample; may be oblique to the image.
        interpolation: Nearest for label maps, linear or cubic for intensities.
        fill: Value of voxels that lie outside the image.

    Returns:
        (C, *grid.shape) of the image's dtype, laid out as readers lay it out. Integers are rounded to the nearest.

    Raises:
        ValueError: The image has no affine, or its axes are not perpendicular.
    """
    if not image.grid.is_orthogonal:
        raise ValueError(f"expected perpendicular axes; got directions {image.grid.direction.tolist()}")
    channels = [
        _resample_channel(np.asarray(channel), image.grid, grid, interpolation, fill) for channel in image.array
    ]
    # Indexing keeps the layout of a single channel, where stacking would make another copy in another order.
    array = channels[0][np.newaxis] if len(channels) == 1 else np.stack(channels)
    return Image(array, image.intensity, grid.affine)


def _resample_channel(array: Array, source: Grid, target: Grid, how: Interpolation, fill: float) -> Array:
    # SimpleITK cuts the fraction of interpolated integers off, shifting their mean by half a unit; it has no bool.
    work = array.dtype
    if array.dtype == np.bool_:
        work = np.dtype(np.uint8)
    elif how is not Interpolation.NEAREST and array.dtype.kind in "iu":
        work = np.dtype(np.float32 if array.dtype.itemsize <= 2 else np.float64)
    moving = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0), dtype=work))
    lps = Grid(source.shape, lps_from_ras(source.affine))
    moving.SetSpacing(lps.spacing_mm)  # type: ignore[no-untyped-call]
    moving.SetOrigin(lps.origin_mm)  # type: ignore[no-untyped-call]
    moving.SetDirection(_cosines(lps))  # type: ignore[no-untyped-call]
    wanted = Grid(target.shape, lps_from_ras(target.affine))
    result = sitk.Resample(
        moving,
        list(wanted.shape),
        sitk.Transform(),  # type: ignore[no-untyped-call]
        how.value,
        wanted.origin_mm,
        wanted.spacing_mm,
        _cosines(wanted),
        fill,
    )
    sampled: Array = sitk.GetArrayFromImage(result).transpose(2, 1, 0)
    if work != array.dtype:
        limits = (0, 1) if array.dtype == np.bool_ else (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max)
        # A spline overshoots edges, and what does not fit would wrap around.
        sampled = np.clip(np.rint(sampled), *limits).astype(array.dtype)
    return sampled


def _cosines(grid: Grid) -> list[float]:
    """Direction cosines as ITK takes them, row by row."""
    # ITK inverts them by a decomposition that fails on the smallest of numbers and then finds every voxel outside.
    cosines: list[float] = np.where(np.abs(grid.direction) < _NO_COSINE, 0.0, grid.direction).ravel().tolist()
    return cosines
