"""nnU-Net's own estimate of memory, of its plain U-Net: outputs of all convolutions, against its reference of 8 GB.

From the published description of the method and the numbers in its code: widths from 32 doubling up to 320 (3D) or 512
(2D), two convolutions on a level, transposed convolutions up, a head of one channel per class at the end; 5.6e8 numbers
are two patches of a 3D network in 8 GB, 8.5e7 are twelve of a 2D one.
"""

import math

from pipelines.planning.patch import Room
from pipelines.planning.topology import Topology


def feature_map_size(found: Topology, classes: int) -> float:
    dims = len(found.patch)
    widest = 320 if dims == 3 else 512
    sizes = [found.patch]
    for stride in found.strides:
        sizes.append(tuple(size // by for size, by in zip(sizes[-1], stride, strict=True)))
    widths = [min(32 * 2**level, widest) for level in range(len(sizes))]
    down = sum(2 * width * math.prod(size) for width, size in zip(widths, sizes, strict=True))
    up = sum((2 + 1) * width * math.prod(size) for width, size in zip(widths[:-1], sizes[:-1], strict=True))
    return float(down + up + classes * math.prod(found.patch))


def published_room(classes: int, dims: int = 3, gib: float = 8.0) -> Room:
    """What nnU-Net takes for full: its estimate of one sample may be as large as the reference, which stands for
    two (3D) or twelve (2D) of them; the batch is then rounded to the nearest."""
    reference, batch = (560_000_000.0, 2) if dims == 3 else (85_000_000.0, 12)
    reference *= gib / 8.0

    def memory(found: Topology, patches: int) -> float:
        per_patch = feature_map_size(found, classes) / batch
        # Rounding to the nearest: one more is taken from half of one more on.
        return per_patch * patches if patches == 2 else per_patch * (patches - 0.5)

    return Room(memory, reference)
