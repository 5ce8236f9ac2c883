"""What somebody said about a study, whoever it was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from datasets.defects import DefectCode
from datasets.errors import DenseLensError
from datasets.example import Example
from datasets.image import Image
from pipelines.results import Finding, Quantity


class CaseRefused(DenseLensError):
    """A case that cannot be compared honestly; the others can.

    Args:
        code: What is wrong with it.
        expected: What would have been right.
        got: What came instead.
        advice: What to do about it.
    """

    def __init__(self, code: DefectCode, expected: str, got: str, advice: str) -> None:
        super().__init__(expected, got, advice)
        self.code = code
        self.args = (code, expected, got, advice)


@dataclass(frozen=True, eq=False)
class Said:
    """A prediction of one study.

    Attributes:
        labels: Label map on the grid of the image.
        label_names: What its values mean; None: what they mean in the dataset's own label maps.
        instances: A number per object.
        probability: Of any object, in 1/255.
        findings: What was called, with probabilities.
        quantities: Scores.
    """

    labels: Image | None = None
    label_names: Mapping[int, str] | None = None
    instances: Image | None = None
    probability: Image | None = None
    findings: tuple[Finding, ...] = ()
    quantities: tuple[Quantity, ...] = field(default=())


class Predictor(Protocol):
    """Who says something about studies."""

    def describe(self) -> dict[str, Any]:
        """Who it is, for the report: hashes and names, no paths beyond what the caller gave."""

    def identity(self) -> str:
        """What changes where anything it says may change: cases of another identity are compared anew."""

    def say(self, example: Example) -> Said:
        """What is said about one study.

        Raises:
            InputRefused: It cannot be scored.
            CaseRefused: There is no prediction of it, or none that can be used.
        """
