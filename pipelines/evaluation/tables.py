"""`cases.csv`: one row per study, what was compared in columns."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from pipelines.evaluation.cases import Case, Failure

_LEFT_OUT = {"label", "lesions", "found_scores", "invented_scores"}


def case_table(cases: Sequence[Case], failed: Sequence[Failure]) -> str:
    """The table: name, patient, groups, then `<label>_<figure>`; studies that failed have a code and nothing else."""
    rows = [_row(case) for case in cases]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    first = ["study", "patient", "code", "message"]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*first, *(key for key in columns if key not in first)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    writer.writerows({"study": one.name, "code": one.code, "message": one.message} for one in failed)
    return text.getvalue()


def _row(case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {"study": case.name, "patient": case.patient}
    row |= {f"group_{name}": value for name, value in case.groups.items()}
    for mask in case.masks:
        row |= _columns(mask.label, mask.model_dump())
        if mask.lesions is not None:
            row |= _columns(f"{mask.label}_lesions", mask.lesions.model_dump())
    if case.instances is not None:
        row |= _columns(case.instances.label, case.instances.model_dump())
    for finding in case.findings:
        row |= _columns(finding.label, finding.model_dump())
    for score in case.scores:
        row |= _columns(score.label, score.model_dump())
    if case.classes is not None:
        row |= {"true_class": case.classes.truth, "called_class": case.classes.called}
        row |= {f"probability_{at}": value for at, value in enumerate(case.classes.probabilities)}
    return row


def _columns(label: str, values: dict[str, Any]) -> dict[str, Any]:
    return {f"{label}_{key}": _told(value) for key, value in values.items() if key not in _LEFT_OUT}


def _told(value: Any) -> Any:
    return float(f"{value:.10g}") if isinstance(value, float) else value
