"""Settings of a coarse look that comes before the close one; `pipelines.localise` looks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from datasets.image import Image
from networks.configs import NetworkConfig
from pipelines.settings import Settings


class LocaliseSettings(Settings):
    """How the organ is found roughly, on a coarse grid, before the task's network looks closely.

    What matters is that nothing of the organ is lost: a low threshold and a wide margin cost a little time only.
    """

    network: NetworkConfig = Field(discriminator="name", description="class 0 is the background, all others the organ")
    weights: str = Field(description="name of shipped weights or path of a file")
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        default=(4.0, 4.0, 4.0), description="of the coarse grid, along left, posterior, superior"
    )
    margin_mm: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        default=(20.0, 20.0, 20.0), description="room left around what was found, on either side"
    )
    threshold: float = Field(default=0.3, gt=0.0, lt=1.0, description="of 1 - p(background)")
    min_share: float = Field(
        default=0.1, gt=0.0, le=1.0, description="of the largest region's volume; smaller ones are no part of the organ"
    )

    @model_validator(mode="after")
    def _labels_voxels(self) -> Self:
        if self.network.name == "densenet" or self.network.out_channels < 2:
            raise ValueError(
                "expected a network that tells the organ's voxels from the background's; got "
                f"{self.network.name} with {self.network.out_channels} classes; set localise.network"
            )
        slice_context(self.network)
        return self


def slice_context(network: NetworkConfig) -> int:
    """How many neighbours on either side a network is given with a slice; none in 3D, where it sees them anyway.

    Raises:
        ValueError: The number of channels cannot be that of slices of a scan.
    """
    if network.in_channels % 2 == 0 or (network.spatial_dims == 3 and network.in_channels > 1):
        raise ValueError(f"expected in_channels to be odd in 2D and 1 in 3D; got {network.in_channels}; correct it")
    return (network.in_channels - 1) // 2


@dataclass(frozen=True)
class Localisation:
    """A coarse look at an image, of which only the part that it points at is looked at closely.

    Attributes:
        settings: Network, weights, grid and margin.
        prepare: Puts an image on the coarse grid and scale, as `Task.preprocess` does on the fine ones.
    """

    settings: LocaliseSettings
    prepare: Callable[[Image], Image]
