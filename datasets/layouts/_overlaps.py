"""Regions that overlap, as radiologists draw them, in one label map, where every voxel has one label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.box import Box, bounding_box
from datasets.codes import RefusalCode
from datasets.errors import InputRefused

# Parts of the smaller region that lie in the larger one: from _INSIDE on it is drawn inside the larger one, up to
# _TOUCHING their outlines touch. In between nobody can say which of the two a voxel belongs to.
_INSIDE = 0.95
_TOUCHING = 0.05

Labels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Region:
    """Voxels of one label.

    Attributes:
        value: The label.
        name: For messages.
        box: Where they lie.
        inside: Within the box, which voxels.
    """

    value: int
    name: str
    box: Box
    inside: NDArray[np.bool_]

    @property
    def voxels(self) -> int:
        """Their number."""
        return int(np.count_nonzero(self.inside))


def region(value: int, name: str, mask: NDArray[np.bool_]) -> Region | None:
    """A region from a mask; None where it is empty."""
    box = bounding_box(mask)
    return None if box is None else Region(value, name, box, mask[box].copy())


def painted(regions: Sequence[Region], shape: tuple[int, int, int]) -> Labels:
    """Draw regions into one label map, the smaller over the larger.

    A tumour inside a liver is cut out of it, an organ inside the body too. Where outlines merely touch (at most 5 % of
    the smaller region), what both have goes to the smaller one.

    Args:
        regions: In any order; none gives background.
        shape: Of the label map; boxes lie within.

    Raises:
        InputRefused: `different_grids`: more than 5 % and less than 95 % of a region lie in a larger one.
    """
    highest = max((one.value for one in regions), default=0)
    labels: Labels = np.zeros(shape, np.uint8)
    if highest > np.iinfo(np.uint8).max:
        labels = labels.astype(np.uint16)
    ordered = sorted(regions, key=lambda one: (-one.voxels, one.value))
    for number, smaller in enumerate(ordered):
        for larger in ordered[:number]:
            _check(larger, smaller)
        labels[smaller.box][smaller.inside] = smaller.value
    return labels


def _check(larger: Region, smaller: Region) -> None:
    shared = _shared(larger, smaller)
    part = shared / smaller.voxels
    if _TOUCHING < part < _INSIDE:
        raise InputRefused(
            RefusalCode.DIFFERENT_GRIDS,
            "regions that lie apart or inside each other",
            f"{smaller.name!r} of which {100.0 * part:.0f} % ({shared} voxels) lie in {larger.name!r}",
            "a label map has one label per voxel: export the regions that are to be learnt, and no others",
        )


def _shared(one: Region, other: Region) -> int:
    """Number of voxels that both have."""
    common = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one.box, other.box, strict=True)]
    if any(stop <= start for start, stop in common):
        return 0
    mine, theirs = (
        r.inside[tuple(slice(start - s.start, stop - s.start) for (start, stop), s in zip(common, r.box, strict=True))]
        for r in (one, other)
    )
    return int(np.count_nonzero(mine & theirs))
