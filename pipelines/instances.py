"""Single objects in a mask that shows them joined: seeds by distance to the outline, grown by watershed."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter
from scipy.ndimage import label as connected
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from pipelines.regions import Mask

Instances = NDArray[np.int32]

_SMOOTHING_PX = 1.0
# Objects and seeds whose pixels touch by a corner only are one.
_EIGHT = np.ones((3, 3), dtype=np.int8)


def split_objects(mask: Mask, core: Mask | None = None, *, waist_px: float = 1.0) -> Instances:
    """Number the objects of a mask and split those that only touch (Vincent & Soille, IEEE PAMI 13(6), 1991).

    Seeds are the places farthest from the outline of the core; the watershed of the distance to the outline of the
    mask, turned upside down, divides the mask among them. A piece of the mask without a core is an object by itself.

    Args:
        mask: (H, W), what belongs to any object.
        core: (H, W), what certainly lies inside an object and not between two: the interior a network tells from
            borders. None takes the mask.
        waist_px: Two seeds in one piece stay apart where the way between them comes nearer to the outline than the
            lesser of both by more than this.

    Returns:
        (H, W) int32: 0 outside, and numbers 1, 2, 3 … by the position of their first pixel, row by row. An empty mask
        gives zeros.

    Raises:
        ValueError: The shapes differ, or are not those of a picture.
    """
    core = mask if core is None else core
    if mask.ndim != 2 or core.shape != mask.shape:
        raise ValueError(f"expected two masks (H, W) of one shape; got {mask.shape} and {core.shape}")
    found = np.zeros(mask.shape, dtype=np.int32)
    pieces, _ = connected(mask, _EIGHT)
    count = 0
    for number, box in enumerate(find_objects(pieces), start=1):
        piece = pieces[box] == number
        parts = _split_piece(piece, core[box] & piece, waist_px)
        found[box][piece] = parts[piece] + count
        count += int(parts.max())
    return in_order(found)


def drop_small(instances: Instances, min_px: int) -> Instances:
    """Instances of at least so many pixels, numbered anew."""
    sizes = areas_px(instances)
    kept = np.concatenate([[False], sizes >= min_px])
    return in_order(np.where(kept[instances], instances, 0).astype(np.int32))


def in_order(instances: Instances) -> Instances:
    """The same instances numbered 1, 2, 3 … by the position of their first pixel, row by row."""
    numbers, first, places = np.unique(instances, return_index=True, return_inverse=True)
    rank = np.zeros(numbers.size, dtype=np.int32)
    true = numbers > 0
    rank[true] = np.argsort(np.argsort(first[true])) + 1
    return rank[places].reshape(instances.shape)


def areas_px(instances: Instances) -> NDArray[np.intp]:
    """Pixels of the instances 1, 2, 3 …; empty for none."""
    return np.bincount(instances.reshape(-1), minlength=1)[1:]


def at_edge(instances: Instances) -> NDArray[np.int32]:
    """Numbers of the instances that reach the edge of the picture, which cuts some of them."""
    edges = (instances[0], instances[-1], instances[:, 0], instances[:, -1])
    numbers = np.unique(np.concatenate(edges))
    return numbers[numbers > 0]


def _split_piece(piece: Mask, core: Mask, waist_px: float) -> Instances:
    """Numbers from 1 inside one connected piece, which fills its box."""
    # The picture goes on beyond its edge, but nobody knows how: there an outline is as good as any.
    framed = np.pad(piece, 1)
    depth = gaussian_filter(distance_transform_edt(np.pad(core, 1)), _SMOOTHING_PX)
    depth[~framed] = 0.0
    seeds, count = _seeds(depth, waist_px)
    if count <= 1:
        return piece.astype(np.int32)
    relief = -distance_transform_edt(framed)
    grown: Instances = watershed(relief, seeds, connectivity=2, mask=framed)  # type: ignore[no-untyped-call]
    return grown[1:-1, 1:-1].astype(np.int32)


def _seeds(depth: NDArray[np.float64], waist_px: float) -> tuple[Instances, int]:
    """Places deeper by `waist_px` than any way from them to a deeper place, numbered, and how many there are."""
    if depth.max() <= waist_px:
        return np.zeros(depth.shape, dtype=np.int32), 0
    # Tops of what is left when every hill is flooded up to `waist_px` below its summit (skimage's `h_maxima` gives the
    # summits themselves, and so two of them for one hill with two).
    flooded = reconstruction(depth - waist_px, depth, footprint=_EIGHT)  # type: ignore[no-untyped-call]
    seeds, count = connected(local_maxima(flooded, connectivity=2), _EIGHT)  # type: ignore[no-untyped-call]
    return seeds, int(count)
