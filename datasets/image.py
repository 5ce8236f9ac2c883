"""What an image is: an array on a grid, with the meaning of its numbers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.geometry import Grid

Array = NDArray[Any]


class Intensity(StrEnum):
    """What the numbers of an image mean."""

    HOUNSFIELD = "hounsfield"
    GREY = "grey"
    COLOUR = "colour"
    LABEL = "label"
    PROBABILITY = "probability"


@dataclass(frozen=True, eq=False)
class Image:
    """Channels on a grid of voxels: one type for volume, film and patch.

    Attributes:
        array: (C, I, J, K), read-only. It is laid out so that `array.transpose(0, 3, 2, 1)`, the order networks take,
            copies nothing when it came from this project's readers. 2D images have K = 1.
        intensity: What the numbers mean.
        affine: 4x4 float64, index (i, j, k) to mm in RAS+, or None where the spacing is unknown; a measurement in mm
            is then refused, never invented.
        shown: The values that are to be shown black and white, where the file says so (a film's window); None where it
            does not: the whole range of its integers.

    Raises:
        ValueError: The array is not four-dimensional or has an empty axis, or `shown` does not rise.
    """

    array: Array
    intensity: Intensity
    affine: NDArray[np.float64] | None = None
    shown: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.array.ndim != 4 or 0 in self.array.shape:
            raise ValueError(f"expected an array (C, I, J, K) without an empty axis; got shape {self.array.shape}")
        if self.shown is not None and not self.shown[0] < self.shown[1]:
            raise ValueError(f"expected values shown black and white to rise; got {self.shown}")
        array = self.array.view()
        array.setflags(write=False)
        object.__setattr__(self, "array", array)
        if self.affine is not None:
            object.__setattr__(self, "affine", Grid(self.shape, self.affine).affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along (i, j, k)."""
        return int(self.array.shape[1]), int(self.array.shape[2]), int(self.array.shape[3])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.array.shape[0])

    @property
    def grid(self) -> Grid:
        """The grid the voxels lie on.

        Raises:
            ValueError: The spacing is unknown.
        """
        if self.affine is None:
            raise ValueError(f"expected an image with a known spacing; got an image {self.shape} without an affine")
        return Grid(self.shape, self.affine)

    def like(self, array: Array, intensity: Intensity | None = None) -> "Image":
        """Another array on the same grid.

        Args:
            array: (C, I, J, K) or (I, J, K), of this image's shape.
            intensity: What its numbers mean; this image's meaning when None.

        Raises:
            ValueError: The array has another shape.
        """
        stacked = array[np.newaxis] if array.ndim == 3 else array
        if stacked.shape[1:] != self.array.shape[1:]:
            raise ValueError(f"expected an array on the grid {self.shape}; got shape {array.shape}")
        return Image(stacked, intensity or self.intensity, self.affine, self.shown if intensity is None else None)

    @classmethod
    def from_slices(cls, slices: Array, intensity: Intensity, affine: NDArray[np.float64] | None = None) -> "Image":
        """Make an image of one channel from frames (K, J, I), as DICOM and networks order them, without copying."""
        return cls(slices.transpose(2, 1, 0)[np.newaxis], intensity, affine)

    def slices(self) -> Array:
        """The first channel as (K, J, I), the order of frames; copies nothing for images of our readers."""
        frames: Array = self.array[0].transpose(2, 1, 0)
        return frames
