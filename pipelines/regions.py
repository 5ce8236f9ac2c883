"""Connected regions of a mask: which voxels belong together, and which are holes.

Arrays are in any axis order; the same order comes back. Everything works inside the bounding box of what it looks at,
which is what makes it fast on whole scans.
"""

from typing import Any, Final

import cc3d
import fill_voids
import numpy as np
from numpy.typing import NDArray

from datasets.box import bounding_box

Mask = NDArray[np.bool_]

# Voxels that touch by a corner belong together: the usual choice for lesions and organs in 3D.
_CONNECTIVITY: Final = 26


def largest_component(mask: Mask) -> tuple[Mask, int]:
    """Keep the largest connected component.

    Returns:
        A new mask, and the number of voxels dropped with the other components; an empty mask gives (empty, 0).
    """
    kept = np.zeros(mask.shape, dtype=np.bool_)
    box = bounding_box(mask)
    if box is None:
        return kept, 0
    components, sizes = _components(mask[box])
    sizes[0] = 0
    largest = int(sizes.argmax())
    kept[box] = components == largest
    return kept, int(sizes.sum() - sizes[largest])


def fill_holes(mask: Mask) -> Mask:
    """Fill cavities that are enclosed in 3D; a new mask. An empty mask stays empty."""
    filled = mask.copy()
    box = bounding_box(mask)
    if box is not None:
        filled[box] = fill_voids.fill(np.ascontiguousarray(mask[box]))
    return filled


def components_by_size(mask: Mask, min_voxels: int = 1) -> tuple[NDArray[np.uint32], int]:
    """Number the connected components, largest first.

    Args:
        mask: Any mask.
        min_voxels: Smaller components get no number.

    Returns:
        Labels 1, 2, … by falling size (ties by position, so that the numbers are the same every time), 0 elsewhere,
        and how many there are.
    """
    labels = np.zeros(mask.shape, dtype=np.uint32)
    box = bounding_box(mask)
    if box is None:
        return labels, 0
    components, sizes = _components(mask[box])
    order = np.argsort(-sizes[1:], kind="stable") + 1
    kept = [int(index) for index in order if sizes[index] >= min_voxels]
    new = np.zeros(sizes.size, dtype=np.uint32)
    for number, index in enumerate(kept, start=1):
        new[index] = number
    labels[box] = new[components]
    return labels, len(kept)


def _components(mask: Mask) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.intp]]:
    """Connected components numbered by the position of their first voxel, and their sizes; index 0 is background."""
    # A frame of background, laid out in one order: cc3d 4.0 fails on a row such as 1 0 1 when that is the whole array,
    # and numbers in the order of memory, so that two equal components would change places with the mask's layout.
    framed = np.zeros([size + 2 for size in mask.shape], dtype=np.bool_)
    framed[1:-1, 1:-1, 1:-1] = mask
    components, count = cc3d.connected_components(framed, connectivity=_CONNECTIVITY, return_N=True)
    return components[1:-1, 1:-1, 1:-1], np.bincount(components.ravel(), minlength=count + 1)
