"""`denselens calibrate`: what a classifier's probabilities mean, and from which on a finding is called."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from datasets.layouts import open_dataset
from pipelines.calibrate import MIN_CASES, Wanted, calibrate, write_calibrated
from pipelines.calling_rule import Rule
from pipelines.document import writable
from pipelines.model_store import Card
from pipelines.task import load_task

SCHEMA = 1


def command(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="Task that classifies, or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Dataset; its validation split, or all of it where it has none.")],
    weights: Annotated[str, typer.Option(help="Name of shipped weights, or a .safetensors file.")],
    out: Annotated[
        Path | None, typer.Option(help="A .safetensors file; the weights' name with _calibrated here by default.")
    ] = None,
    method: Annotated[
        Literal["platt", "temperature"], typer.Option(help="Slope and intercept on the log odds, or the slope alone.")
    ] = "platt",
    rule: Annotated[
        str, typer.Option(help="Of operating points: youden, sensitivity=0.95 or specificity=0.95.")
    ] = "youden",
    min_cases: Annotated[
        int, typer.Option(min=2, help="With, and without a label, fewer of which leave it as it was.")
    ] = MIN_CASES,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the task.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Fit calibration and operating points of a classifier, and write the weights again with a card that has them.

    Figures before and after are printed; those after are of cases by a line that was fitted without their patient.
    Labels with few cases are left alone, and told.
    """
    task, chosen = load_task(config, overrides or ()), Rule.parse(rule)
    dataset = open_dataset(data, task.training.layout)
    wanted = Wanted(method, chosen, min_cases)
    told: list[str] = []
    card = calibrate(task, weights, dataset, wanted, told.append)
    place = out or Path(f"{Path(weights).stem}_calibrated.safetensors")
    write_calibrated(weights, card, place, force=force)
    if as_json:
        json.dump(_document(card, place, told), sys.stdout, indent=2, allow_nan=False)
        print()
        return 0
    for line in told:
        _say(line)
    _show(card)
    _say(f"{place}, with its card beside it. Research use only, not a medical device.")
    return 0


def _document(card: Card, place: Path, told: list[str]) -> dict[str, Any]:
    record = None if card.calibrated is None else card.calibrated.model_dump(mode="json")
    return {
        "schema": SCHEMA,
        "out": writable(str(place)),
        "calibration": card.calibration,
        "operating_points": card.operating_points,
        "calibrated": record,
        "told": [writable(line) for line in told],
        "research_use_only": True,
    }


def _show(card: Card) -> None:
    if card.calibrated is None:
        return
    for label, one in card.calibrated.labels.items():
        slope, intercept = card.calibration[label]
        _say(f"{label}: {one.positives} with, {one.negatives} without; slope {slope:.4g}, intercept {intercept:+.4g}")
        for name, before in one.before.items():
            _say(f"  {name.replace('_', ' ')}: {before:.4f} before, {one.after[name]:.4f} after")
        if label in card.operating_points:
            at = ", ".join(f"{name} {value:.4f}" for name, value in one.at_point.items())
            _say(f"  called from {card.operating_points[label]:.4f} ({card.calibrated.rule}): {at}")


def _say(text: str) -> None:
    """One line; names of datasets may hold anything."""
    print("".join(c if c.isprintable() else " " for c in writable(text)))
