"""What the outputs of a classifier say: findings that may occur together, classes of which one holds, scores.

Views of one study are put together by the mean of their probabilities (Rajpurkar et al., "MURA", 2017), the network's
own, before anything is calibrated or called. Operating points are of that probability; a finding is called where it is
reached. What a reader is told is calibrated where the weights' card knows how, and the threshold beside it with it.
"""

import math
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
    def names(self) -> tuple[str, ...]:
        """Of the network's outputs it takes, in order."""
        return self.labels


class ClassesHead(Settings):
    """Classes of which exactly one holds: a softmax."""

    kind: Literal["classes"] = "classes"
    labels: tuple[str, ...] = Field(min_length=2, description="in the order of the outputs")
    negative: str | None = Field(default=None, description="the class that is nobody's finding: normal")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the network's outputs it takes, in order."""
        return self.labels

    @model_validator(mode="after")
    def _names_its_own(self) -> Self:
        if "" in self.labels:
            raise ValueError(f"expected a name for every class; got {list(self.labels)}; name them all")
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
    def names(self) -> tuple[str, ...]:
        """Of the network's output it takes."""
        return (self.name,)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"expected low below high; got {self.low} and {self.high}; swap them")
        return self


AnyHead = FindingsHead | ClassesHead | ScoreHead
Head = Annotated[AnyHead, Field(discriminator="kind")]


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
            Of three classes or more the most probable is called, and they have none.
        calibration: By label. Classes are calibrated one by one and brought back to a sum of 1.
    """

    heads: tuple[AnyHead, ...]
    operating_points: Mapping[str, float] = field(default_factory=dict)
    calibration: Mapping[str, Platt] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs a network must have, in order."""
        return tuple(name for head in self.heads for name in head.names)

    def answers(self, logits: Logits) -> Answers:
        """Take a network's logits (outputs,) apart.

        Raises:
            ValueError: There are more or fewer than the heads take.
        """
        if logits.shape != (len(self.names),):
            raise ValueError(f"expected logits ({len(self.names)},); got shape {logits.shape}")
        probabilities: dict[str, float] = {}
        scores: dict[str, float] = {}
        rest = logits.astype(np.float64)
        for head in self.heads:
            own, rest = rest[: len(head.names)], rest[len(head.names) :]
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
        if len(head.labels) == 2:
            return self._either(head, answers)
        calibrated = {label: float(self._platt(label)(answers.probabilities[label])) for label in head.labels}
        told = {label: p / sum(calibrated.values()) for label, p in calibrated.items()}
        winner = max(head.labels, key=lambda label: told[label])
        findings = []
        for label in head.labels:
            # The most probable of several classes holds: what one of them must reach is the best of the others.
            threshold = _rounded(max(p for other, p in told.items() if other != label))
            positive = label == winner
            findings.append(
                Finding(
                    label=label,
                    probability=_agreeing(told[label], threshold, positive=positive),
                    raw_probability=round(answers.probabilities[label], _DIGITS),
                    threshold=threshold,
                    positive=positive,
                    calibrated=any(label in self.calibration for label in head.labels),
                )
            )
        return [finding for finding in findings if finding.label != head.negative]

    def _either(self, head: ClassesHead, answers: Answers) -> list[Finding]:
        """Two classes: what holds for the one holds for the other the other way round."""
        second = next(label for label in reversed(head.labels) if label != head.negative)
        first = next(label for label in head.labels if label != second)
        point, platt = self.operating_points.get(second), self.calibration.get(second)
        if point is None:
            point = 1.0 - self.operating_points.get(first, 0.5)
        if platt is None and first in self.calibration:
            line = self.calibration[first]
            platt = Platt(line.slope, -line.intercept)
        judge = Judge((), {second: point}, {} if platt is None else {second: platt})
        finding = judge._finding(second, answers.probabilities[second])
        if head.negative is not None:
            return [finding]
        threshold = _rounded(1.0 - finding.threshold)
        other = finding.model_copy(
            update={
                "label": first,
                "probability": _agreeing(1.0 - (finding.probability or 0.0), threshold, positive=not finding.positive),
                "raw_probability": round(answers.probabilities[first], _DIGITS),
                "threshold": threshold,
                "positive": not finding.positive,
            }
        )
        return [other, finding]

    def _finding(self, label: str, raw: float) -> Finding:
        point, platt = self.operating_points.get(label, 0.5), self._platt(label)
        threshold, positive = _rounded(float(platt(point))), raw >= point
        return Finding(
            label=label,
            probability=_agreeing(float(platt(raw)), threshold, positive=positive),
            raw_probability=round(raw, _DIGITS),
            threshold=threshold,
            positive=positive,
            calibrated=label in self.calibration,
        )

    def _platt(self, label: str) -> Platt:
        return self.calibration.get(label, Platt())


def _rounded(threshold: float) -> float:
    """As it is told; never 0, which every probability would reach."""
    return max(round(threshold, _DIGITS), 10.0**-_DIGITS)


def _agreeing(probability: float, threshold: float, *, positive: bool) -> float:
    """A probability as it is told: rounded, but for where that would belie what is called."""
    rounded = round(probability, _DIGITS)
    if (rounded >= threshold) == positive:
        return rounded
    return threshold if positive else min(probability, math.nextafter(threshold, 0.0))


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
