"""`denselens explain`: maps of what made a network say what it said, each with the score card that judges it."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.commands.score import Resumption, score_inputs
from datasets.errors import ConfigError
from datasets.io.atomic import write_text
from pipelines.explain.comparison import comparison_csv, comparison_page, judged_of
from pipelines.explain.explaining import Explaining
from pipelines.explain.wanted import Wanted
from pipelines.outputs import RESULT
from pipelines.run import Pipeline
from pipelines.score import Scored
from pipelines.task import load_task

TABLE, PAGE = "explanations.csv", "explanations.html"
_BUDGETS = ("none", "quick", "full")


def command(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="As for denselens score.")],
    task: Annotated[str, typer.Option(help="Name of a YAML in configs/, or the path of one.")],
    method: Annotated[
        list[str], typer.Option(metavar="METHOD", help="Name of a method, repeatable, or all: docs/explanations.md.")
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(help="Of the task, repeatable; by default what is found, or what comes nearest to it."),
    ] = None,
    lesion: Annotated[
        int | None,
        typer.Option(min=1, help="Number of one finding of the label, as result.json tells it: why this lesion."),
    ] = None,
    budget: Annotated[str, typer.Option(help="How thoroughly maps are judged: quick, full or none.")] = "quick",
    out: Annotated[Path | None, typer.Option(help="Output folder; denselens-out/explain-<task>-<time>.")] = None,
    weights: Annotated[str | None, typer.Option(help="Name of shipped weights, or a .safetensors file.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the task; repeatable.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on with a stopped run.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Going on, try again what failed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Score studies and explain what is found in them.

    Leaves what score leaves, and for each label and method a map on the image's own grid, a picture of it and, where
    the source is DICOM, an object that a PACS can show. Every map carries a score card; one that fails it is called not
    faithful, and drawn grey. Several methods make a sheet, explanations.png, in the study's folder; explanations.csv
    and explanations.html compare them over all studies. A stopped run goes on as that of score.
    """
    if budget not in _BUDGETS:
        raise ConfigError(f"--budget {', '.join(_BUDGETS)}", budget, "correct it")
    chosen = load_task(task, settings or ())
    if weights is not None:
        chosen = chosen.model_copy(update={"weights": weights})
    wanted = Wanted.model_validate(
        {"methods": tuple(method), "labels": tuple(label or ()), "lesion": lesion, "budget": budget}
    )
    pipeline = Explaining.of(Pipeline.load(chosen, device), wanted)
    folder = out or Path("denselens-out") / f"explain-{chosen.name}-{datetime.now():%Y%m%d-%H%M%S}"
    compare = partial(_compare, folder=folder, title=f"Explanations of {chosen.name}")
    return score_inputs(inputs, pipeline, folder, Resumption(fresh, retry_failed), as_json=as_json, afterwards=compare)


def _compare(scored: Sequence[Scored], folder: Path, title: str) -> None:
    """Leave the comparison of methods over all studies, where any map was judged."""
    done = [item.entry.folder for item in scored if item.entry.status == "done"]
    judged = judged_of(json.loads((folder / name / RESULT).read_text(encoding="utf-8")) for name in done)
    if judged:
        write_text(folder / TABLE, comparison_csv(judged))
        write_text(folder / PAGE, comparison_page(judged, title))
