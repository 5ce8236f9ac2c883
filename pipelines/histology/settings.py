"""Settings of everything that is done to a slide beside asking the network."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from networks.configs import NetworkConfig
from pipelines.settings import Settings

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Colour = tuple[PositiveFloat, PositiveFloat, PositiveFloat]


class TissueSettings(Settings):
    """What counts as tissue on an overview of the slide."""

    mpp: PositiveFloat = Field(
        default=8.0, description="um per pixel of the overview, about: a whole number of its pixels makes a cell"
    )
    min_saturation: Share = Field(default=0.07, description="a colour paler than this is glass (the filter of PCam)")
    max_saturation: Share = Field(default=0.12, description="a threshold found by Otsu's rule goes no higher")
    min_share: Share = Field(default=0.25, description="of a cell that is tissue; others are not looked at")
    min_area_mm2: float = Field(default=0.01, ge=0.0, description="smaller specks are dust")
    max_hole_mm2: float = Field(default=0.01, ge=0.0, description="smaller holes are part of the tissue")
    min_ink_mm2: float = Field(default=0.05, ge=0.0, description="smaller spots in a pen's colour are no pen mark")
    little_mm2: float = Field(default=1.0, ge=0.0, description="less tissue than this is told")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_saturation > self.max_saturation:
            got = f"{self.min_saturation} and {self.max_saturation}"
            raise ValueError(f"expected min_saturation of at most max_saturation; got {got}; swap them")
        return self


class StainReference(Settings):
    """The stain that slides are brought to.

    The default is the reference of Macenko et al., "A method for normalizing histology slides for quantitative
    analysis" (ISBI 2009), in the numbers of the published programs (github.com/mitkovetta/staining-normalization).
    """

    name: str = "Macenko 2009"
    hematoxylin: Colour = Field(default=(0.5626, 0.7201, 0.4062), description="optical densities of red, green, blue")
    eosin: Colour = Field(default=(0.2159, 0.8012, 0.5581), description="optical densities of red, green, blue")
    concentrations: tuple[PositiveFloat, PositiveFloat] = Field(
        default=(1.9705, 1.0308), description="99th percentiles of hematoxylin and eosin, natural logarithms"
    )
    light: PositiveFloat = Field(default=240.0, le=255.0, description="grey value of what is not stained")


class StainSettings(Settings):
    """How differences between laboratories and scanners are evened out."""

    method: Literal["none", "macenko"] = "macenko"
    reference: StainReference = StainReference()
    min_density: PositiveFloat = Field(
        default=0.15, description="paler pixels do not count (Macenko's beta), of the mean over red, green and blue"
    )
    percentile: float = Field(default=1.0, gt=0.0, lt=50.0, description="of the angles at either end (Macenko's alpha)")
    patches: PositiveInt = Field(default=100, description="looked at for the estimate, spread over the tissue")


class RefinerSettings(Settings):
    """A second network that sees the map of the first as a picture (the idea of DRU-Net)."""

    network: NetworkConfig = Field(
        discriminator="name", description="two channels in, probability and tissue; one logit out"
    )
    weights: str | None = Field(description="name of shipped weights or path of a file; null: the map stays as it is")
    stride_px: PositiveInt = Field(default=32, description="edge of the cells it was trained on, in pixels of a patch")
    threshold: Probability = Field(default=0.5, description="of what it says")

    @model_validator(mode="after")
    def _labels_cells(self) -> Self:
        network = self.network
        if network.name == "densenet" or (network.spatial_dims, network.in_channels, network.out_channels) != (2, 2, 1):
            raise ValueError(
                f"expected a 2D network with two channels in and one out that labels cells; got {network.name}; "
                "set refiner.network"
            )
        return self


class HotSpotSettings(Settings):
    """Which regions are told one by one."""

    count: PositiveInt = Field(default=20, description="at most so many")
    min_area_mm2: float = Field(default=0.0, ge=0.0, description="smaller regions are not called tumour")
