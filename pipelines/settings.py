"""What every block of keys in a YAML is."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of everything in a YAML: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
