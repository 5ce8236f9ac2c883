"""What the outputs of a classifier say: findings that may occur together, classes of which one holds, scores.

Views of one study are put together by the mean of their probabilities (Rajpurkar et al., "MURA", 2017), the network's
own, before anything is calibrated or called. Operating points are of that probability; a finding is called where it is
reached. What a reader is told is calibrated where the weights' card knows how, and the threshold beside it with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.special import expit, softmax

from pipelines.calibration import Platt
from pipelines.results import Finding, Quantity
from pipelines.settings import Settings

Logits = NDArray[np.floating]

# What the networks' arithmetic can differ by from machine to machine stays below the last digit that is told.
_DIGITS = 6


class FindingsHead(Settings):
    """Findings that may occur together: a sigmoid each."""

    kind: Literal["findings"] = "findings"
    labels: tuple[str, ...] = Field(min_length=1, description='in the order of the outputs; "" was never trained')

    @property
    def outputs(self) -> int:
        """Outputs of the network it takes."""
        return len(self.labels)


class ClassesHead(Settings):
    """Classes of which exactly one holds: a softmax."""

    kind: Literal["classes"] = "classes"
    labels: tuple[str, ...] = Field(min_length=2, description="in the order of the outputs")
    negative: str | None = Field(default=None, description="the class that is nobody's finding: normal")

    @property
    def outputs(self) -> int:
        """Outputs of the network it takes."""
        return len(self.labels)

    @model_validator(mode="after")
    def _names_its_own(self) -> Self:
        if self.negative is not None and self.negative not in self.labels:
            raise ValueError(f"expected negative to be one of {list(self.labels)}; got {self.negative!r}; correct it")
        return self


class ScoreHead(Settings):
    """A number on a scale: a regression, kept within its ends."""

    kind: Literal["score"] = "score"
    name: str = Field(description="of the score, in snake case")
    unit: str = Field(default="1", description="UCUM")
    low: float = 0.0
    high: float

    @property
    def outputs(self) -> int:
        """Outputs of the network it takes."""
        return 1

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"expected low below high; got {self.low} and {self.high}; swap them")
        return self


Head = Annotated[FindingsHead | ClassesHead | ScoreHead, Field(discriminator="kind")]


@dataclass(frozen=True)
class Answers:
    """What a network said, uncalibrated.

    Attributes:
        probabilities: By label.
        scores: By name.
    """

    probabilities: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Judge:
    """How answers become statements.

    Attributes:
        heads: In the order of the network's outputs.
        operating_points: By label, the network's own probability from which on a finding is called; 0.5 without one.
        calibration: By label.
    """

    heads: tuple[FindingsHead | ClassesHead | ScoreHead, ...]
    operating_points: Mapping[str, float] = field(default_factory=dict)
    calibration: Mapping[str, Platt] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Outputs a network must have."""
        return sum(head.outputs for head in self.heads)

    def answers(self, logits: Logits) -> Answers:
        """Take a network's logits (outputs,) apart.

        Raises:
            ValueError: There are more or fewer than the heads take.
        """
        if logits.shape != (self.outputs,):
            raise ValueError(f"expected logits ({self.outputs},); got shape {logits.shape}")
        probabilities: dict[str, float] = {}
        scores: dict[str, float] = {}
        rest = logits.astype(np.float64)
        for head in self.heads:
            own, rest = rest[: head.outputs], rest[head.outputs :]
            if isinstance(head, ScoreHead):
                scores[head.name] = float(np.clip(own[0], head.low, head.high))
            else:
                said = expit(own) if isinstance(head, FindingsHead) else softmax(own)
                probabilities |= {label: float(p) for label, p in zip(head.labels, said, strict=True) if label}
        return Answers(probabilities, scores)

    def findings(self, answers: Answers) -> tuple[Finding, ...]:
        """What a reader accepts or rejects: all labels but the negative ones, in the order of the outputs."""
        findings: list[Finding] = []
        for head in self.heads:
            if isinstance(head, FindingsHead):
                findings += [self._finding(label, answers.probabilities[label]) for label in head.labels if label]
            elif isinstance(head, ClassesHead):
                findings += self._classes(head, answers)
        return tuple(findings)

    def quantities(self, answers: Answers) -> tuple[Quantity, ...]:
        """The scores."""
        return tuple(
            Quantity(name=head.name, value=round(answers.scores[head.name], _DIGITS), unit=head.unit)
            for head in self.heads
            if isinstance(head, ScoreHead)
        )

    def _classes(self, head: ClassesHead, answers: Answers) -> list[Finding]:
        told = [label for label in head.labels if label != head.negative]
        if len(head.labels) == 2 and len(told) == 1:
            return [self._finding(told[0], answers.probabilities[told[0]])]
        calibrated = {label: float(self._platt(label)(answers.probabilities[label])) for label in head.labels}
        total = sum(calibrated.values())
        winner = max(head.labels, key=lambda label: answers.probabilities[label])
        return [
            Finding(
                label=label,
                probability=round(calibrated[label] / total, _DIGITS),
                raw_probability=round(answers.probabilities[label], _DIGITS),
                # The most probable of several classes holds; there is no value at which one begins to.
                threshold=round(1.0 / len(head.labels), _DIGITS),
                positive=label == winner,
                calibrated=any(label in self.calibration for label in head.labels),
            )
            for label in told
        ]

    def _finding(self, label: str, raw: float) -> Finding:
        point, platt = self.operating_points.get(label, 0.5), self._platt(label)
        return Finding(
            label=label,
            probability=round(float(platt(raw)), _DIGITS),
            raw_probability=round(raw, _DIGITS),
            threshold=round(float(platt(point)), _DIGITS),
            positive=raw >= point,
            calibrated=label in self.calibration,
        )

    def _platt(self, label: str) -> Platt:
        return self.calibration.get(label, Platt())


def mean_of(answers: Sequence[Answers]) -> Answers:
    """Views of one study as one: the mean of every probability and score.

    Raises:
        ValueError: There is no view.
    """
    if not answers:
        raise ValueError("expected at least one view to take the mean of; got none")
    first = answers[0]
    return Answers(
        {label: float(np.mean([view.probabilities[label] for view in answers])) for label in first.probabilities},
        {name: float(np.mean([view.scores[name] for view in answers])) for name in first.scores},
    )
