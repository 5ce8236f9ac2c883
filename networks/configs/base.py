"""What all configurations of networks share."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

SpatialDims = Literal[2, 3]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Momentum = Annotated[float, Field(gt=0.0, le=1.0)]


class Config(BaseModel):
    """Frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training_only: ClassVar[frozenset[str]] = frozenset()
    """Fields that change how weights are learnt and not what they compute in evaluation mode."""

    def identity(self) -> dict[str, Any]:
        """What decides which function the weights compute, as plain values: everything but `training_only`."""
        kept = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name not in self.training_only:
                kept[name] = value.identity() if isinstance(value, Config) else value
        return kept
