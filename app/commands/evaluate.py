"""`denselens evaluate`: predictions beside a reference, with intervals, tests and a report."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.commands.score import writing_to
from datasets.errors import ConfigError, DenseLensError
from datasets.example import Dataset, Example
from datasets.io.atomic import write_text
from datasets.layouts import open_dataset
from pipelines.document import writable
from pipelines.evaluation.cases import Case, Failure
from pipelines.evaluation.document import EvaluationDocument, FigureRecord
from pipelines.evaluation.evaluating import Evaluation, Output, Wanted, evaluate
from pipelines.evaluation.predictors import PipelinePredictor, open_predictions
from pipelines.evaluation.report import report
from pipelines.evaluation.said import Predictor
from pipelines.evaluation.settings import EvaluationSettings
from pipelines.evaluation.tables import case_table
from pipelines.task import Task, load_task
from pipelines.training.parts import parts_beside, with_parts

EVALUATION, CASES, REPORT = "evaluation.json", "cases.csv", "report.html"
_OK, _SOME_FAILED = 0, 3


def command(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Name of a YAML in configs/, or the path of one.")],
    data: Annotated[Path, typer.Option(help="A dataset with its truth, in any known layout.")],
    weights: Annotated[str | None, typer.Option(help="Name of shipped weights, or a .safetensors file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder; denselens-out/evaluate-<task>-<time>.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Predictions to judge instead: label maps named as the examples, what score wrote, a CSV."),
    ] = None,
    compare: Annotated[Path | None, typer.Option(help="A second set of predictions, for paired tests.")] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="test, validation, train or all; by default test if there is one, else what the training of the "
            "weights held back, else all."
        ),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=LABEL", help="What a name of the dataset is in the task; repeatable."),
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Of the normalised surface Dice, mm (px without spacing).")] = 2.0,
    replicates: Annotated[int, typer.Option(help="Bootstrap samples of the intervals.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the task; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of going on with a stopped run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole evaluation on standard output.")] = False,
) -> int:
    """Compare predictions with a reference: figures with intervals over patients, tests, a report.

    Predictions are made on the way, by the path every door uses, or read with --predictions. A run that was stopped
    goes on where it stopped when it is given the same --out. The exit code is 0 when all studies could be compared and
    3 when some could not, each with its coded reason.
    """
    if weights is not None and predictions is not None:
        raise ConfigError("--weights or --predictions", "both", "leave one of them out")
    chosen = load_task(config, settings or ())
    if weights is not None:
        chosen = chosen.model_copy(update={"weights": weights})
    rules = EvaluationSettings(
        tolerance=_not_below("--tolerance", tolerance, 0.0),
        replicates=int(_not_below("--replicates", replicates, 100)),
        seed=int(_not_below("--seed", seed, 0)),
        renamed=_pairs(renamed or ()),
    )
    folder = out or Path("denselens-out") / f"evaluate-{chosen.name}-{datetime.now():%Y%m%d-%H%M%S}"
    dataset, wanted = _parted(open_dataset(data), weights, _split(split))
    try:
        task, predictor = _predictor(chosen, predictions, device, dataset)
        other = None if compare is None else open_predictions(compare, task.label_set)
        evaluation = Evaluation.of(dataset, task, rules, wanted)
        document = _run(evaluation, predictor, other, Output(folder, fresh), quiet=as_json)
    except DenseLensError as error:
        if as_json:
            told = {"error": {"code": "config_error", "message": writable(str(error))}}
            print(json.dumps({"schema": 1, "task": chosen.name} | told))
        raise
    _write(document, folder)
    if as_json:
        sys.stdout.write(json.dumps(json.loads(document.text()), indent=2) + "\n")
    else:
        _show(document, folder)
    return _SOME_FAILED if document.failed else _OK


def _parted(dataset: Dataset, weights: str | None, wanted: Wanted | None) -> tuple[Dataset, Wanted | None]:
    """The dataset as the training of the weights parted it, if that is known, and which part is compared.

    What was learnt from says nothing: where the set has no test split, those held back are compared.
    """
    parts = parts_beside(Path(weights)) if weights is not None else None
    if parts is None:
        return dataset, wanted
    held_alone = wanted is None and not parts.test and parts.validation
    return with_parts(dataset, parts), "validation" if held_alone else wanted


def _write(document: EvaluationDocument, folder: Path) -> None:
    with writing_to(folder):
        write_text(folder / EVALUATION, writable(document.text()))
        write_text(folder / CASES, writable(case_table(document.cases, document.failed)))
        write_text(folder / REPORT, writable(report(document)))


def _predictor(task: Task, predictions: Path | None, device: str, dataset: Dataset) -> tuple[Task, Predictor]:
    """Who is judged, and the task as its weights know it."""
    if predictions is not None:
        return task, open_predictions(predictions, task.label_set)
    predictor = PipelinePredictor.load(task, device, dataset)
    return predictor.task, predictor


def _run(
    evaluation: Evaluation, predictor: Predictor, other: Predictor | None, output: Output, *, quiet: bool
) -> EvaluationDocument:
    console = Console(stderr=True)
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(evaluation.examples) * (1 if other is None else 2))

        def ended(example: Example, case: Case | Failure, before: bool) -> None:
            progress.advance(bar)
            if isinstance(case, Failure):
                progress.console.print(_line(f"{case.name}: {case.code}: {case.message}"), markup=False, soft_wrap=True)
            elif not quiet and not console.is_terminal:
                print(_line(f"{example.name}: compared{' before' if before else ''}"), file=sys.stderr)

        with writing_to(output.folder):
            return evaluate(evaluation, predictor, other, output, ended)


def _split(split: str | None) -> Wanted | None:
    known: tuple[Wanted, ...] = ("test", "validation", "train", "all")
    if split is None:
        return None
    for one in known:
        if one == split:
            return one
    raise ConfigError(f"--split {', '.join(known)}", split, "correct it")


def _pairs(renamed: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for told in renamed:
        name, mark, label = told.partition("=")
        if not mark or not name or not label:
            raise ConfigError("--label NAME=LABEL", told, "correct it")
        pairs[name] = label
    return pairs


def _not_below(option: str, value: float, least: float) -> float:
    if not value >= least:
        raise ConfigError(f"{option} of at least {least:g}", f"{value:g}", "correct it")
    return value


def _show(document: EvaluationDocument, folder: Path) -> None:
    for warning in document.data.warnings:
        print(_line(f"warning: {warning}"))
    width = max(len(figure.metric) for figure in document.figures) if document.figures else 0
    for label in dict.fromkeys(figure.label for figure in document.figures):
        print(_line(label or "all labels"))
        for figure in document.figures:
            if figure.label == label:
                print(_line(f"  {figure.metric:<{width}}  {_told(figure)}"))
    if document.comparison is not None:
        print(_line(f"beside the other predictions, on {document.comparison.cases} studies:"))
        for one in document.comparison.figures:
            p_value = "" if one.p_value is None else f"  p = {one.p_value:.3g} ({one.test})"
            value = "undefined" if one.difference is None else f"{one.difference:+.4f}"
            print(_line(f"  {one.label or 'all labels'} {one.metric}: {value}{p_value}"))
    failed = f", {len(document.failed)} could not be compared" if document.failed else ""
    count, patients = len(document.cases), document.data.patients
    print(_line(f"{count} studies of {patients} patients{failed}; {EVALUATION}, {CASES} and {REPORT} in {folder}"))
    print("Research use only, not a medical device.")


def _told(figure: FigureRecord) -> str:
    if figure.value is None:
        return f"undefined (n = {figure.cases})"
    between = "" if figure.low is None or figure.high is None else f"  [{figure.low:.4f}, {figure.high:.4f}]"
    left_out = f", {figure.undefined} undefined" if figure.undefined else ""
    return f"{figure.value:.4f}{between}  n = {figure.cases}{left_out}"


def _line(text: str) -> str:
    """Names of files may hold anything: line breaks, escape sequences, bytes that are no UTF-8."""
    return "".join(c if c.isprintable() else " " for c in writable(text))
