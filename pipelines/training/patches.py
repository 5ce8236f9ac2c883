"""Patches: where one lies in an image, how it is turned, scaled and mirrored, and its pixels.

All coordinates are of voxel centres in (d, h, w) order. A patch is one linear mapping from its own indices to the
image's, so that whatever moves it, pixels are interpolated once, and image and truth by the same mapping.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipelines.training.prepared import Array, Case

Size = tuple[int, int, int]
Matrix = NDArray[np.float64]

_NEAR = 1e-6


@dataclass(frozen=True)
class Move:
    """How a patch differs from a plain cut.

    Attributes:
        turn: (3, 3), from directions of the patch to directions of the image, scale included; orthogonal columns.
    """

    turn: Matrix

    @classmethod
    def none(cls) -> "Move":
        """A plain cut."""
        return cls(np.eye(3))


def centre_within(size: Size, patch: Size, wanted: tuple[float, float, float]) -> tuple[float, float, float]:
    """The centre nearest to a wanted one from which a patch stays inside; the middle of axes shorter than the patch.

    Whole voxels stay whole: a patch of even length has its centre between two.
    """
    centre = []
    for extent, length, at in zip(size, patch, wanted, strict=True):
        half, last = (length - 1) / 2, extent - 1 - (length - 1) / 2
        # From a voxel to the nearest place where the patch's own voxels fall onto the image's.
        aligned = float(np.clip(np.floor(at - half + 0.5) + half, half, max(last, half)))
        centre.append(aligned if half <= last else (extent - length) // 2 + half)
    return centre[0], centre[1], centre[2]


def cut(case: Case, centre: tuple[float, float, float], patch: Size, move: Move) -> tuple[Tensor, Tensor]:
    """Image and truth of a patch.

    Args:
        case: What to cut from; a truth that is no map comes back as it is.
        centre: (d, h, w) in the image, where the middle of the patch lies.
        patch: (D, H, W).
        move: How it is turned.

    Returns:
        float32 (C, D, H, W), linearly interpolated, and the truth (1, D, H, W) from the nearest voxels, in its own
        type. What lies beyond the image repeats its edge.
    """
    mapping = _mapping(centre, patch, move)
    pixels = _sampled(case.inputs, mapping, patch, nearest=False)
    if case.truth.ndim != 4:
        return pixels, torch.from_numpy(np.array(case.truth))
    return pixels, _sampled(case.truth, mapping, patch, nearest=True)


def _mapping(centre: tuple[float, float, float], patch: Size, move: Move) -> Matrix:
    """(3, 4), from indices of the patch to those of the image."""
    middle = (np.asarray(patch, dtype=np.float64) - 1) / 2
    offset = np.asarray(centre) - move.turn @ middle
    return np.concatenate([move.turn, offset[:, np.newaxis]], axis=1)


def _sampled(array: Array, mapping: Matrix, patch: Size, *, nearest: bool) -> Tensor:
    offset = mapping[:, 3]
    plain = np.abs(mapping[:, :3] - np.eye(3)).max() < _NEAR and np.abs(offset - np.rint(offset)).max() < _NEAR
    if plain:
        index = [
            np.clip(np.arange(length) + int(first), 0, extent - 1)
            for length, first, extent in zip(patch, np.rint(offset), array.shape[1:], strict=True)
        ]
        return torch.from_numpy(_block(array, index))
    return _interpolated(array, mapping, patch, nearest=nearest)


def _block(array: Array, index: list[NDArray[np.intp]]) -> Array:
    """Voxels by index along each axis; read as one block where the disk has it as one."""
    low = [int(axis[0]) for axis in index]
    high = [int(axis[-1]) + 1 for axis in index]
    block = np.asarray(array[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]])
    for axis, wanted in enumerate(index):
        if block.shape[axis + 1] != wanted.size:
            block = block.take(wanted - low[axis], axis=axis + 1)
    return np.array(block)


def _interpolated(array: Array, mapping: Matrix, patch: Size, *, nearest: bool) -> Tensor:
    extent = np.asarray(array.shape[1:])
    ends = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (np.asarray(patch) - 1)
    corners = ends @ mapping[:, :3].T + mapping[:, 3]
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, extent - 1)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int), 0, extent - 1) + 1
    part = np.array(array[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]])
    axes = [torch.arange(length, dtype=torch.float64) for length in patch]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)  # (D, H, W, 3)
    source = index @ torch.from_numpy(mapping[:, :3].T.copy()) + torch.from_numpy(mapping[:, 3] - low)
    span = torch.from_numpy((high - low - 1).astype(np.float64)).clamp(min=1.0)
    # grid_sample counts from -1 to 1 between the outermost centres, the last axis first.
    grid = (2.0 * source / span - 1.0).flip(-1).float()[None]
    mode = "nearest" if nearest else "bilinear"
    values = torch.from_numpy(part.astype(np.float32))[None]
    sampled = functional.grid_sample(values, grid, mode=mode, padding_mode="border", align_corners=True)[0]
    return sampled if not nearest else sampled.to(torch.from_numpy(part[:, :1, :1, :1].copy()).dtype)
