"""How often each axis of a patch can be halved, after nnU-Net.

Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature
Methods 18 (2021), and the published code of its second version (`network_topology.py`): an axis is halved as long as
it keeps an edge of 4 in the deepest level and its spacing is within a factor of 2 of the finest axis that can still be
halved; the coarse axis waits until the others have caught up.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]
Spacing: TypeAlias = tuple[float, ...]

LEAST_EDGE = 4
_ALIKE = 2.0
# A single axis that could be halved alone must be this many least edges long.
_ALONE = 3


@dataclass(frozen=True)
class Topology:
    """Where a U-Net of a patch halves.

    Attributes:
        strides: Per level below the finest, the factor of each axis: 2 where it is halved, 1 where it waits.
        kernels: Per level, 3 along axes that are fine enough to be looked along, 1 along those that are not yet.
        patch: The patch, each axis raised to a multiple of what it is halved by.
    """

    strides: tuple[Shape, ...]
    kernels: tuple[Shape, ...]
    patch: Shape

    @property
    def halvings(self) -> Shape:
        """How often each axis is halved."""
        return tuple(sum(stride[axis] == 2 for stride in self.strides) for axis in range(len(self.patch)))

    @property
    def divisors(self) -> Shape:
        """What each axis of the patch is a multiple of."""
        return tuple(2**count for count in self.halvings)

    @property
    def is_even(self) -> bool:
        """Whether all axes are halved together in every level, as this project's U-Nets do it."""
        return all(set(stride) == {2} for stride in self.strides)


def topology(patch: Shape, spacing: Spacing, most: int = 999) -> Topology:
    """The levels of a U-Net for a patch.

    Args:
        patch: Voxels along each axis, two or three.
        spacing: Along the same axes, in any one unit.
        most: Levels below the finest at most.

    Returns:
        No strides where no axis can be halved.
    """
    sizes, steps = list(patch), list(spacing)
    kernel = [1] * len(patch)
    strides: list[Shape] = []
    kernels: list[Shape] = []
    while len(strides) < most and (axes := _halved(sizes, steps)):
        finest = min(steps)
        kernel = [3 if width == 3 or step / finest < _ALIKE else 1 for width, step in zip(kernel, steps, strict=True)]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in axes else 1 for axis in range(len(patch))))
        for axis in axes:
            steps[axis] *= 2
            sizes[axis] = math.ceil(sizes[axis] / 2)
    kernels.append((3,) * len(patch))
    found = Topology(tuple(strides), tuple(kernels), patch)
    raised = tuple(math.ceil(size / by) * by for size, by in zip(patch, found.divisors, strict=True))
    return Topology(found.strides, found.kernels, raised)


def _halved(sizes: list[int], steps: list[float]) -> set[int]:
    """Axes that are halved next; none where the deepest level is reached."""
    able = [axis for axis, size in enumerate(sizes) if size >= 2 * LEAST_EDGE]
    if not able:
        return set()
    finest = min(steps[axis] for axis in able)
    able = [axis for axis in able if steps[axis] / finest < _ALIKE]
    if len(able) == 1 and sizes[able[0]] < _ALONE * LEAST_EDGE:
        return set()
    return set(able)
