"""Putting a sheared or unevenly spaced stack of slices on a grid with perpendicular, even axes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.io.dicom.geometry import Stack

# A shift this close to a whole pixel, or a place this close to a slice, is copied and not interpolated.
_COPY = 1e-4

Slices = NDArray[Any]


def rectified(slices: Slices, stack: Stack, fill: float) -> Slices:
    """Slices on the grid of their stack.

    Args:
        slices: (slices, rows, columns) in the order of the stack's frames; int16 or float32.
        stack: Where they lie.
        fill: Value of voxels that no slice covers.

    Returns:
        (K, J, I) on the stack's grid, of the dtype of `slices`; `slices` itself where nothing is to be done.
    """
    straight = slices if stack.shifts_px is None else _unsheared(slices, stack, fill)
    return straight if stack.offsets_mm is None else _evened(straight, stack)


def _unsheared(slices: Slices, stack: Stack, fill: float) -> Slices:
    """Shift each slice in its plane to where the first slice's pixels would be."""
    columns, rows, _ = stack.grid.shape
    left, _, top, _ = stack.margin_px
    result = np.full((len(slices), rows, columns), fill, dtype=slices.dtype)
    shifts = np.zeros((len(slices), 2)) if stack.shifts_px is None else stack.shifts_px
    for source, target, (along_columns, along_rows) in zip(slices, result, shifts, strict=True):
        _place(source, target, (top + float(along_rows), left + float(along_columns)), fill)
    return result


def _place(source: Slices, target: Slices, corner: tuple[float, float], fill: float) -> None:
    """Write a slice into a larger one so that its first pixel lies at `corner` (row, column), fractions allowed."""
    whole = [int(np.floor(c + _COPY)) for c in corner]
    part = [c - w if c - w > _COPY else 0.0 for c, w in zip(corner, whole, strict=True)]
    if part == [0.0, 0.0]:
        values = source
    else:
        values = source.astype(np.float32)
        for axis in (0, 1):
            if part[axis]:
                values = _delayed(values, axis, part[axis], fill)
    rows, columns = values.shape
    target[whole[0] : whole[0] + rows, whole[1] : whole[1] + columns] = _as(values, target.dtype)


def _delayed(values: Slices, axis: int, part: float, fill: float) -> Slices:
    """Values moved by a part of a pixel towards higher indices; one longer, blended with `fill` at both ends."""
    pad = [(0, 0), (0, 0)]
    pad[axis] = (1, 1)
    wide = np.pad(values, pad, constant_values=fill)
    before, after = (wide[:-1], wide[1:]) if axis == 0 else (wide[:, :-1], wide[:, 1:])
    # Output pixel n lies at n - part in the input.
    return np.asarray(before * np.float32(part) + after * np.float32(1.0 - part))


def _evened(slices: Slices, stack: Stack) -> Slices:
    """Interpolate linearly between neighbouring slices."""
    count, spacing = stack.grid.shape[2], stack.grid.spacing_mm[2]
    heights = np.zeros(1) if stack.offsets_mm is None else stack.offsets_mm
    result = np.empty((count, *slices.shape[1:]), dtype=slices.dtype)
    for k in range(count):
        below = min(int(np.searchsorted(heights, k * spacing + _COPY, side="right")) - 1, len(heights) - 2)
        part = (k * spacing - heights[below]) / (heights[below + 1] - heights[below])
        if part < _COPY or part > 1 - _COPY:
            result[k] = slices[below + round(float(part))]
        else:
            mixed = slices[below] * np.float32(1.0 - part) + slices[below + 1] * np.float32(part)
            result[k] = _as(mixed, slices.dtype)
    return result


def _as(values: Slices, dtype: np.dtype[Any]) -> Slices:
    """Values as another type; rounded to the nearest where it holds whole numbers."""
    if values.dtype == dtype:
        return values
    return (np.rint(values) if np.issubdtype(dtype, np.integer) else values).astype(dtype)
