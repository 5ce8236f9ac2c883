"""The review record as JSON: everything that was said, in full precision; `docs/review-record.md` tells the keys."""

import json
from typing import Any

from app.services.exports.export import Export, file_name
from app.services.record import CaseRecord, Edit, Row
from app.services.wording import NOTICE
from app.store.records import Review
from pipelines.document import writable

SCHEMA = 1

# What an installation knows of a case and nobody else: where files lie, and who has it open.
_OWN = {"folder", "claimed_by", "claimed_until", "reviews", "findings", "flags"}


def as_json(record: CaseRecord) -> Export:
    """The record as a JSON document in UTF-8; the same record gives the same bytes."""
    text = json.dumps(document_of(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return Export(file_name(record, "-review.json"), "application/json", writable(text).encode())


def document_of(record: CaseRecord) -> dict[str, Any]:
    """What stands in the JSON document."""
    result, standing = record.result, record.standing
    # Where a study came from is a path, and people put names into paths.
    study = result.study.model_dump(mode="json", exclude={"source"})
    return {
        "schema": SCHEMA,
        "research_use_only": True,
        "notice": NOTICE,
        "case": record.case.model_dump(mode="json", exclude=_OWN),
        "result": {
            "digest": record.case.result_sha256,
            "study": study,
            "task": result.task,
            "model": result.model.model_dump(mode="json"),
            "quality": [flag.model_dump(mode="json") for flag in result.quality],
            "error": None if result.error is None else result.error.model_dump(mode="json"),
        },
        "findings": [_finding(row) for row in record.rows if row.kind != "measured"],
        "measurements": [_measured(row) for row in record.rows if row.kind == "measured"],
        "edited_mask": None if record.edit is None else _edit(record.edit, standing),
        "standing_review": None if standing is None else standing.number,
        "in_conflict": record.in_conflict,
        "reviews": [_review(review, record) for review in record.reviews],
    }


def _finding(row: Row) -> dict[str, Any]:
    said, decided = row.finding, row.decided
    network = None if said is None else said.model_dump(mode="json", exclude={"label"})
    return {
        "finding": row.number,
        "label": row.label,
        "name": row.name,
        "added_by_reader": row.kind == "added",
        "network": network,
        "decision": None
        if decided is None
        else decided.decision.model_dump(mode="json", exclude={"finding"})
        | {"reader": decided.reader, "at": decided.at.isoformat(), "review": decided.review},
    }


def _measured(row: Row) -> dict[str, Any]:
    quantities = [quantity.model_dump(mode="json", exclude={"label"}) for quantity in row.quantities]
    return {"label": row.label or None, "quantities": quantities}


def _edit(edit: Edit, review: Review | None) -> dict[str, Any]:
    return {
        "review": None if review is None else review.number,
        "sha256": None if review is None else review.mask_sha256,
        "changed_voxels": edit.changed,
        "volumes": [{"label": one.label, "edited_ml": one.ml, "network_ml": one.before_ml} for one in edit.volumes],
    }


def _review(review: Review, record: CaseRecord) -> dict[str, Any]:
    said = review.model_dump(mode="json", exclude={"case"})
    return said | {"of_this_result": record.on_this_result(review)}
