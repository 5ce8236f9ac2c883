"""Labelled micrographs from a folder, and which of them are kept for validation.

The folder holds `images` and `labels` with files of the same names: pictures, and 16-bit PNGs in which every nucleus
has a number and the background 0, as the fixed release of the Data Science Bowl 2018 (stage 1) has them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from datasets.image import Array
from datasets.io.picture import read_picture
from pipelines.micrographs import scaled_micrograph

VALIDATION_PERCENT = 18
# Two edges are of one field where what is left without slow changes of brightness correlates that well. By chance
# edges of another field reach 0.8; the fields themselves, cut into 2 x 2 tiles, are told at 0.9.
SAME_FIELD_CORRELATION = 0.9
_SLOW_PX = 31
_COLOURED = 0.04


@dataclass(frozen=True)
class Labelled:
    """A micrograph and its nuclei.

    Attributes:
        picture: The file.
        pixels: (3, H, W) uint8, between the picture's own black and white.
        nuclei: (H, W) uint16, the number of the nucleus a pixel belongs to; 0 elsewhere.
    """

    picture: Path
    pixels: NDArray[np.uint8]
    nuclei: NDArray[np.uint16]

    @property
    def name(self) -> str:
        """Of the file."""
        return self.picture.name

    @property
    def sort(self) -> tuple[int, int, bool]:
        """What tells kinds of micrographs apart here: height, width, and whether there is colour."""
        spread = self.pixels.max(axis=0).astype(np.int16) - self.pixels.min(axis=0)
        height, width = self.nuclei.shape
        return height, width, bool(spread.mean() / 255.0 > _COLOURED)


def read_labelled(folder: Path) -> list[Labelled]:
    """Every labelled micrograph of a folder, by name.

    Raises:
        InputRefused: A picture cannot be read.
        FileNotFoundError: There are no pictures, or one has no labels.
    """
    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise FileNotFoundError(f"expected labelled micrographs in {folder / 'images'}; got none; check --data")
    return [read_case(path, folder / "labels" / path.name) for path in paths]


def read_case(picture: Path, labels: Path) -> Labelled:
    """One micrograph with its labels.

    Raises:
        InputRefused: One of the two cannot be read.
        ValueError: They differ in size.
    """
    nuclei = _plane(read_picture(labels).image.array)[0].astype(np.uint16)
    scaled = scaled_micrograph(_plane(read_picture(picture).image.array))
    if nuclei.shape != scaled.shape[1:]:
        raise ValueError(f"expected labels of the picture's size {scaled.shape[1:]}; got {nuclei.shape}: {labels}")
    return Labelled(picture, np.rint(scaled * 255.0).astype(np.uint8), np.ascontiguousarray(nuclei))


def split(cases: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
    """Those to learn from and those kept for validation, by a rule that needs nothing but the pictures.

    Tiles of one field stay together: pictures whose edges continue each other make one group. A group is kept for
    validation where the SHA-256 of its first name, modulo 100, is below `VALIDATION_PERCENT`.
    """
    learnt: list[Labelled] = []
    kept: list[Labelled] = []
    for group in fields(cases):
        first = min(case.name for case in group)
        is_kept = int(hashlib.sha256(first.encode()).hexdigest(), 16) % 100 < VALIDATION_PERCENT
        (kept if is_kept else learnt).extend(group)
    return sorted(learnt, key=lambda case: case.name), sorted(kept, key=lambda case: case.name)


def fields(cases: Sequence[Labelled]) -> list[list[Labelled]]:
    """Micrographs in groups: tiles that lay beside or below each other are together, also by way of third ones."""
    leader = list(range(len(cases)))

    def lead(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        by_shape[case.nuclei.shape].append(index)
    for members in by_shape.values():
        grey = [cases[index].pixels.mean(axis=0) for index in members]
        for axis in (0, 1):
            ends = np.stack([_edge(picture.take(-1, axis)) for picture in grey])
            starts = np.stack([_edge(picture.take(0, axis)) for picture in grey])
            alike = ends @ starts.T
            np.fill_diagonal(alike, 0.0)
            for first, second in np.argwhere(alike > SAME_FIELD_CORRELATION):
                leader[lead(members[first])] = lead(members[second])
    groups: dict[int, list[Labelled]] = defaultdict(list)
    for index, case in enumerate(cases):
        groups[lead(index)].append(case)
    return list(groups.values())


def _edge(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A line of pixels without slow changes, of length 1; zeros where it is flat."""
    fast = values - uniform_filter1d(values, _SLOW_PX, mode="nearest")
    length = float(np.linalg.norm(fast))
    edge: NDArray[np.float64] = fast / length if length > 0.0 else fast
    return edge


def _plane(array: Array) -> Array:
    """(C, I, J, 1) to (C, H, W)."""
    return array[..., 0].transpose(0, 2, 1)
