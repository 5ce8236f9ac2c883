"""Resampling of tensors: volumes onto a network's grid, and what the network says back onto the volume's own.

Coordinates are voxel centres throughout: index 0 is the centre of the first voxel. A mapping is a 4 x 4 matrix in
(d, h, w) order that takes the index of an output voxel's centre to the index, with fractions, in the source. Voxels
whose centre lies within the source's outermost half voxel repeat the edge (as in ITK); beyond it they are outside.

Mappings that only scale, flip, shift and permute axes are done axis by axis as products with banded matrices;
anything else by trilinear sampling. Both work through the output a few slices at a time.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from datasets.errors import ConfigError
from pipelines.slabs import Decide, LabelSlab, Slab, SliceReservoir, decide_labels, largest_logit

Shape = tuple[int, int, int]
Matrix = NDArray[np.float64]

# Output slices per piece, and output voxels per block of a banded matrix: the fastest of a few measured on a CPU.
_SLICES = 8
_BLOCK = 64
# Mappings that leave an axis by less than this many voxels over the whole grid are still done axis by axis, and
# centres this close to the border still count as inside: affines come from decimal numbers in files.
_TOLERANCE = 1e-4


def grid_mapping(source_affine: Matrix, target_affine: Matrix) -> Matrix:
    """The mapping between two grids given by affines from (i, j, k) to the same millimetre space.

    Args:
        source_affine: 4 x 4, index (i, j, k) of the source to mm.
        target_affine: 4 x 4, index (i, j, k) of the output to mm.

    Returns:
        4 x 4 float64 from output (d, h, w) = (k, j, i) to source (d, h, w).
    """
    mapping = np.linalg.solve(np.asarray(source_affine, np.float64), np.asarray(target_affine, np.float64))
    order = [2, 1, 0, 3]
    return np.ascontiguousarray(mapping[np.ix_(order, order)])


def same_field_mapping(source_shape: Shape, shape: Shape) -> Matrix:
    """The mapping between two grids that span the same field of view, outer voxel edge to outer voxel edge."""
    ratio = np.asarray(source_shape, np.float64) / np.asarray(shape, np.float64)
    mapping = np.diag([*ratio, 1.0])
    mapping[:3, 3] = (ratio - 1) / 2
    return mapping


def resample(
    volume: Tensor, shape: Shape, mapping: Matrix | None = None, *, antialias: bool = True, fill: float | None = None
) -> Tensor:
    """Resample a volume linearly.

    Args:
        volume: (C, D, H, W), any real dtype, finite; read, never written.
        shape: Voxels (D, H, W) of the output.
        mapping: From output to source index; None spans the same field of view.
        antialias: Where the output is coarser, average over its voxels (a triangle filter as wide as two output
            voxels, separable) instead of picking points. Linear functions keep their values and places.
        fill: Value of output voxels outside the source; None repeats the edge.

    Returns:
        float32 (C, *shape) on the volume's device.

    Raises:
        ConfigError: Shapes or mapping that cannot be meant.
    """
    if volume.ndim != 4:
        raise ConfigError(
            "a volume of four axes (C, D, H, W)",
            f"shape {tuple(volume.shape)}",
            "add an axis of length 1 for a single channel",
        )
    sampler = _sampler((volume.shape[1], volume.shape[2], volume.shape[3]), shape, mapping, antialias=antialias)
    if isinstance(sampler, _Oblique):
        volume, sampler = _averaged(volume.to(torch.float32), sampler, antialias=antialias)
    output = torch.empty((volume.shape[0], *shape), device=volume.device)
    for start in range(0, shape[0], _SLICES):
        stop = min(start + _SLICES, shape[0])
        low, high = sampler.needs(start, stop)
        output[:, start:stop] = sampler.sample(volume[:, low:high], low, start, stop)
        if fill is not None:
            output[:, start:stop].masked_fill_(~sampler.inside(start, stop).to(volume.device), fill)
    return output


def labels_back(
    slabs: Iterable[Slab],
    source_shape: Shape,
    shape: Shape,
    mapping: Matrix | None = None,
    *,
    decide: Decide = largest_logit,
    probabilities: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[LabelSlab]:
    """Bring a network's statements back onto the volume's own grid, deciding the label there, slab by slab.

    Logits (or probabilities) are interpolated and the label is decided afterwards: neighbours of decided labels would
    give staircases. Where the mapping keeps the slice axis, only a few slices of either grid exist at a time;
    otherwise the logits are collected first.

    Args:
        slabs: Logits on the source grid in slice order, every slice once; `[Slab(0, D, logits)]` for a whole tensor.
        source_shape: Voxels (D, H, W) of that grid.
        shape: Voxels (D, H, W) of the volume's own grid.
        mapping: From own to source index; None spans the same field of view.
        decide: (classes, n, H, W) to labels (n, H, W).
        probabilities: As in `decide_labels`: what channels to keep. Outside the source all of them are 0, so leave the
            background's out.

    Yields:
        Labels on the volume's own grid in slice order; 0 outside the source grid.

    Raises:
        ConfigError: Slabs that do not cover the source grid in order.
    """
    sampler = _sampler(source_shape, shape, mapping, antialias=False)
    source = SliceReservoir(slabs, source_shape)
    for start in range(0, shape[0], _SLICES):
        stop = min(start + _SLICES, shape[0])
        low, high = sampler.needs(start, stop)
        logits = sampler.sample(source.slices(low, high), low, start, stop)
        for labels in decide_labels([Slab(start, stop, logits)], decide, probabilities=probabilities):
            outside = ~sampler.inside(start, stop)
            labels.labels.masked_fill_(outside, 0)
            if labels.probabilities is not None:
                # A new tensor: what `probabilities` gave may be a view of the logits.
                labels = replace(labels, probabilities=labels.probabilities.masked_fill(outside, 0.0))
            yield labels


@dataclass(frozen=True)
class _Axis:
    """Linear interpolation along one axis: `matrix` (out, in) is banded; row o is zero outside `low[o]:high[o]`."""

    matrix: Tensor
    low: tuple[int, ...]
    high: tuple[int, ...]
    inside: Tensor

    def along(self, values: Tensor, start: int = 0, stop: int | None = None, offset: int = 0) -> Tensor:
        """(A, n, B) to (A, stop - start, B); `values` begins at source index `offset`."""
        stop = self.matrix.shape[0] if stop is None else stop
        output = values.new_empty((values.shape[0], stop - start, values.shape[2]))
        for first in range(start, stop, _BLOCK):
            last = min(first + _BLOCK, stop)
            low, high = min(self.low[first:last]), max(self.high[first:last])
            band = self.matrix[first:last, low:high].to(values.device)
            part = values[:, low - offset : high - offset]
            target = output[:, first - start : last - start]
            if values.shape[2] == 1:
                target[..., 0] = part[..., 0] @ band.T
            else:
                target.copy_(torch.bmm(band.expand(values.shape[0], -1, -1), part))
        return output


def _axis(extent: int, count: int, scale: float, offset: float, *, antialias: bool) -> _Axis:
    centre = np.arange(count, dtype=np.float64) * scale + offset
    inside = (centre >= -0.5 - _TOLERANCE) & (centre <= extent - 0.5 + _TOLERANCE)
    centre = np.clip(centre, -0.5, extent - 0.5)
    radius = max(abs(scale), 1.0) if antialias else 1.0
    taps = np.floor(centre - radius)[:, None] + np.arange(math.ceil(2 * radius) + 2)
    away = taps - centre[:, None]
    kernel = np.clip(1 - np.abs(away) / radius, 0, None)
    if radius > 1 + 1e-9:
        # A triangle wider than the sampling is not quite balanced when its centre lies between samples, which would
        # shift the image by up to a tenth of a voxel. A tilt takes that out: linear functions are kept exactly.
        tilt = (kernel * away).sum(axis=1) / (kernel * away**2).sum(axis=1)
        kernel *= 1 - tilt[:, None] * away
    kernel /= kernel.sum(axis=1, keepdims=True)
    weight = np.zeros((count, extent))
    rows = np.broadcast_to(np.arange(count)[:, None], taps.shape)
    np.add.at(weight, (rows, np.clip(taps, 0, extent - 1).astype(np.intp)), kernel)
    used = weight > 0
    low, high = used.argmax(axis=1), extent - used[:, ::-1].argmax(axis=1)
    matrix = torch.from_numpy(weight.astype(np.float32))
    return _Axis(matrix, tuple(low.tolist()), tuple(high.tolist()), torch.from_numpy(inside))


@dataclass(frozen=True)
class _Separable:
    """Samples axis by axis; `order` says which source axis each output axis runs along."""

    axes: tuple[_Axis, _Axis, _Axis]
    order: tuple[int, ...]

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """The source slices to give for output slices [start, stop): few where slices come in the same order."""
        depth = self.axes[self.order.index(0)]
        if self.order[0] != 0 or depth.low[-1] < depth.low[0]:
            return 0, depth.matrix.shape[1]
        return min(depth.low[start:stop]), max(depth.high[start:stop])

    def sample(self, source: Tensor, first: int, start: int, stop: int) -> Tensor:
        """Output slices [start, stop), (C, n, H, W) float32; `source` begins at slice `first`."""
        if self.order[0] != 0:
            first = 0
        low, high = min(self.axes[0].low[start:stop]), max(self.axes[0].high[start:stop])
        values = source.permute(0, *(axis + 1 for axis in self.order))[:, low - first : high - first]
        values = values.to(torch.float32).contiguous()
        # The axis that shrinks most goes first: it leaves the least work to the others.
        growth = [axis.matrix.shape[0] / axis.matrix.shape[1] for axis in self.axes]
        for axis in sorted(range(3), key=lambda index: growth[index]):
            shape = list(values.shape)
            folded = values.reshape(math.prod(shape[: axis + 1]), shape[axis + 1], -1)
            done = self.axes[axis].along(folded, start, stop, low) if axis == 0 else self.axes[axis].along(folded)
            shape[axis + 1] = done.shape[1]
            values = done.reshape(shape)
        return values

    def inside(self, start: int, stop: int) -> Tensor:
        """Which voxels of output slices [start, stop) lie in the source, (n, H, W)."""
        depth, height, width = (axis.inside for axis in self.axes)
        return depth[start:stop, None, None] & height[:, None] & width


@dataclass(frozen=True)
class _Oblique:
    """Samples trilinearly through any mapping."""

    source_shape: Shape
    shape: Shape
    mapping: Matrix

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """All source slices."""
        return 0, self.source_shape[0]

    def sample(self, source: Tensor, first: int, start: int, stop: int) -> Tensor:
        """Output slices [start, stop), (C, n, H, W) float32, from the whole source."""
        # grid_sample wants (x, y, z) with the outer voxel edges at -1 and 1.
        extents = self.source_shape
        scaled = [(2 * at + 1) / extent - 1 for at, extent in zip(self._indices(start, stop), extents, strict=True)]
        grid = torch.stack(scaled[::-1], dim=-1).to(source.device, torch.float32)
        values = source.to(torch.float32)[None]
        return functional.grid_sample(values, grid[None], padding_mode="border", align_corners=False)[0]

    def inside(self, start: int, stop: int) -> Tensor:
        """Which voxels of output slices [start, stop) lie in the source, (n, H, W)."""
        inside = torch.ones((stop - start, *self.shape[1:]), dtype=torch.bool)
        for at, extent in zip(self._indices(start, stop), self.source_shape, strict=True):
            inside &= (at >= -0.5 - _TOLERANCE) & (at <= extent - 0.5 + _TOLERANCE)
        return inside

    def _indices(self, start: int, stop: int) -> list[Tensor]:
        """Source indices (d, h, w) of the output voxels, each (n, H, W) float64."""
        depth = torch.arange(start, stop, dtype=torch.float64)[:, None, None]
        height = torch.arange(self.shape[1], dtype=torch.float64)[:, None]
        width = torch.arange(self.shape[2], dtype=torch.float64)
        rows = self.mapping[:3].tolist()
        return [a * depth + b * height + c * width + shift for a, b, c, shift in rows]


def _averaged(volume: Tensor, sampler: _Oblique, *, antialias: bool) -> tuple[Tensor, _Oblique]:
    """Average along source axes that the output takes in long steps, and the sampler for what is left."""
    steps = np.linalg.norm(sampler.mapping[:3, :3], axis=1)
    source = sampler.source_shape
    sizes = [max(round(extent / max(step, 1.0)), 1) for extent, step in zip(source, steps, strict=True)]
    coarse = (sizes[0], sizes[1], sizes[2])
    if not antialias or coarse == source:
        return volume, sampler
    mapping: Matrix = np.linalg.solve(same_field_mapping(source, coarse), sampler.mapping).astype(np.float64)
    return resample(volume, coarse), _Oblique(coarse, sampler.shape, mapping)


def _sampler(source_shape: Shape, shape: Shape, mapping: Matrix | None, *, antialias: bool) -> _Separable | _Oblique:
    if min(*source_shape, *shape) < 1:
        raise ConfigError("grids with voxels along every axis", f"{source_shape} to {shape}", "check the shapes")
    matrix = same_field_mapping(source_shape, shape) if mapping is None else np.asarray(mapping, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
        raise ConfigError("an invertible 4 x 4 mapping", f"{matrix.tolist()}", "check the affines of both grids")
    # drift[s, o]: how far source axis s moves over the whole extent of output axis o, in voxels.
    drift = np.abs(matrix[:3, :3]) * (np.asarray(shape) - 1)
    order = np.abs(matrix[:3, :3]).argmax(axis=0)
    drift[order, np.arange(3)] = 0
    if len(set(order.tolist())) < 3 or drift.max() > _TOLERANCE:
        return _Oblique(source_shape, shape, matrix)
    depth, height, width = (
        _axis(source_shape[s], shape[o], matrix[s, o], matrix[s, 3], antialias=antialias) for o, s in enumerate(order)
    )
    return _Separable((depth, height, width), tuple(order.tolist()))
