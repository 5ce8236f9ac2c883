"""What somebody wants explained, and how thoroughly; nothing of torch is loaded to say so."""

from typing import Literal

from pydantic import Field

from pipelines.explain.names import METHODS
from pipelines.settings import Settings

ALL = "all"


class Wanted(Settings):
    """Which maps of a study are made.

    Attributes:
        methods: By name, each once.
        labels: Of the task; none are those that were found, or the likeliest where nothing was.
        lesion: Number of the finding of that label, as results tell it; null: all of the label.
        budget: How thoroughly maps are judged; none: not at all.
        settings: By method, what differs from its defaults.
    """

    methods: tuple[str, ...] = Field(min_length=1)
    labels: tuple[str, ...] = ()
    lesion: int | None = Field(default=None, ge=1)
    budget: Literal["none", "quick", "full"] = "quick"
    settings: dict[str, dict[str, float | int | str | bool | None]] = Field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The methods one by one."""
        return METHODS if ALL in self.methods else tuple(dict.fromkeys(self.methods))
