"""What is noted of a case in one pass over its pixels; small, so that a worker process can hand it back."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.audit.fit import Fit
from datasets.defects import Defect
from datasets.example import Dataset, Example
from datasets.geometry import Grid
from datasets.image import Intensity

# Ends, edges and middle of the values of an image.
PERCENTS = (0.0, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 100.0)


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is noted of the pixels of a series.

    Attributes:
        series: Its uid.
        modality: As the series says; "" where the format does not tell.
        intensity: What its numbers are said to mean.
        shape: (i, j, k).
        grid: Where its voxels are; None where unknown.
        channels: Number of channels; 1 where all are alike.
        stored_channels: Number of channels as stored.
        dtype: Of the values.
        digest: Of the values in index order, whatever type and header they had.
        placed: Of the values of a volume with its axes turned to RAS; "" where no grid is known.
        percentiles: At `PERCENTS`, of all channels together.
        offset_share: Share of voxels between 900 and 1200, where soft tissue lies when 1024 was left in.
        thumbnail: The mean of the channels on a coarse raster of the same axes, float32.
    """

    series: str
    modality: str
    intensity: Intensity
    shape: tuple[int, int, int]
    grid: Grid | None
    channels: int
    stored_channels: int
    dtype: str
    digest: str
    placed: str
    percentiles: NDArray[np.float64]
    offset_share: float
    thumbnail: NDArray[np.float32]

    @property
    def is_volume(self) -> bool:
        """Whether it has more than one slice."""
        return min(self.shape) > 1

    @property
    def is_constant(self) -> bool:
        """Whether all pixels are alike."""
        return bool(self.percentiles[0] == self.percentiles[-1])


@dataclass(frozen=True, eq=False)
class LabelFacts:
    """What is noted of a label map.

    Attributes:
        shape: (i, j, k).
        grid: Where its voxels are; None where unknown.
        digest: As `ImageFacts.digest`.
        counts: Voxels by whole value, 0 included; the most frequent ones where there are very many.
        broken: Number of voxels whose value is not whole.
        broken_range: Lowest and highest of all values, where some are not whole.
        is_image: Whether its values are those of the image.
        fit: How it fits the image; None where that cannot be told.
    """

    shape: tuple[int, int, int]
    grid: Grid | None
    digest: str
    counts: Mapping[int, int]
    broken: int
    broken_range: tuple[float, float]
    is_image: bool
    fit: Fit | None

    @property
    def labelled(self) -> int:
        """Number of voxels that are not background."""
        return sum(count for value, count in self.counts.items() if value != 0) + self.broken


@dataclass(frozen=True, eq=False)
class CaseFacts:
    """What is noted of an example.

    Attributes:
        example: Which one.
        images: Of each series that could be read, in order.
        labels: Of its label map; None where it has none or it could not be read.
        defects: What was told while reading.
    """

    example: Example
    images: tuple[ImageFacts, ...]
    labels: LabelFacts | None
    defects: tuple[Defect, ...]

    @property
    def name(self) -> str:
        """The example's."""
        return self.example.name

    @property
    def image(self) -> ImageFacts | None:
        """The first series."""
        return self.images[0] if self.images else None


@dataclass(frozen=True, eq=False)
class Survey:
    """All that checks look at.

    Attributes:
        dataset: What was examined.
        cases: In the order of its examples.
    """

    dataset: Dataset
    cases: tuple[CaseFacts, ...]

    @property
    def imaged(self) -> tuple[tuple[CaseFacts, ImageFacts], ...]:
        """Cases whose first series could be read."""
        return tuple((case, case.image) for case in self.cases if case.image is not None)

    @property
    def labelled(self) -> tuple[tuple[CaseFacts, LabelFacts], ...]:
        """Cases whose label map could be read."""
        return tuple((case, case.labels) for case in self.cases if case.labels is not None)
