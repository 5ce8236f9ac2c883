"""Solids of a phantom sampled on any grid, with partial volume or by voxel centres.

A solid is an intersection of parts. The share of a voxel that a surface covers follows to first order from the field at
the voxel's centre and the change of the field across the voxel, whatever the grid's spacing, orientation, obliquity or
shear. Only the block of voxels around a solid is evaluated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.geometry import Grid
from datasets.phantoms.shapes import Bounds, Part, Values

_NONE = np.zeros((), np.float32)
_BLOCK_VOXELS = 60_000

Block = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Solid:
    """The intersection of parts."""

    parts: tuple[Part, ...]

    @property
    def bounds_mm(self) -> Bounds:
        """The intersection of the parts' boxes."""
        boxes = [part.bounds_mm for part in self.parts]
        return np.max([box[0] for box in boxes], axis=0), np.min([box[1] for box in boxes], axis=0)

    def contains(self, points_mm: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 3) lie inside or on the surface."""
        points = np.asarray(points_mm, dtype=np.float64)
        return self._inside(points[..., 0], points[..., 1], points[..., 2])

    def _inside(self, x: Values, y: Values, z: Values) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = np.asarray(True)
        for part in self.parts:
            for f, _ in part.fields(x, y, z):
                inside = inside & (f <= 0)
        return inside

    def mark(self, target: Values, grid: Grid, value: int) -> None:
        """Set `value` in `target` (K, J, I) at the voxels whose centres lie inside."""
        for block in _blocks(self.bounds_mm, grid):
            view = target[block]
            x, y, z = _coordinates(grid, block, np.float64)
            view[np.broadcast_to(self._inside(x, y, z), view.shape)] = value

    def paint(self, target: Values, grid: Grid, value: float) -> None:
        """Blend `value` into `target` (K, J, I, float32) by the share of each voxel that lies inside."""
        for block in _blocks(self.bounds_mm, grid):
            view = target[block]
            x, y, z = _coordinates(grid, block, np.float32)
            share: Values = np.ones((), np.float32)
            for part in self.parts:
                for f, gradient in part.fields(x, y, z):
                    share = share * _coverage(f, gradient, grid)
            view += share * (np.float32(value) - view)


def _coverage(f: Values, gradient: tuple[Values, Values, Values], grid: Grid) -> Values:
    # Along a gradient, a voxel is a box whose shadow has the spread of a ramp as wide as the norm of the three steps.
    square: Values = _NONE
    for step in grid.affine[:3, :3].T:
        change = sum((g * float(s) for g, s in zip(gradient, step, strict=True) if s != 0.0), _NONE)
        square = square + change * change
    return np.asarray(np.clip(0.5 - f / np.sqrt(np.maximum(square, 1e-12)), 0, 1), dtype=np.float32)


def _blocks(bounds: Bounds, grid: Grid) -> Iterator[Block]:
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    field = grid.points_mm(corners)
    # An endless side ends where the grid does.
    lo = np.maximum(bounds[0], field.min(axis=0) - 1.0)
    hi = np.minimum(bounds[1], field.max(axis=0) + 1.0)
    if (lo > hi).any():
        return
    box = grid.indices(np.array(np.meshgrid(*zip(lo, hi, strict=True))).reshape(3, -1).T)
    first = np.maximum(np.floor(box.min(axis=0)).astype(int) - 1, 0)
    last = np.minimum(np.ceil(box.max(axis=0)).astype(int) + 2, grid.shape)
    if (first >= last).any():
        return
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    # Slab by slab, so that what a solid computes stays in the processor's cache.
    deep = max(1, _BLOCK_VOXELS // ((i.stop - i.start) * (j.stop - j.start)))
    for start in range(k.start, k.stop, deep):
        yield slice(start, min(start + deep, k.stop)), j, i


def _coordinates(grid: Grid, block: Block, dtype: type[Any]) -> tuple[Values, Values, Values]:
    # Sums of what each index adds, so that on a grid along the axes x stays a row, y a column and z a stack.
    k, j, i = (np.arange(part.start, part.stop, dtype=np.float64) for part in block)
    steps = i[None, None, :], j[None, :, None], k[:, None, None]
    result = []
    for row in grid.affine[:3]:
        total: Values = np.full((1, 1, 1), row[3])
        for factor, step in zip(row[:3], steps, strict=True):
            if factor != 0.0:
                total = total + factor * step
        result.append(total.astype(dtype))
    return result[0], result[1], result[2]
