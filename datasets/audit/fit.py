"""Whether a label map fits its image: told by intensities alone, without knowing what is labelled.

Where a label fits, the voxels under it are unlike the rest of the image. For label maps L and quantile bins of the
intensities that is a divergence (Kullback and Leibler 1951) in nats per labelled voxel,

    S(L) = sum over labels c of n_c KL(p_c || p) / sum of n_c,

with p_c the histogram under label c and p that of the image. S is compared with itself for the label mirrored, turned
or shifted. Two figures decide, both of the case itself:

    z   how far S lies above that of the label at random places, in their standard deviations;
    t   the gain of one placement over another, in standard errors of a raster of blocks: voxels are not independent.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, permutations, product

import numpy as np
from numpy.typing import NDArray

from datasets.image import Array

# Longest side of what is compared, for volumes and pictures.
_LONGEST = {3: 48, 2: 192, 1: 192}
_BINS = 24
_FEWEST_LEVELS = 4
_SAMPLES, _SEARCH_SAMPLES = 6000, 1000
_FEWEST_SAMPLES = 100
_MOST_CLASSES = 64
_RANDOM_PLACES = 96
_BLOCKS = 8
# Steps of a search for a shift: so many places along each axis first.
_SEARCHED = 12
# S is never below 0, so that where nothing is to be seen small values lie many deviations above smaller ones.
FEWEST_NATS = 0.3
# Share of S that is gained: a label in the middle looks nearly the same from all sides.
_LEAST_GAIN = 0.05
Z_FITS = 4.5
Z_SHIFTED = 5.0
T_WINS = 1.0
T_SHIFTED = 1.5
# Both together are as much as one of the above: the random places of one label are few.
Z_AND_T = 3.0
# Enough where the label fits hardly better than at random and most labels of its set fit: the set says what to expect.
Z_IN_SET = 3.5

Bins = NDArray[np.intp]


@dataclass(frozen=True)
class Move:
    """A turn of index axes, mirrors, then a shift that wraps around.

    Attributes:
        axes: Which axis of the label each axis of the result is.
        mirrored: Axes of the result along which it is mirrored.
        shift: In voxels of the image.
    """

    axes: tuple[int, int, int] = (0, 1, 2)
    mirrored: tuple[int, ...] = ()
    shift: tuple[int, int, int] = (0, 0, 0)

    @property
    def is_turn(self) -> bool:
        """Whether axes are exchanged."""
        return self.axes != (0, 1, 2)


@dataclass(frozen=True, eq=False)
class Sampled:
    """An image as bins on a coarse raster, and the places of a label on the same raster.

    Attributes:
        bins: (i, j, k) index of the bin of each voxel.
        levels: Number of bins.
        places: (n, 3) voxels under the label.
        classes: (n,) which label, from 0.
        steps: Voxels of the image per voxel of the raster.
        shape: Of the image.
    """

    bins: NDArray[np.uint8]
    levels: int
    places: NDArray[np.int16]
    classes: NDArray[np.uint8]
    steps: tuple[int, int, int]
    shape: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Fit:
    """How a label map fits its image.

    Attributes:
        nats: S where it lies.
        z: Of S where it lies.
        move: The placement that fits better beyond chance; None where there is none.
        move_z: z there.
        move_t: Its gain over where the label lies, in standard errors.
        sampled: For comparison with other cases; None where the fit is beyond doubt.
    """

    nats: float
    z: float
    move: Move | None
    move_z: float
    move_t: float
    sampled: Sampled | None

    @property
    def is_hint(self) -> bool:
        """Whether it counts only in a set whose labels fit: a weak one, or a shift, the best of many."""
        return self.move is not None and (any(self.move.shift) or (self.move_z < Z_FITS and self.move_t < Z_AND_T))


def sample(image: Array, labels: Array) -> Sampled | None:
    """Put an image and its label on a coarse raster.

    Args:
        image: (C, I, J, K).
        labels: (I, J, K), 0 is background.

    Returns:
        None where nothing can be told: hardly any labelled voxel, or an image of hardly any values.
    """
    shape = labels.shape
    longest = _LONGEST[sum(n > 2 for n in shape) or 1]
    steps = [-(-n // longest) for n in shape]
    wholes = [n // step * step for n, step in zip(shape, steps, strict=True)]
    coarse = labels[tuple(slice(step // 2, whole, step) for step, whole in zip(steps, wholes, strict=True))]
    places = np.argwhere(coarse)
    if len(places) < _FEWEST_SAMPLES:
        return None
    bins, levels = _binned(_coarse(image, steps, wholes))
    if levels < _FEWEST_LEVELS:
        return None
    if len(places) > _SAMPLES:
        places = places[np.linspace(0, len(places) - 1, _SAMPLES).astype(int)]
    values, classes = np.unique(coarse[tuple(places.T)], return_inverse=True)
    if len(values) > _MOST_CLASSES:
        classes = np.zeros(len(places), dtype=np.intp)
    held = bins.astype(np.uint8), levels, places.astype(np.int16), classes.astype(np.uint8)
    return Sampled(*held, (steps[0], steps[1], steps[2]), (int(shape[0]), int(shape[1]), int(shape[2])))


def fit(sampled: Sampled) -> Fit:
    """How a label fits its image where it lies, and whether it would fit better mirrored, turned or shifted."""
    score = _Score(sampled)
    base = score.gains(Move())
    nats = float(base.mean())
    mean, deviation = score.at_random()
    z = (nats - mean) / deviation
    best: tuple[float, float, Move] | None = None
    step = len(sampled.classes) // _SEARCH_SAMPLES + 1
    thin = _Score(replace(sampled, places=sampled.places[::step], classes=sampled.classes[::step]))
    for move, enough_z, enough_t in (*score.turns(), *thin.shifts(z < Z_FITS)):
        gains = score.gains(move)
        if gains.mean() < max(FEWEST_NATS, nats / (1.0 - _LEAST_GAIN)):
            continue
        move_z, t = (float(gains.mean()) - mean) / deviation, score.t(gains, move, base, Move())
        wins = (z < Z_SHIFTED and move_z >= enough_z and t >= enough_t) or min(move_z, t) >= Z_AND_T
        hints = z < Z_AND_T and move_z >= Z_IN_SET and t >= T_WINS and not any(move.shift)
        if (wins or hints) and (best is None or move_z > best[0]):
            best = move_z, t, move
    kept = sampled if z < 2 * Z_SHIFTED or best is not None else None
    if best is None:
        return Fit(nats, z, None, 0.0, 0.0, kept)
    return Fit(nats, z, best[2], best[0], best[1], kept)


def exchange(sampled: Sampled, other: Sampled) -> tuple[float, float]:
    """How the label of another case fits an image in place of its own.

    Args:
        sampled: An image and its label.
        other: Another case on a raster of the same shape.

    Returns:
        z of the other's label on this image, and its gain over the image's own label in standard errors.
    """
    own = _Score(sampled)
    theirs = _Score(replace(sampled, places=other.places, classes=other.classes), own.share)
    mean, deviation = own.at_random()
    gains, base = theirs.gains(Move()), own.gains(Move())
    if gains.mean() < FEWEST_NATS:
        return 0.0, 0.0
    blocks = theirs.blocks(gains, Move()) / len(gains) - own.blocks(base, Move()) / len(base)
    return (float(gains.mean()) - mean) / deviation, _over_error(blocks)


def _over_error(blocks: NDArray[np.float64]) -> float:
    error = float(np.sqrt((blocks**2).sum()))
    return float(blocks.sum()) / error if error > 0 else 0.0


class _Score:
    """S of one label on one image, wherever the label is put."""

    def __init__(self, sampled: Sampled, share: NDArray[np.float64] | None = None) -> None:
        self.sampled = sampled
        self.shape = np.array(sampled.bins.shape)
        self.places = sampled.places.astype(np.intp)
        self.classes = sampled.classes.astype(np.intp)
        self.count = int(self.classes.max()) + 1
        self.axes = [axis for axis in range(3) if self.shape[axis] > 2]
        if share is None:
            share = np.bincount(sampled.bins.ravel(), minlength=sampled.levels) / sampled.bins.size
        self.share = share

    def gains(self, move: Move) -> NDArray[np.float64]:
        """log p_c(x) / p(x) of each place, in their order; their mean is S."""
        bins = self.sampled.bins[tuple(self._moved(move).T)].astype(np.intp)
        joint = self.classes * self.sampled.levels + bins
        counts = np.bincount(joint, minlength=self.count * self.sampled.levels).reshape(self.count, -1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ratio = np.log(np.maximum(shares, 1e-12) / np.maximum(self.share, 1e-12)).ravel()
        return np.asarray(ratio[joint], dtype=np.float64)

    def at_random(self) -> tuple[float, float]:
        """Mean and standard deviation of S with the label at random places, mirrored at random."""
        rng = np.random.default_rng(0)
        found = []
        for _ in range(_RANDOM_PLACES):
            mirrored = tuple(axis for axis in self.axes if rng.random() < 0.5)
            shift = [int(rng.integers(n)) * step for n, step in zip(self.shape, self.sampled.steps, strict=True)]
            found.append(float(self.gains(Move(mirrored=mirrored, shift=(shift[0], shift[1], shift[2]))).mean()))
        return float(np.mean(found)), max(float(np.std(found)), 1e-9)

    def turns(self) -> Iterator[tuple[Move, float, float]]:
        """Every other way to lay the label's axes on the image's, and what it must reach."""
        for axes in permutations(range(3)):
            if any(self.sampled.shape[axis] != self.sampled.shape[to] for to, axis in enumerate(axes)):
                continue
            if any(axis != to and self.shape[to] <= 2 for to, axis in enumerate(axes)):
                continue
            for number in range(len(self.axes) + 1):
                for mirrored in combinations(self.axes, number):
                    move = Move((axes[0], axes[1], axes[2]), mirrored)
                    if move != Move():
                        yield move, Z_FITS, T_WINS

    def shifts(self, far: bool) -> Iterator[tuple[Move, float, float]]:
        """The best shift, and what it must reach: anywhere, or nearby where the label lies well already."""
        starts: list[tuple[int, ...]] = [(0, 0, 0)]
        reach = [max(1, int(n) // _SEARCHED) for n in self.shape]
        if far:
            wide = [range(0, int(n), step) if n > 2 else range(1) for n, step in zip(self.shape, reach, strict=True)]
            starts = list(product(*wide))
        best = max(starts, key=self._at)
        while max(reach) >= 1:
            steps = [(-r, 0, r) if n > 2 and r else (0,) for n, r in zip(self.shape, reach, strict=True)]
            around = [(best[0] + i, best[1] + j, best[2] + k) for i, j, k in product(*steps)]
            nearest = max(around, key=self._at)
            if nearest == best:
                reach = [r // 2 for r in reach]
            best = nearest
        centred = [(b + n // 2) % n - n // 2 for b, n in zip(best, self.shape, strict=True)]
        # Two voxels of the raster are what drawing by hand and the raster itself leave open.
        if max(abs(int(n)) for n in centred) > 2:
            shift = [int(n) * step for n, step in zip(centred, self.sampled.steps, strict=True)]
            yield Move(shift=(shift[0], shift[1], shift[2])), Z_SHIFTED, T_SHIFTED

    def t(self, gains: NDArray[np.float64], move: Move, base: NDArray[np.float64], rest: Move) -> float:
        """Gain of one placement over another in standard errors."""
        return _over_error(self.blocks(gains, move) - self.blocks(base, rest))

    def blocks(self, gains: NDArray[np.float64], move: Move) -> NDArray[np.float64]:
        """Sum of gains in each block of the raster."""
        inside = self._moved(move) * np.minimum(_BLOCKS, self.shape) // self.shape
        index = (inside[:, 0] * _BLOCKS + inside[:, 1]) * _BLOCKS + inside[:, 2]
        return np.asarray(np.bincount(index, weights=gains, minlength=_BLOCKS**3), dtype=np.float64)

    def _at(self, shift: tuple[int, ...]) -> float:
        voxels = [n * step for n, step in zip(shift, self.sampled.steps, strict=True)]
        return float(self.gains(Move(shift=(voxels[0], voxels[1], voxels[2]))).mean())

    def _moved(self, move: Move) -> Bins:
        places = self.places[:, list(move.axes)]
        for axis in move.mirrored:
            places[:, axis] = self.shape[axis] - 1 - places[:, axis]
        if any(move.shift):
            places = (places + np.array(move.shift) // np.array(self.sampled.steps)) % self.shape
        return places


def _coarse(image: Array, steps: list[int], wholes: list[int]) -> NDArray[np.float32]:
    """Mean over channels and over blocks of voxels."""
    (i, j, k), (a, b, c) = wholes, steps
    whole = image[:, :i, :j, :k].reshape(len(image), i // a, a, j // b, b, k // c, c)
    return np.asarray(whole.mean(axis=(0, 2, 4, 6), dtype=np.float32))


def _binned(values: NDArray[np.float32]) -> tuple[Bins, int]:
    """Bins of equal share as far as values differ."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    return bins, len(edges) + 1
