"""What a measurement report says, in plain words and numbers: whoever has findings can have them written."""

from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Literal, get_args

from datasets.io.seg_object import Making
from datasets.labels import CodedConcept, Label

Verdict = Literal["accepted", "modified", "rejected"]


@dataclass(frozen=True)
class Measure:
    """One measured value.

    Attributes:
        name: What was measured, in snake case, such as "longest_axial_diameter".
        value: Finite; None where it could not be measured, which leaves it out of the report.
        unit: UCUM.

    Raises:
        ValueError: The value is not finite, or the unit is missing.
    """

    name: str
    value: float | None
    unit: str

    def __post_init__(self) -> None:
        if self.value is not None and not isfinite(self.value):
            raise ValueError(f"expected a finite {self.name}; got {self.value}")
        if not self.unit:
            raise ValueError(f"expected a UCUM unit of {self.name}; got none (1 where it has none)")


@dataclass(frozen=True)
class Assessment:
    """How sure the network is, and what is called of it.

    Attributes:
        probability: From 0 to 1, as it is told; None where there is none.
        threshold: From which probability on it is called.
        positive: Whether it is called.
        calibrated: Whether probability and threshold are calibrated.
        raw_probability: The network's own, before calibration; None where that is not told.
    """

    probability: float | None
    threshold: float
    positive: bool
    calibrated: bool
    raw_probability: float | None = None


@dataclass(frozen=True)
class Decision:
    """What a reader made of a statement. It does not verify the report, which is another act and another person's.

    Attributes:
        verdict: "modified" means that the statement stands as the reader changed it.
        reader: Who decided, as the reader's own system names them; not empty.
        at: When, with a time zone.
        reason: In the reader's words; "" where none was given.
        code: Why, coded, in snake case; "" where that was not said.
        said_to_be: What the reader calls it; "" where that is what the statement says.

    Raises:
        ValueError: The verdict is none of the three, nobody decided, or the time has no zone.
    """

    verdict: Verdict
    reader: str
    at: datetime
    reason: str = ""
    code: str = ""
    said_to_be: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in get_args(Verdict):
            raise ValueError(f"expected a verdict of {', '.join(get_args(Verdict))}; got {self.verdict!r}")
        if not self.reader.strip():
            raise ValueError("expected the name of a reader; got none")
        if self.at.utcoffset() is None:
            raise ValueError(f"expected a time with its zone; got {self.at.isoformat()}")


@dataclass(frozen=True)
class Statement:
    """A finding, or what was measured of a label or of the whole study: one measurement group.

    Attributes:
        label: What it is about; a name alone where it has no coded concept, None for the whole study.
        number: Which of several of the label, from 1; None where it is about all of it.
        measures: Their names differ.
        assessment: What is called; None of something that was only measured.
        segments: Numbers of the segments, in the segmentation beside the report, that the measures were taken from.
        alone: Whether that is one segment and holds this and nothing else, so that it can stand for it.
        centre_mm: Centroid in the patient, RAS mm.
        site: Where in the body it is, coded; None where that goes without saying.
        decision: What a reader made of it; None where nobody has decided.
        by_reader: Whether a reader says it, and no algorithm does.

    Raises:
        ValueError: Several segments, or none, are said to stand for it.
    """

    label: Label | str | None
    number: int | None = None
    measures: tuple[Measure, ...] = ()
    assessment: Assessment | None = None
    segments: tuple[int, ...] = ()
    alone: bool = False
    centre_mm: tuple[float, float, float] | None = None
    site: CodedConcept | None = None
    decision: Decision | None = None
    by_reader: bool = False

    def __post_init__(self) -> None:
        if self.alone and len(self.segments) != 1:
            raise ValueError(f"expected one segment that stands for {self.tracking}; got {self.segments}")

    @property
    def name(self) -> str:
        """The label's name; "study" without a label."""
        if self.label is None:
            return "study"
        return self.label if isinstance(self.label, str) else self.label.name

    @property
    def tracking(self) -> str:
        """What tells it from the others of a report, for people: "liver_tumor 2", "liver, measured as a whole"."""
        named = self.name if self.number is None else f"{self.name} {self.number}"
        if self.by_reader:
            return f"{named}, by a reader"
        return f"{self.name}, measured as a whole" if self.assessment is None else named


@dataclass(frozen=True)
class ReportDescription:
    """What a report says about a study, and how it came to be.

    Attributes:
        task: Name of the task; part of every statement's identity.
        making: What made the statements.
        statements: In the order in which they are told; their `tracking` differs.
        remarks: Sentences that whoever reads the report has to know: what should not be trusted, and why.
        complete: False where something is still to come, such as a reader's decisions.
        series_number: Number of the new series within the study, positive.

    Raises:
        ValueError: Two statements cannot be told apart.
    """

    task: str
    making: Making
    statements: tuple[Statement, ...] = ()
    remarks: tuple[str, ...] = ()
    complete: bool = True
    series_number: int = 9201

    def __post_init__(self) -> None:
        names = [statement.tracking for statement in self.statements]
        if len(set(names)) != len(names):
            raise ValueError(f"expected statements that can be told apart; got {names}")
