"""`denselens audit`: what is wrong with a dataset before training on it, and fixes applied to a copy."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from app.commands.score import writing_to
from datasets.audit.auditing import audit
from datasets.audit.fixing import REPORT, Change, fix_copy
from datasets.defects import Defect
from datasets.errors import ConfigError
from datasets.example import Dataset
from datasets.labels import LabelSet
from datasets.layouts import open_dataset
from pipelines.document import writable
from pipelines.task import load_task

SCHEMA = 1
_OK, _ERRORS_FOUND = 0, 3
_STYLES = {"error": "bold red", "warning": "yellow"}


def command(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset in any layout of docs/datasets.md.")],
    layout: Annotated[str | None, typer.Option(help="Its layout, where several fit.")] = None,
    task: Annotated[str | None, typer.Option(help="A task that is to learn from it: are its labels there?")] = None,
    workers: Annotated[int, typer.Option(help="Processes that read.", min=1)] = 1,
    fixes: Annotated[
        list[str] | None,
        typer.Option("--fix", metavar="NAME", help="Apply a fix that the audit names to a copy; repeatable, or all."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the corrected copy, which must not be there yet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Tell what is wrong with a dataset before anything is learnt from it.

    Every case is read. Errors stop a training, warnings are told; the dataset itself is never written to. With --fix
    and --out a corrected copy is made in the same layout, with audit.json that tells every change.

    The exit code is 0 when there are no errors and 3 when there are some, whether or not a copy was made.
    """
    if bool(fixes) != (out is not None):
        raise ConfigError("--fix together with --out", "one without the other", "name the fix and the copy's folder")
    wanted = _labels(task)
    dataset = open_dataset(data, layout)
    with _bar(as_json) as progress:
        bar = progress.add_task("reading", total=len(dataset.examples))
        defects = audit(
            dataset, wanted=wanted, workers=workers, told=lambda done, _: progress.update(bar, completed=done)
        )
    changes: tuple[Change, ...] = ()
    if fixes and out is not None:
        with writing_to(out):
            changes = fix_copy(dataset, data, defects, fixes, out)
    if as_json:
        json.dump(document(dataset, defects, changes), sys.stdout, indent=2, allow_nan=False)
        print()
    else:
        _show(dataset, defects, Console())
        _show_changes(changes, out)
    return _ERRORS_FOUND if any(defect.gravity == "error" for defect in defects) else _OK


def document(dataset: Dataset, defects: Sequence[Defect], changes: Sequence[Change] = ()) -> dict[str, Any]:
    """The audit as plain values, which is what `--json` prints."""
    counts = Counter(defect.gravity for defect in defects)
    return {
        "schema": SCHEMA,
        "dataset": writable(dataset.name),
        "layout": dataset.layout,
        "examples": len(dataset.examples),
        "labels": list(dataset.labels),
        "counts": {"error": counts["error"], "warning": counts["warning"]},
        "defects": [_plain(asdict(defect)) for defect in defects],
        "changes": [_plain(asdict(change)) for change in changes],
        "research_use_only": True,
    }


def _labels(task: str | None) -> LabelSet | None:
    if task is None:
        return None
    labels = load_task(task).label_set
    return labels if labels.labels else None


def _plain(value: Any) -> Any:
    """Names of files may hold bytes that are no UTF-8."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return writable(str(value))


@contextmanager
def _bar(quiet: bool) -> Iterator[Progress]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        yield progress


def _show(dataset: Dataset, defects: Sequence[Defect], console: Console) -> None:
    if defects and console.is_terminal:
        console.print(_table(defects))
    for defect in () if console.is_terminal else defects:
        fix = f" [fix: {defect.fix}]" if defect.fix else ""
        line = f"{defect.gravity} {defect.code} {defect.where or '(the set)'}: {defect.found}; {defect.advice}{fix}"
        console.print(_line(line), soft_wrap=True)
    counts = Counter(defect.gravity for defect in defects)
    told = (
        f"{len(dataset.examples)} examples ({dataset.layout}): {counts['error']} errors, {counts['warning']} warnings"
    )
    console.print(_line(told), soft_wrap=True)


def _table(defects: Sequence[Defect]) -> Table:
    table = Table("gravity", "code", "where", "found", "what to do", "fix")
    for defect in defects:
        cells = (defect.gravity, str(defect.code), defect.where or "(the set)", defect.found, defect.advice, defect.fix)
        table.add_row(*(_line(cell) for cell in cells), style=_STYLES[defect.gravity])
    return table


def _show_changes(changes: Sequence[Change], out: Path | None) -> None:
    for change in changes:
        said = change.done or f"not done: {change.why_not}"
        print(_line(f"{change.defect.where}: {change.defect.fix}: {said}").plain)
    if out is not None:
        print(_line(f"copy in {out}, what was changed in {out / REPORT}").plain)


def _line(text: str) -> Text:
    return Text("".join(c if c.isprintable() else " " for c in writable(text)))
