"""`denselens demo`: phantom studies of every task, scored with the weights that ship, found beside truth."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app.commands.review import command as review
from app.commands.score import START_OVER, run, writing_to
from app.demonstrations.films import films
from app.demonstrations.liver import liver
from app.demonstrations.nuclei import nuclei
from app.demonstrations.shown import SHEET, Demonstration, Found
from app.demonstrations.slides import slides
from app.settings import DATA, DATABASE
from datasets.io.discover import open_inputs
from pipelines.document import writable
from pipelines.explain.explaining import Explaining
from pipelines.explain.wanted import Wanted
from pipelines.run import Pipeline
from pipelines.task import load_task

_RESULTS = "results"
DEMONSTRATIONS: tuple[Demonstration, ...] = (liver(), films(), slides(), nuclei())


def command(
    out: Annotated[Path | None, typer.Option(help="Where to leave everything; denselens-out/demo by default.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the review app.")] = False,
) -> int:
    """Make phantom studies, score them with the weights that ship, and print found beside truth.

    Every task has a folder: the phantoms, written as DICOM, NIfTI, PNG and TIFF and read back like anybody's; the
    results; and a contact sheet. Then the review app opens on them, in a store of the demonstration's own; with
    --no-browser, or where nobody sits at the terminal, the command that opens it is told instead.
    """
    folder = out or Path("denselens-out") / "demo"
    console = Console()
    for number, demonstration in enumerate(DEMONSTRATIONS, start=1):
        console.print(f"{demonstration.task} ({number} of {len(DEMONSTRATIONS)}): {demonstration.told}")
        _demonstrate(demonstration, folder / demonstration.task, console)
    _say(console, f"Files: {writable(str(folder))}")
    console.print("volume_classification ships no weights, and so is not shown.")
    results = [folder / demonstration.task / _RESULTS for demonstration in DEMONSTRATIONS]
    own = f"{DATA}={writable(str(folder / 'review'))}"
    _say(console, f"To review them: {own} denselens review {' '.join(writable(str(one)) for one in results)}")
    console.print("Phantoms are no patients. Research use only, not a medical device.")
    if no_browser or not sys.stdout.isatty():
        return 0
    # A store of its own: phantoms do not belong between the cases of anybody.
    os.environ[DATA] = str(folder / "review")
    os.environ.pop(DATABASE, None)
    return review(results)


def _demonstrate(demonstration: Demonstration, folder: Path, console: Console) -> None:
    pipeline = Pipeline.load(load_task(demonstration.task))
    if demonstration.explained:
        pipeline = Explaining.of(pipeline, Wanted(methods=(demonstration.explained,)))
    with writing_to(folder):
        inputs = demonstration.make(folder / "phantoms")
    with open_inputs(inputs) as inventory:
        scored = run(pipeline.task.gather(inventory.studies), pipeline, folder / _RESULTS, START_OVER)
    found: Sequence[Found] = [Found.read(item.entry, folder / _RESULTS) for item in scored]
    with writing_to(folder):
        console.print(demonstration.show(found, folder / SHEET))
    _say(console, f"Overlays: {writable(str(folder / SHEET))}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)
