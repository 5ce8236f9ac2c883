"""The review record as a table: a row for each finding and each of its quantities, numbers in full precision."""

from collections.abc import Iterator

from app.services.csv_text import Cell, csv_bytes
from app.services.exports.export import Export, file_name
from app.services.record import CaseRecord, Row
from app.services.wording import NOTICE

COLUMNS = (
    *("study", "task", "result_sha256", "status", "in_conflict", "kind", "finding", "label", "component"),
    *("quantity", "value", "unit", "probability", "raw_probability", "operating_point", "called", "calibrated"),
    *("verdict", "said_to_be", "reason", "text", "reader", "at", "review", "notice"),
)


def as_csv(record: CaseRecord) -> Export:
    """The record as CSV, as `csv_bytes` writes it; the first row is about the case and is always there."""
    return Export(file_name(record, "-review.csv"), "text/csv", csv_bytes(COLUMNS, _rows(record)))


def _rows(record: CaseRecord) -> Iterator[dict[str, Cell]]:
    case = record.case
    shared: dict[str, Cell] = {
        "study": case.study_uid,
        "task": case.task,
        "result_sha256": case.result_sha256,
        "status": case.status,
        "in_conflict": record.in_conflict,
        "notice": NOTICE,
    }
    yield shared | _case(record)
    for row in record.rows:
        said = shared | _said(row)
        yield from (said | _quantity(one.name, one.value, one.unit) for one in row.quantities)
        if not row.quantities:
            yield said
    for volume in record.edit.volumes if record.edit else ():
        label: dict[str, Cell] = {"kind": "edited_mask", "label": volume.label}
        yield shared | label | _quantity("volume", volume.ml, "ml")
        yield shared | label | _quantity("volume_before_editing", volume.before_ml, "ml")


def _case(record: CaseRecord) -> dict[str, Cell]:
    stands, error = record.standing, record.result.error
    said: dict[str, Cell] = {"kind": "case", "reason": error.code if error else ""}
    if error is not None:
        said["text"] = error.message
    if stands is not None:
        said |= {"text": stands.comment, "reader": stands.reader, "at": stands.at.isoformat(), "review": stands.number}
    return said


def _said(row: Row) -> dict[str, Cell]:
    said: dict[str, Cell] = {"kind": row.kind, "finding": row.number, "label": row.label, "component": row.component}
    if row.finding is not None:
        said |= {
            "probability": row.finding.probability,
            "raw_probability": row.finding.raw_probability,
            "operating_point": row.finding.threshold,
            "called": row.finding.positive,
            "calibrated": row.finding.calibrated,
        }
    if row.decided is not None:
        decision = row.decided.decision
        said |= {
            "verdict": decision.verdict,
            "said_to_be": decision.label,
            "reason": decision.reason,
            "text": decision.text,
            "reader": row.decided.reader,
            "at": row.decided.at.isoformat(),
            "review": row.decided.review,
        }
    return said


def _quantity(name: str, value: float | None, unit: str) -> dict[str, Cell]:
    return {"quantity": name, "value": value, "unit": unit}
