"""What is noted of pixels: a digest, how their values lie, and a thumbnail."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from datasets.audit.facts import PERCENTS, ImageFacts
from datasets.image import Array, Image
from datasets.resampling import reorient
from datasets.study import Series

_MOST_VALUES = 400_000
_THUMBNAIL = {3: 16, 2: 32, 1: 32}
# Soft tissue of -100 to 176 HU in a volume whose 1024 was never taken off.
_OFFSET_FROM, _OFFSET_TO = 900, 1200


def digest(array: Array) -> str:
    """A hash of values in index order; type, compression and header count for nothing.

    Args:
        array: (C, I, J, K). Channels that are all alike count as one.
    """
    single = array[:1] if _is_grey(array) else array
    frames = np.ascontiguousarray(_plain(single).transpose(0, 3, 2, 1))
    found = hashlib.blake2b(f"{frames.shape} {frames.dtype.kind}".encode(), digest_size=16)
    found.update(frames.data)
    return found.hexdigest()


def image_facts(series: Series, image: Image) -> ImageFacts:
    """What is noted of a series.

    Args:
        series: Where the image came from.
        image: Its pixels.
    """
    array = image.array
    own = digest(array)
    is_volume = image.affine is not None and min(image.shape) > 1
    is_turned = is_volume and image.grid.orientation != "RAS"
    values = _some(array)
    return ImageFacts(
        series=series.uid,
        modality=series.modality,
        intensity=image.intensity,
        shape=image.shape,
        grid=None if image.affine is None else image.grid,
        channels=1 if _is_grey(array) else len(array),
        stored_channels=len(array),
        dtype=str(array.dtype),
        digest=own,
        placed=digest(reorient(image, "RAS").array) if is_turned else own if is_volume else "",
        percentiles=_percentiles(array, values),
        offset_share=float(((values >= _OFFSET_FROM) & (values <= _OFFSET_TO)).mean()),
        thumbnail=thumbnail(array),
    )


def thumbnail(array: Array) -> NDArray[np.float32]:
    """The mean over channels on a raster of at most 16 voxels a side, 32 pixels for pictures.

    Args:
        array: (C, I, J, K).
    """
    small: NDArray[np.float32] = array.mean(axis=0, dtype=np.float32)
    side = _THUMBNAIL[sum(n > 2 for n in small.shape) or 1]
    for axis, n in enumerate(small.shape):
        if n > side:
            small = np.moveaxis(np.tensordot(small, _shares(n, side), axes=(axis, 1)), -1, axis)
    return small


def _is_grey(array: Array) -> bool:
    return len(array) > 1 and bool((array == array[:1]).all())


def _shares(n: int, side: int) -> NDArray[np.float32]:
    """(side, n): how much of each voxel lies in each of `side` equal parts of a line, each row adding up to 1."""
    edges = np.linspace(0.0, n, side + 1)
    starts, stops = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    voxels = np.arange(n)
    inside = np.minimum(stops, voxels + 1) - np.maximum(starts, voxels)
    return np.asarray(np.maximum(inside, 0.0) * side / n, dtype=np.float32)


def _plain(array: Array) -> Array:
    """The same values in one type, whatever type holds them: int32 where all are whole, else float32."""
    if array.dtype.kind == "f" and not bool((array == np.rint(array)).all()):
        return array.astype(np.float32)
    return array.astype(np.int32)


def _some(array: Array) -> Array:
    """Values from all over the image, as many as are needed."""
    axes = max(1, sum(n > 1 for n in array.shape[1:]))
    step = max(1, int((array.size / _MOST_VALUES) ** (1 / axes)))
    return array[:, ::step, ::step, ::step].ravel()


def _percentiles(array: Array, values: Array) -> NDArray[np.float64]:
    found = np.percentile(values, PERCENTS)
    # The ends are those of all values: a single pixel may be what is wrong.
    found[0], found[-1] = array.min(), array.max()
    return np.asarray(found, dtype=np.float64)
