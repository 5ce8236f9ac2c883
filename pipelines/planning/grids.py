"""On which grid a dataset is looked at, after nnU-Net (`default_experiment_planner.py` of its second version)."""

import numpy as np
from numpy.typing import NDArray

from pipelines.fingerprint import Fingerprint
from pipelines.planning.topology import Spacing

# nnU-Net's threshold of anisotropy.
ANISOTROPIC = 3.0
_LOW_PERCENT = 10
_A_LITTLE = 1e-5


def target_spacing(spacings: NDArray[np.float64], shapes: NDArray[np.float64]) -> Spacing:
    """The spacing all cases are brought to: the median, along a coarse and short axis the 10th percentile.

    An axis is coarse where its median spacing is more than 3 times that of every other, and short where it has less
    than a third of the voxels of every other; the finer cases then decide, for interpolating slices that are far apart
    blurs more than leaving some out loses.

    Args:
        spacings: (cases, axes).
        shapes: (cases, axes), voxels after cropping.
    """
    target, sizes = np.median(spacings, axis=0), np.median(shapes, axis=0)
    worst = int(target.argmax())
    others = [axis for axis in range(target.size) if axis != worst]
    coarse = target[worst] > ANISOTROPIC * target[others].max()
    short = sizes[worst] * ANISOTROPIC < sizes[others].min()
    if coarse and short:
        low, floor = float(np.percentile(spacings[:, worst], _LOW_PERCENT)), float(target[others].max())
        target[worst] = low if low >= floor else floor + _A_LITTLE
    return tuple(float(value) for value in target)


def median_shape(spacings: NDArray[np.float64], shapes: NDArray[np.float64], target: Spacing) -> tuple[float, ...]:
    """Median of the shapes (cases, axes) once all cases have the target's spacing."""
    resampled = np.rint(spacings / np.asarray(target) * shapes)
    return tuple(float(value) for value in np.median(resampled, axis=0))


def is_anisotropic(spacing: Spacing) -> bool:
    """Whether one axis is so coarse that slices are better looked at than volumes."""
    rising = sorted(spacing)
    return rising[-1] > ANISOTROPIC * rising[-2]


def spacings_and_shapes(fingerprint: Fingerprint) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of all cases, (cases, 3) each, as (D, H, W); a spacing that is not known counts as 1, as nnU-Net has it."""
    spacings = [case.spacing_mm or (1.0, 1.0, 1.0) for case in fingerprint.cases]
    return np.asarray(spacings, np.float64), np.asarray([case.shape for case in fingerprint.cases], np.float64)
