"""`denselens score`: studies in, segmentations, findings and measurements out."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from datasets.io.discover import open_inputs
from datasets.study import Study
from pipelines.run import Pipeline
from pipelines.score import MANIFEST, Scored, many
from pipelines.task import load_task

_OK, _SOME_FAILED = 0, 3


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Score studies with a task's network.

    A run that was stopped goes on where it stopped; a study that cannot be scored is told with its reason and does not
    stop the others. The exit code is 0 when all went well and 3 when some studies failed.
    """
    chosen = load_task(task, settings or ())
    if weights is not None:
        chosen = chosen.model_copy(update={"weights": weights})
    folder = out or Path("denselens-out") / f"{chosen.name}-{datetime.now():%Y%m%d-%H%M%S}"
    with open_inputs(inputs) as inventory:
        for repair in inventory.repairs:
            print(f"{repair.code.value}: {repair.message}", file=sys.stderr)
        pipeline = Pipeline.load(chosen, device)
        scored = run(inventory.studies, pipeline, folder, fresh=fresh, quiet=as_json)
    if as_json:
        print((folder / MANIFEST).read_text(encoding="utf-8"), end="")
    else:
        _summarise(scored, folder)
    return _SOME_FAILED if any(item.entry.status == "failed" for item in scored) else _OK


def run(studies: Sequence[Study], pipeline: Pipeline, folder: Path, *, fresh: bool, quiet: bool) -> list[Scored]:
    """Score studies with a progress bar on a terminal and one line per study elsewhere."""
    console = Console(stderr=quiet)
    scored = []
    with _bar(console) as progress:
        bar = progress.add_task("scoring", total=len(studies))
        for item in many(studies, pipeline, folder, fresh=fresh):
            scored.append(item)
            progress.advance(bar)
            if not quiet:
                progress.console.print(_line(item), highlight=False, markup=False, soft_wrap=True)
    return scored


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _line(item: Scored) -> str:
    entry = item.entry
    if entry.status == "failed":
        return f"{entry.study}: failed ({entry.code}): {entry.message}"
    return f"{entry.study}: done before" if item.resumed else f"{entry.study}: done in {entry.seconds:.1f} s"


def _summarise(scored: Sequence[Scored], folder: Path) -> None:
    failed = sum(item.entry.status == "failed" for item in scored)
    told = f"{len(scored) - failed} of {len(scored)} studies scored"
    print(f"{told}{f', {failed} failed' if failed else ''}; results in {json.dumps(str(folder))[1:-1]}")
    print("Research use only, not a medical device.")
