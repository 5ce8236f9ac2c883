"""How large a patch is and how many are learnt from at once, for the memory at hand, after nnU-Net.

`default_experiment_planner.py` of nnU-Net's second version: a patch in the shape of a cube (or square) of millimetres,
no larger than the median case, shrinks along the axis that covers most of that case until two of them fit; what memory
is left then goes into more patches, up to a twentieth of all voxels of the dataset.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from datasets.errors import ConfigError
from pipelines.planning.topology import Shape, Spacing, Topology, topology

LEAST_BATCH = 2
# nnU-Net starts from patches of 256^3 or 2048^2 voxels.
_CUBE, _SQUARE = 256**3, 2048**2
_SHARE_OF_DATASET = 0.05
_MOST = 64

Fit = Callable[[Shape, Spacing], Topology]


@dataclass(frozen=True)
class Room:
    """What decides how large patches are.

    Attributes:
        memory: Bytes that a training step takes, by topology and number of patches.
        limit: Bytes there are.
        fit: From a patch and its spacing to a topology with a patch that the network can take.
    """

    memory: Callable[[Topology, int], float]
    limit: float
    fit: Fit = topology


@dataclass(frozen=True)
class Patches:
    """What is learnt from at once.

    Attributes:
        topology: The patch, and where a U-Net of it halves.
        batch: Patches at once.
        capped: Whether the dataset's size and not memory decided how many.
    """

    topology: Topology
    batch: int
    capped: bool


def choose_patches(spacing: Spacing, median: tuple[float, ...], cases_voxels: float, room: Room) -> Patches:
    """Choose patch and batch.

    Args:
        spacing: Of the grid, two or three axes.
        median: Voxels of the median case on it.
        cases_voxels: Voxels of all cases together.
        room: What there is.

    Raises:
        ConfigError: Not even two of the smallest patches fit.
    """
    found = room.fit(_first_patch(spacing, median), spacing)
    while room.memory(found, LEAST_BATCH) > room.limit:
        found = _smaller(found, spacing, median, room)
    fitting = LEAST_BATCH
    while fitting < _MOST and room.memory(found, fitting + 1) <= room.limit:
        fitting += 1
    allowed = round(cases_voxels * _SHARE_OF_DATASET / math.prod(found.patch))
    batch = max(min(fitting, allowed), LEAST_BATCH)
    return Patches(found, batch, capped=batch < fitting)


def _first_patch(spacing: Spacing, median: tuple[float, ...]) -> Shape:
    """As long in millimetres along every axis, and nowhere longer than the median case."""
    fineness = [1.0 / step for step in spacing]
    whole = _CUBE if len(spacing) == 3 else _SQUARE
    scale = (whole / math.prod(fineness)) ** (1.0 / len(spacing))
    return tuple(max(1, int(min(round(each * scale), size))) for each, size in zip(fineness, median, strict=True))


def _smaller(found: Topology, spacing: Spacing, median: tuple[float, ...], room: Room) -> Topology:
    """The next patch below: shorter along the axis that covers most of the median case."""
    shares = [size / whole for size, whole in zip(found.patch, median, strict=True)]
    # Of equal ones the last, as nnU-Net takes it.
    axis = max(range(len(shares)), key=lambda index: (shares[index], index))
    tried = _shortened(found.patch, axis, found.divisors[axis])
    # A shorter patch may be halved less often, and then be shortened by less.
    divisor = room.fit(tried, spacing).divisors[axis]
    smaller = room.fit(_shortened(found.patch, axis, divisor), spacing)
    if math.prod(smaller.patch) >= math.prod(found.patch):
        raise ConfigError(
            f"memory for two patches of {' x '.join(str(size) for size in found.patch)} voxels",
            f"{room.limit / 2**30:.2f} GiB, where they take {room.memory(found, LEAST_BATCH) / 2**30:.2f}",
            "give it more memory, or a smaller network",
        )
    return smaller


def _shortened(patch: Shape, axis: int, by: int) -> Shape:
    return tuple(max(size - by, 1) if index == axis else size for index, size in enumerate(patch))
