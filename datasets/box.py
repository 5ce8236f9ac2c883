"""The box around what is there: most of a mask is empty, and work is done inside."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


def bounding_box(mask: NDArray[Any]) -> Box | None:
    """The smallest box (three slices) that holds all non-zero voxels of a mask with three axes, or None without any."""
    slices = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        present = np.flatnonzero(mask.any(axis=others))
        if present.size == 0:
            return None
        slices.append(slice(int(present[0]), int(present[-1]) + 1))
    return slices[0], slices[1], slices[2]
