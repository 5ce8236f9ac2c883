"""`evaluation.json`: everything an evaluation found, the same bytes for the same inputs."""

import json
import math
from typing import Any, Literal

from pydantic import Field

from pipelines.document import Document
from pipelines.evaluation.cases import Case, Failure
from pipelines.evaluation.settings import EMPTY_RULES, EvaluationSettings, Kind

SCHEMA = 1
_DIGITS = 10


class FigureRecord(Document):
    """One figure with its interval; `undefined` cases are not among `cases`."""

    label: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    cases: int
    undefined: int
    better: Literal["higher", "lower", "zero"]


class GroupRecord(Document):
    """Figures of the cases of one value of a column; `few` where an interval says little."""

    column: str
    value: str
    patients: int
    cases: int
    few: bool
    figures: tuple[FigureRecord, ...]


class ComparedRecord(Document):
    """One figure of two models on the studies both predicted; the difference is the first less the second."""

    label: str
    metric: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    cases: int
    test: str
    p_value: float | None
    p_permutation: float | None
    p_holm: float | None


class ComparisonRecord(Document):
    """The other predictions, and how both differ."""

    other: dict[str, Any]
    cases: int
    patients: int
    failed: tuple[Failure, ...]
    figures: tuple[ComparedRecord, ...]


class CurveRecord(Document):
    """A curve for the report: `x` and `y` by point, and what they are."""

    label: str
    kind: Literal["roc", "precision_recall", "reliability", "reliability_raw", "froc"]
    x: tuple[float, ...]
    y: tuple[float, ...]
    cases: tuple[int, ...] = Field(default=(), description="of each point of a reliability diagram")


class DataRecord(Document):
    """What was evaluated on; `sha256` is over the names, patients and truths of all cases."""

    name: str
    layout: str
    split: str
    examples: int
    patients: int
    sha256: str
    warnings: tuple[str, ...] = ()


class EvaluationDocument(Document):
    """The whole of it; no times, no paths, no names of people."""

    schema_: int = Field(default=SCHEMA, alias="schema", serialization_alias="schema")
    kind: Kind
    task: str
    version: str
    data: DataRecord
    predictor: dict[str, Any]
    settings: EvaluationSettings
    interval: str
    empty_rules: dict[str, str] = Field(default_factory=lambda: dict(EMPTY_RULES))
    regions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    classes: tuple[str, ...] = ()
    figures: tuple[FigureRecord, ...]
    subgroups: tuple[GroupRecord, ...]
    curves: tuple[CurveRecord, ...]
    confusion: tuple[tuple[int, ...], ...] = ()
    comparison: ComparisonRecord | None
    cases: tuple[Case, ...]
    failed: tuple[Failure, ...]
    research_use_only: Literal[True] = True

    def figure(self, metric: str, label: str | None = None) -> FigureRecord | None:
        """The first figure of a name, of a label where one is given."""
        fitting = (one for one in self.figures if one.metric == metric and label in (None, one.label))
        return next(fitting, None)

    def text(self) -> str:
        """As it is written."""
        content = _rounded(self.model_dump(mode="json", by_alias=True))
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rounded(value: Any) -> Any:
    """Floats to ten digits: beyond those the order in which numbers are added tells machines apart."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    if isinstance(value, float) and value != 0.0 and math.isfinite(value):
        return float(f"{value:.{_DIGITS}g}")
    return value
