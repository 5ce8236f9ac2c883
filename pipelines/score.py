"""Scoring one study, and many: one broken study never stops the others, and an interrupted run goes on."""

import csv
import hashlib
import io
import json
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets.errors import DenseLensError, InputRefused, WeightsError
from datasets.io.atomic import write_text
from datasets.study import Study
from pipelines.document import writable
from pipelines.journal import Entry, Journal
from pipelines.outputs import RESULT, folder_name, write_result
from pipelines.results import ErrorRecord, FailureCode, Result
from pipelines.run import Pipeline, record_of

_LOG = logging.getLogger(__name__)

MANIFEST = "manifest.json"
TABLE = "results.csv"
_FIRST_COLUMNS = ("study", "status", "code", "message", "seconds")


@dataclass(frozen=True)
class Scored:
    """One study of a run, for whoever shows progress.

    Attributes:
        entry: How it ended.
        resumed: Whether an earlier, interrupted run had finished it.
    """

    entry: Entry
    resumed: bool


def one(study: Study, pipeline: Pipeline) -> Result:
    """Score one study: the call behind every door.

    Returns:
        The result, or a result with `error` and no findings when the study was refused.
    """
    try:
        return pipeline.run(study)
    except InputRefused as refusal:
        return failed(study, pipeline, ErrorRecord.of(refusal))


def failed(study: Study, pipeline: Pipeline, error: ErrorRecord) -> Result:
    """The result of a study that could not be scored."""
    return Result(
        study=record_of(study),
        task=pipeline.task.name,
        model=pipeline.model,
        device=pipeline.compute.device,
        error=error,
    )


def many(
    studies: Sequence[Study], pipeline: Pipeline, out: Path, *, fresh: bool = False, retry_failed: bool = False
) -> Iterator[Scored]:
    """Score studies one by one into a folder, going on where an interrupted run stopped.

    Nothing happens before the first item is asked for. The manifest and the table are written at the end; a run that
    is cut short leaves them as they were, and its journal is what the next one reads.

    Args:
        studies: What to score, in the order of the table; each uid once.
        pipeline: The task with its network, loaded once.
        out: Output folder.
        fresh: Forget what an earlier run finished there.
        retry_failed: Score again what failed there, because what made it fail may have been mended.

    Yields:
        Each study as it ends.

    Raises:
        ConfigError: The folder belongs to a run with other settings or weights, or cannot be written to.
        ValueError: Two studies have one uid, and would overwrite each other.
    """
    if len({study.uid for study in studies}) < len(studies):
        raise ValueError(f"expected studies with different uids; got {[study.uid for study in studies]}")
    started = datetime.now(UTC)
    journal = Journal(out, run_key(pipeline), fresh=fresh)
    entries = []
    for study in studies:
        entry = journal.get(study.uid)
        retry = retry_failed and entry is not None and entry.status == "failed"
        resumed = entry is not None and not retry and _is_finished(entry, study, out)
        if entry is None or not resumed:
            entry = _score_into(study, pipeline, out)
            journal.append(entry)
        entries.append(entry)
        yield Scored(entry, resumed)
    write_text(out / TABLE, writable(table([(entry, _read_result(out, entry)) for entry in entries])))
    manifest = _manifest(studies, pipeline, entries, started)
    write_text(out / MANIFEST, writable(json.dumps(manifest, indent=2, ensure_ascii=False)) + "\n")


def run_key(pipeline: Pipeline) -> str:
    """What must be the same for results to stand in one folder: version, task settings and weights."""
    model = pipeline.model
    identity = f"{model.version}\n{pipeline.task.digest}\n{model.weights_sha256}\n{model.localiser_sha256}"
    # Written only where there are any, so that folders of runs without them stay what they were.
    if model.assistants_sha256:
        identity += f"\n{sorted(model.assistants_sha256.items())}"
    if pipeline.asked:
        identity += f"\n{json.dumps(pipeline.asked, sort_keys=True)}"
    return hashlib.sha256(identity.encode()).hexdigest()


