"""`denselens train`: from a YAML and a folder of data to weights with a card."""

import json
import sys
import time
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from datasets.errors import ConfigError
from datasets.layouts import open_dataset
from pipelines.evaluation.document import FigureRecord
from pipelines.planning import write_plan
from pipelines.task import load_task
from pipelines.train import TASK_FILE, Request
from pipelines.training.folds import train_folds
from pipelines.training.records import Row
from pipelines.training.trial import Trial, name_of, train_and_look

_OK = 0
PLAN = "plan.yaml"


def command(
    config: Annotated[str, typer.Argument(help="Name of a YAML in configs/, or the path of one.")],
    data: Annotated[Path, typer.Option(help="A dataset in any layout of docs/datasets.md.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the training; denselens-out/train-<task>-<time> by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: training.steps=500; repeatable."),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="End by then, the schedule through and the held back examples scored.", min=0.1)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in --out.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="How many of them.", min=1)] = 1,
    fold: Annotated[
        str | None, typer.Option(help="Which fold of the patients is held back, from 0; all trains them one by one.")
    ] = None,
    folds: Annotated[int, typer.Option(help="How many folds there are.", min=2)] = 5,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    plan: Annotated[
        bool, typer.Option("--plan", help="Train nothing: read the data and write OUT/plan.yaml to train with.")
    ] = False,
    memory_gib: Annotated[float, typer.Option(help="Of the device, for --plan.", min=1.0)] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Train a task's network on data of your own.

    What is wrong with the data is told before the first step. A training that was broken off, even by a crash, goes on
    with --resume and ends with the weights it would have had. At the end the held back examples are scored through the
    pipeline every door uses, and the figures go into the card of the weights; `denselens evaluate` prints the same.
    """
    started = time.monotonic()
    name = Path(config).stem
    if plan:
        path = (out or Path("denselens-out") / f"plan-{name}") / PLAN
        write_plan(open_dataset(data), load_task(config, settings or ()), memory_gib, path)
        _answer({"plan": str(path)}, f"a plan to read, to change and to train with: {path}", as_json=as_json)
        return _OK
    request = Request(
        config=config,
        data=data,
        out=out or Path("denselens-out") / f"train-{name}-{datetime.now():%Y%m%d-%H%M%S}",
        overrides=tuple(settings or ()),
        resume=resume,
        max_minutes=max_minutes,
        device=device,
        devices=devices,
        seed=seed,
        fold=None if fold in (None, "all") else _number(fold),
        folds=folds,
        started=started,
        make_onlooker=partial(_Bar, quiet=as_json),
    )
    try:
        trials = train_folds(request) if fold == "all" else (train_and_look(request),)
    except KeyboardInterrupt:
        print(f"to go on, give the same command --out {request.out} --resume", file=sys.stderr)
        raise
    _answer(
        {"out": str(request.out), "trials": [_told(trial) for trial in trials]},
        "\n\n".join(_in_words(trial) for trial in trials),
        as_json=as_json,
    )
    return _OK


def _number(fold: str | None) -> int:
    if fold is None or not fold.isdigit():
        raise ConfigError("a fold: a number from 0, or all", str(fold), "correct --fold")
    return int(fold)


def _answer(document: dict[str, Any], words: str, *, as_json: bool) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False) if as_json else words)


def _told(trial: Trial) -> dict[str, Any]:
    return {
        "weights": str(trial.weights),
        "learnt": trial.learnt,
        "held": trial.held,
        "looked_at": trial.looked_at,
        "figures": {name_of(figure): figure.value for figure in trial.figures},
    }


def _in_words(trial: Trial) -> str:
    seen = f"{trial.looked_at} of {trial.held}" if trial.looked_at < trial.held else f"{trial.held}"
    lines = [f"learnt from {trial.learnt} examples; on {seen} that were held back:"]
    lines += [f"  {name_of(figure):<40} {_short(figure)}" for figure in trial.figures] or ["  nothing"]
    task = trial.weights.parent / TASK_FILE
    lines += [
        f"weights and card: {trial.weights}",
        f"to score with them: denselens score INPUT --task {task} --weights {trial.weights}",
    ]
    return "\n".join(lines)


def _short(figure: FigureRecord) -> str:
    if figure.value is None:
        return "undefined"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.4f}"
    return f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"


class _Bar:
    """A bar with the time that is left on a terminal, a line for each look elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet and not sys.stderr.isatty())
        self._progress = Progress(
            TextColumn("stage {task.fields[stage]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  loss {task.fields[loss]:.3f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._bars: dict[int, TaskID] = {}

    def on_step(self, stage: int, share: float, loss: float) -> None:
        """Move the stage's bar."""
        if stage not in self._bars:
            self._progress.start()
            self._bars[stage] = self._progress.add_task("", total=1.0, stage=stage, loss=loss)
        self._progress.update(self._bars[stage], completed=share, loss=loss)
        if share >= 1.0:
            self._progress.stop()

    def on_row(self, row: Row) -> None:
        """Tell what was seen."""
        figures = ", ".join(f"{name} {value:.3f}" for name, value in row.figures.items())
        speed = f"{row.examples_per_s:.1f} examples/s, {row.waiting_share:.0%} waiting"
        text = f"step {row.step}, {row.seconds:.0f} s: loss {row.loss:.4f}; {figures or 'nothing held back'}; {speed}"
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)
