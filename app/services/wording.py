"""How values are written for people: one way each, so that what stands in two places reads the same."""

from collections.abc import Mapping
from datetime import UTC, datetime

from app.store.records import CaseStatus, Verdict

NOTICE = "Research use only, not a medical device"

# UCUM as people write it; other units are written as they are.
_UNITS = {"1": "", "[hnsf'U]": "HU", "mm2": "mm²", "um": "µm", "um2": "µm²", "1/mm2": "per mm²", "{pixels}": "px"}
_VERDICTS: Mapping[Verdict, str] = {
    "accepted": "accepted",
    "modified": "accepted as modified",
    "rejected": "rejected",
}
_STATUSES: Mapping[CaseStatus, str] = {
    "new": "new",
    "in_review": "in review",
    "decided": "decided",
    "failed": "could not be scored",
}


def number_text(value: float) -> str:
    """A number with a precision that its size calls for.

    Whole numbers have no decimals; others have one from 10 on, two from 1 on, three below 1, and below 0.001 three
    digits that count.
    """
    size = abs(value)
    if value == round(value) and size < 1e15:
        return f"{round(value)}"
    if size < 1e-3 or size >= 1e15:
        return f"{value:.3g}"
    return f"{value:.{1 if size >= 10.0 else 2 if size >= 1.0 else 3}f}"


def quantity_text(value: float | None, unit: str) -> str:
    """A value with its unit.

    Args:
        value: None gives "not measured".
        unit: UCUM; 1 has none.
    """
    if value is None:
        return "not measured"
    return f"{number_text(value)} {unit_text(unit)}".rstrip()


def probability_text(probability: float | None) -> str:
    """A probability with three decimals; nothing that is neither is written as 0 or 1. None gives "none"."""
    if probability is None:
        return "none"
    if 0.0 < probability < 0.0005:
        return "< 0.001"
    if 0.9995 <= probability < 1.0:
        return "> 0.999"
    return f"{probability:.3f}"


def unit_text(unit: str) -> str:
    """A UCUM unit as people write it; 1 gives ""."""
    return _UNITS.get(unit, unit)


def words(name: str) -> str:
    """A name in snake case as words."""
    return name.replace("_", " ").strip()


def verdict_text(verdict: Verdict) -> str:
    """What a reader's verdict is called."""
    return _VERDICTS[verdict]


def status_text(status: CaseStatus) -> str:
    """What the state of a case is called."""
    return _STATUSES[status]


def moment_text(at: datetime) -> str:
    """A moment to the second, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