def table(rows: Sequence[tuple[Entry, dict[str, Any]]]) -> str:
    """The CSV of a run: one row per study; the columns of findings and quantities are those that occur.

    A quantity's column is `<label>_<name>_<unit>`, a finding's `<label>_<number>_<what>`. No studies give a header.
    """
    flat = [_flatten(document) for _, document in rows]
    columns = list(dict.fromkeys(key for values in flat for key in values))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIRST_COLUMNS, *columns], restval="", lineterminator="\n")
    writer.writeheader()
    for (entry, _), values in zip(rows, flat, strict=True):
        first = {name: getattr(entry, name) for name in _FIRST_COLUMNS}
        writer.writerow(first | values)
    return text.getvalue()


def _score_into(study: Study, pipeline: Pipeline, out: Path) -> Entry:
    start = time.perf_counter()
    folder = folder_name(study.uid)
    try:
        result = one(study, pipeline)
        result = write_result(result, pipeline.task, out / folder)
    except DenseLensError as refusal:
        # Settings or weights that do not get along with this study; the next one may be another matter.
        code = FailureCode.WEIGHTS_ERROR if isinstance(refusal, WeightsError) else FailureCode.CONFIG_ERROR
        error = ErrorRecord(code=code.value, message=refusal.message, advice=refusal.advice)
        result = write_result(failed(study, pipeline, error), pipeline.task, out / folder)
    except Exception:  # noqa: BLE001 (the guard of this door: a bug in one study must not cost the thousand others)
        incident = uuid.uuid4().hex[:8]
        _LOG.exception("incident %s in study %s", incident, study.uid)
        error = ErrorRecord(
            code=FailureCode.INTERNAL_ERROR.value,
            message=f"a bug in this program, incident {incident}",
            advice="report it with the log; the other studies are not affected",
        )
        result = write_result(failed(study, pipeline, error), pipeline.task, out / folder)
    return Entry(
        study=study.uid,
        source=study.source,
        folder=folder,
        status="failed" if result.error else "done",
        code=result.error.code if result.error else "",
        message=result.error.message if result.error else "",
        digest=result.result_digest,
        seconds=round(time.perf_counter() - start, 3),
    )


def _is_finished(entry: Entry, study: Study, out: Path) -> bool:
    """Whether an earlier run ended this very study, well or not, and what it wrote still stands."""
    if entry.source != study.source:
        return False
    try:
        return bool(_read_result(out, entry).get("result_digest") == entry.digest)
    except (OSError, ValueError):
        return False


def _read_result(out: Path, entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / entry.folder / RESULT).read_text(encoding="utf-8"))
    return document


def _flatten(document: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for quantity in document["quantities"]:
        values[_column(quantity.get("label"), quantity["name"], quantity["unit"])] = quantity["value"]
    for finding in document["findings"]:
        location = finding["location"] or {}
        prefix = "_".join(str(part) for part in (finding["label"], location.get("component")) if part is not None)
        values[f"{prefix}_probability"] = finding["probability"]
        values[f"{prefix}_positive"] = finding["positive"]
        for quantity in finding["quantities"]:
            values[_column(prefix, quantity["name"], quantity["unit"])] = quantity["value"]
    return values


def _column(label: str | None, name: str, unit: str) -> str:
    # UCUM writes counts as "1" and Hounsfield units in brackets; a column name has no use for either.
    shown = {"1": "", "[hnsf'U]": "hu"}.get(unit, unit)
    return "_".join(part for part in (label, name, shown) if part)


def _manifest(
    studies: Sequence[Study], pipeline: Pipeline, entries: Sequence[Entry], started: datetime
) -> dict[str, Any]:
    failures = [entry.code for entry in entries if entry.status == "failed"]
    return {
        "version": version("denselens"),
        "task": pipeline.task.name,
        "config": pipeline.task.model_dump(mode="json"),
        "weights_sha256": pipeline.model.weights_sha256,
        "model": pipeline.model.model_dump(mode="json"),
        "device": pipeline.compute.device,
        "precision": pipeline.compute.precision,
        **pipeline.asked,
        "inputs": [study.source for study in studies],
        "counts": {
            "studies": len(entries),
            "done": len(entries) - len(failures),
            "failed": len(failures),
            "by_code": {code: failures.count(code) for code in sorted(set(failures))},
        },
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "research_use_only": True,
    }
