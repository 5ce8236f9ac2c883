"""What a training needs to know of a task: how examples become cases, what the network is to say of them, the loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from datasets.example import Example
from pipelines.task import Task
from pipelines.training.draws import Shape
from pipelines.training.prepared import Case

Answers = Tensor | Sequence[Tensor]


@dataclass(frozen=True)
class Figures:
    """How a network does on what was held back.

    Attributes:
        main: What decides which of two looks was better; higher is.
        told: By name.
    """

    main: float
    told: dict[str, float]


class Lesson(ABC):
    """A task as a training sees it. Picklable: cases are prepared and patches cut in other processes."""

    task: Task

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """How patches are cut."""

    @abstractmethod
    def prepare(self, example: Example) -> Sequence[Case]:
        """Read an example and prepare it as every door does.

        Raises:
            InputRefused: It cannot be read, or its truth does not fit.
        """

    @abstractmethod
    def finished(self, pixels: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """A patch as the network takes it, and what it is to say of it.

        Args:
            pixels: float32 (C, D, H, W).
            truth: Of the same patch, as the case has it.
        """

    @abstractmethod
    def loss(self, answers: Answers, wanted: Tensor) -> Tensor:
        """What is made small, of one batch; a scalar."""

    @abstractmethod
    def figures(self, said: Sequence[Tensor], wanted: Sequence[Tensor]) -> Figures:
        """How well a network did.

        Args:
            said: Logits in evaluation mode, batch by batch.
            wanted: As `finished` gave it, batch by batch.
        """

    def told(self) -> dict[str, Any]:
        """What the card of the weights tells of the lesson."""
        return {}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of a classifier's outputs; empty for networks that label voxels."""
        return ()

    @property
    @abstractmethod
    def independent(self) -> bool:
        """Whether every output is a sigmoid of its own."""
