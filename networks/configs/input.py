"""What pixels weights expect: a property of the weights, which travels in their card."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator


class Input(BaseModel):
    """What pixels the weights expect.

    Grey values or colours are brought from the range that is shown, black to white, to [low, high]; then the mean is
    subtracted and divided by the standard deviation, per channel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: str = Field(description='in words: "[0, 1], then ImageNet mean and standard deviation"')
    channels: PositiveInt
    size_px: PositiveInt | None = Field(default=None, description="edge of the pictures; null where any size does")
    low: float = Field(default=0.0, description="lowest value of the range before mean and std are applied")
    high: float = Field(default=1.0, description="highest value of that range")
    mean: tuple[float, ...] = Field(default=(), description="subtracted per channel; empty for none")
    std: tuple[PositiveFloat, ...] = Field(default=(), description="divided by per channel; empty for none")
    fit: Literal["crop", "pad", "stretch"] = Field(
        default="crop",
        description="how an oblong picture becomes square: its middle, with black beside it, or pulled out of shape",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"expected low below high; got {self.low} and {self.high}; swap them")
        for name in ("mean", "std"):
            count = len(getattr(self, name))
            if count not in (0, 1, self.channels):
                raise ValueError(f"expected {name} for each of {self.channels} channels, or none; got {count}")
        return self
