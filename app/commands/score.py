"""`denselens score`: studies in, segmentations, findings and measurements out."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from datasets.errors import ConfigError, InputRefused
from datasets.io.discover import open_inputs
from datasets.study import Study
from pipelines.document import writable
from pipelines.explain.explaining import Explaining
from pipelines.explain.wanted import Wanted
from pipelines.results import ErrorRecord
from pipelines.run import Pipeline
from pipelines.score import MANIFEST, Scored, many
from pipelines.task import load_task

_OK, _SOME_FAILED = 0, 3


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT",
            help="DICOM folders, folders of such folders, .zip, NIfTI, or text files that list them.",
        ),
    ],
    task: Annotated[str, typer.Option(help="Name of a YAML in configs/, or the path of one.")],
    out: Annotated[Path | None, typer.Option(help="Output folder; denselens-out/<task>-<time> by default.")] = None,
    weights: Annotated[str | None, typer.Option(help="Name of shipped weights, or a .safetensors file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the task; repeatable.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on with a stopped run.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Going on, score again what failed: it may have been mended.")
    ] = False,
    explain: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Also explain what is found, as denselens explain does.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Score studies with a task's network.

    A run that was stopped goes on where it stopped when it is given the same --out; a study that cannot be scored is
    told with its reason and does not stop the others. The exit code is 0 when all went well and 3 when some studies
    failed. A study that failed is not tried again unless --retry-failed is given.
    """
    chosen = load_task(task, settings or ())
    if weights is not None:
        chosen = chosen.model_copy(update={"weights": weights})
    # Before the inputs, which may be thousands of files: what is wrong with the call is told at once.
    pipeline = Pipeline.load(chosen, device)
    if explain is not None:
        pipeline = Explaining.of(pipeline, Wanted(methods=(explain,)))
    folder = out or Path("denselens-out") / f"{chosen.name}-{datetime.now():%Y%m%d-%H%M%S}"
    return score_inputs(inputs, pipeline, folder, Resumption(fresh, retry_failed), as_json=as_json)


def score_inputs(
    inputs: Sequence[Path],
    pipeline: Pipeline,
    folder: Path,
    resumption: "Resumption",
    *,
    as_json: bool,
    afterwards: Callable[[Sequence[Scored]], None] = lambda _: None,
) -> int:
    """Score whatever studies inputs hold into a folder, do what is to be done with all of them, and tell how it went.

    Returns:
        The exit code.

    Raises:
        InputRefused: There are no studies in the inputs.
        ConfigError: The folder belongs to another run, or cannot be written to.
    """
    try:
        with open_inputs(inputs) as inventory:
            for repair in inventory.repairs:
                _tell(f"{repair.code.value}: {repair.message}")
            scored = _run_until_interrupted(
                pipeline.task.gather(inventory.studies), pipeline, folder, resumption, quiet=as_json
            )
    except InputRefused as refusal:
        if as_json:
            _print_json({"task": pipeline.task.name, "studies": [], "error": ErrorRecord.of(refusal).model_dump()})
        raise
    with writing_to(folder):
        afterwards(scored)
    if as_json:
        _print_json(_answer(scored, folder))
    else:
        _summarise(scored, folder)
    return _SOME_FAILED if any(item.entry.status == "failed" for item in scored) else _OK


@dataclass(frozen=True)
class Resumption:
    """What becomes of what an earlier run left in the output folder.

    Attributes:
        fresh: All of it is forgotten.
        retry_failed: What failed is scored again.
    """

    fresh: bool = False
    retry_failed: bool = False


GO_ON, START_OVER = Resumption(), Resumption(fresh=True)


def run(
    studies: Sequence[Study], pipeline: Pipeline, folder: Path, resumption: Resumption, *, quiet: bool = False
) -> list[Scored]:
    """Score studies with a progress bar on a terminal and one line per study elsewhere.

    Raises:
        ConfigError: As `pipelines.score.many`, or the folder cannot be written to any more.
    """
    console = Console(stderr=quiet)
    scored = []
    with _bar(console) as progress:
        bar = progress.add_task("scoring", total=len(studies))
        for item in _scored(studies, pipeline, folder, resumption):
            scored.append(item)
            progress.advance(bar)
            if not quiet:
                progress.console.print(_line(item), highlight=False, markup=False, soft_wrap=True)
    return scored


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Tell what the system refuses while results are written as something the caller can put right.

    Raises:
        ConfigError: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            "an output folder that can be written to",
            f"{folder}: {error.strerror or error}",
            "make room there, or choose another --out",
        ) from error


def _run_until_interrupted(
    studies: Sequence[Study], pipeline: Pipeline, folder: Path, resumption: Resumption, *, quiet: bool
) -> list[Scored]:
    try:
        return run(studies, pipeline, folder, resumption, quiet=quiet)
    except KeyboardInterrupt:
        # The default folder is named after the time: the same command alone would start a new one.
        _tell(f"to go on, give the same command --out {folder}{' without --fresh' if resumption.fresh else ''}")
        raise


def _scored(studies: Sequence[Study], pipeline: Pipeline, folder: Path, resumption: Resumption) -> Iterator[Scored]:
    with writing_to(folder):
        yield from many(studies, pipeline, folder, fresh=resumption.fresh, retry_failed=resumption.retry_failed)


def _bar(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _line(item: Scored) -> str:
    entry, before = item.entry, " before" if item.resumed else ""
    if entry.status == "failed":
        return _one_line(f"{entry.study}: failed{before} ({entry.code}): {entry.message}")
    return _one_line(f"{entry.study}: done{before or f' in {entry.seconds:.1f} s'}")


def _one_line(text: str) -> str:
    """Names of files may hold anything: line breaks, escape sequences, bytes that are no UTF-8."""
    return "".join(c if c.isprintable() else " " for c in writable(text))


def _tell(text: str) -> None:
    print(_one_line(text), file=sys.stderr)


def _answer(scored: Sequence[Scored], folder: Path) -> dict[str, Any]:
    """The manifest, where it lies, and how each study ended."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    studies = [asdict(item.entry) | {"resumed": item.resumed} for item in scored]
    return manifest | {"out": writable(str(folder)), "studies": studies}


def _print_json(document: dict[str, Any]) -> None:
    # In ASCII, so that every name can be printed wherever standard output leads.
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()


def _summarise(scored: Sequence[Scored], folder: Path) -> None:
    failed = sum(item.entry.status == "failed" for item in scored)
    told = f"{len(scored) - failed} of {len(scored)} studies scored"
    print(_one_line(f"{told}{f', {failed} failed' if failed else ''}; results in {folder}"))
    print("Research use only, not a medical device.")
