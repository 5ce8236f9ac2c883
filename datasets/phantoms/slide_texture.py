"""Periodic textures that tissue is painted with: bundles of collagen and the membranes of fat."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from datasets.phantoms.slide_noise import Doubles, Floats

# Absorption by which texels are averaged: about that of eosin for green light, where the eye sees it most.
_ABSORPTION = 1.2
_MIPS = 8


@dataclass(frozen=True, eq=False)
class Texture:
    """A concentration that repeats, at ever coarser texels.

    Attributes:
        mips: (rows, columns) each, the finest first.
        steps_um: Edges (along u, along v) of the texels of each.
    """

    mips: tuple[Floats, ...]
    steps_um: tuple[tuple[float, float], ...]

    def look_up(self, u_um: Floats, v_um: Floats, mpp: float) -> Floats:
        """The concentration at coordinates (u along the columns, v along the rows), averaged over about a pixel."""
        level = max(n for n, (_, dv) in enumerate(self.steps_um) if n == 0 or dv <= mpp)
        table, (du, dv) = self.mips[level], self.steps_um[level]
        flat, width, height = table.ravel(), table.shape[1], table.shape[0]
        # Powers of two, so that a mask stands for the remainder. Nearest along, linear across: there it changes fast.
        column = np.floor(u_um * np.float32(1 / du)).astype(np.int32) & (width - 1)
        across = v_um * np.float32(1 / dv) - np.float32(0.5)
        below = np.floor(across)
        across -= below
        row = below.astype(np.int32) & (height - 1)
        upper = flat[row * width + column]
        lower = flat[((row + 1) & (height - 1)) * width + column]
        return np.asarray(upper + across * (lower - upper))


@cache
def collagen() -> Texture:
    """Wavy bundles along u with clefts between them: 0 in a cleft, about 1 in a bundle."""
    rng = np.random.default_rng(20)
    shape = (2048, 1024)
    bundles = _grain(rng, shape, (24, 24))
    strands = _grain(rng, shape, (9, 16))
    fibrils = _grain(rng, shape, (3, 9))
    height = 0.45 * bundles + 0.75 * strands + 0.25 * fibrils
    body = np.clip((height + 1.5) / 0.8, 0, 1)
    return _mipped(body * np.clip(0.86 + 0.18 * strands + 0.10 * fibrils + 0.16 * bundles, 0.3, None), (1.0, 0.25))


@cache
def fat() -> Texture:
    """Cells of fat: nothing inside, thin membranes between them."""
    rng = np.random.default_rng(21)
    period, step = 1024.0, 1.0
    cell = period / 16
    # A jittered grid gives cells of about the same size, as fat has them.
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2)
    seeds = ((grid + 0.5 + rng.uniform(-0.32, 0.32, grid.shape)) * cell) % period
    centres = step * (np.arange(int(period / step)) + 0.5)
    points = np.stack(np.meshgrid(centres, centres), axis=-1)
    nearest = cKDTree(seeds, boxsize=period).query(points, k=2)[0]
    gap = (nearest[..., 1] - nearest[..., 0]) / 2
    return _mipped(np.exp(-((gap / 1.5) ** 2)), (step, step))


def _grain(rng: np.random.Generator, shape: tuple[int, int], sigma: tuple[float, float]) -> Doubles:
    white = gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return np.asarray(white / white.std())


def _mipped(table: NDArray[np.float64], step_um: tuple[float, float]) -> Texture:
    light = np.exp(-_ABSORPTION * table)
    mips, steps = [table.astype(np.float32)], [step_um]
    for _ in range(_MIPS):
        du, dv = steps[-1]
        # Texels become square first.
        light = light.reshape(light.shape[0] // 2, 2, -1).mean(axis=1)
        if du <= dv:
            light, du = light.reshape(light.shape[0], -1, 2).mean(axis=2), 2 * du
        mips.append((-np.log(light) / _ABSORPTION).astype(np.float32))
        steps.append((du, 2 * dv))
    return Texture(tuple(mips), tuple(steps))
