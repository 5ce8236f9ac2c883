"""`denselens search`: the patches of an index that look most like others, and the making of such an index."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from app.patch_sheet import Tile, write_patch_sheet
from datasets.errors import ConfigError, DenseLensError, InputRefused
from datasets.io.discover import open_inputs
from datasets.study import Study
from pipelines.document import writable
from pipelines.patch_answers import SCHEMA, Answer, Question, answers_about, error_document, heading
from pipelines.patch_features import FeatureNetwork
from pipelines.patch_index import INDEX, PatchIndex
from pipelines.patch_indexing import Added, add_studies, settings_for
from pipelines.patch_labels import Labels
from pipelines.patch_sources import Cut, reread
from pipelines.run import pick_compute

USUAL_WEIGHTS = "histopathology_phantom"
_OK, _SOME_FAILED = 0, 3
_ROWS_ON_SHEET = 24


def command(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT", help="Patches: pictures, folders of them, .h5 as PatchCamelyon's, slides."),
    ],
    index: Annotated[Path, typer.Option(help="Folder of the index.")],
    top: Annotated[int, typer.Option(min=1, help="How many patches to show for each.")] = 8,
    at: Annotated[
        str | None, typer.Option(metavar="X,Y", help="Of a slide: the middle of the patch, in um from its upper left.")
    ] = None,
    sheet: Annotated[Path | None, typer.Option(help="A .png to draw the patches on, each beside its likes.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Add the patches to the index, which is made if need be.")] = False,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="folders|FILE",
            help="With --add, what patches show: the names of their folders; a .csv with columns source, label and, "
            "for files of many pictures, index; an .h5 with labels y.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Name of shipped weights or a .safetensors file of a DenseNet; else the index's own."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="With --add, of a new index: um per pixel of patches cut out of slides; 0.97.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> int:
    """Show the patches of an index that look most like those given, with their labels.

    An index is made, and grows, with --add: of pictures each is a patch, of slides all tissue is cut into patches.
    Files that are in it already are passed over, so that a run that was stopped can be repeated. Patches are alike as
    the network of the index sees them; features of other weights are refused. What most neighbours show leaves out the
    patch itself where it is in the index. The exit code is 3 when some inputs could not be used.
    """
    _check_call(add, at, labels, mpp, sheet)
    asked = Asked(index, weights, pick_compute(device).device)
    try:
        with open_inputs(inputs) as inventory:
            if add:
                return _add(asked, inventory.studies, Labels.read(labels), mpp, as_json=as_json)
            return _search(asked, inventory.studies, _place(at), Shown(top, sheet, as_json))
    except DenseLensError as error:
        if as_json:
            _print_json({"schema": SCHEMA, "index": writable(str(index)), "error": error_document(error)})
        raise


@dataclass(frozen=True)
class Asked:
    """What is asked, whom, and where it runs.

    Attributes:
        folder: Of the index.
        weights: As the caller named them; None for the index's own.
        device: "cpu", "cuda" or "cuda:N".
    """

    folder: Path
    weights: str | None
    device: str


@dataclass(frozen=True)
class Shown:
    """How an answer is shown.

    Attributes:
        top: Neighbours for each patch.
        sheet: A picture to draw; None for none.
        as_json: One document instead of tables.
    """

    top: int
    sheet: Path | None
    as_json: bool


def _check_call(add: bool, at: str | None, labels: str | None, mpp: float | None, sheet: Path | None) -> None:
    if not add and (labels is not None or mpp is not None):
        raise ConfigError(
            "--labels and --mpp with --add", "one of them alone", "add --add to put patches into an index"
        )
    if add and (at is not None or sheet is not None):
        raise ConfigError("--at and --sheet for a search", "one of them with --add", "search when patches are added")
    if mpp is not None and not mpp > 0:
        raise ConfigError("--mpp above 0", f"{mpp}", "correct it")


def _place(at: str | None) -> tuple[float, float] | None:
    if at is None:
        return None
    try:
        x_um, y_um = (float(value) for value in at.split(","))
    except ValueError as error:
        raise ConfigError("--at X,Y, two numbers in um", at, "correct it") from error
    return x_um, y_um


def _add(asked: Asked, studies: Sequence[Study], labels: Labels, mpp: float | None, *, as_json: bool) -> int:
    exists = (asked.folder / INDEX).is_file()
    weights = asked.weights or (PatchIndex.open(asked.folder).settings.weights if exists else USUAL_WEIGHTS)
    network = FeatureNetwork.load(weights, asked.device)
    settings = settings_for(network, weights, mpp)
    if exists and mpp is None:
        settings = settings.model_copy(update={"mpp": PatchIndex.open(asked.folder).settings.mpp})
    index = PatchIndex.open_or_make(asked.folder, settings)
    done = list(_tracked(add_studies(index, network, studies, labels), len(studies)))
    failed = [one for one in done if one.refusal is not None]
    counts = {
        "added": sum(one.patches for one in done),
        "labelled": sum(one.labelled for one in done),
        "files": sum(one.patches > 0 for one in done),
        "there_before": sum(one.before for one in done),
        "failed": len(failed),
        "patches": len(index),
    }
    if as_json:
        _print_json(heading(index) | {"counts": counts, "failed": [_failed(one) for one in failed], "error": None})
    else:
        for one in failed:
            _say(one.told)
        _say(f"{counts['added']} patches of {counts['files']} files added, {counts['labelled']} with a label")
        if counts["there_before"]:
            _say(f"{counts['there_before']} files were there before")
        _say(f"{counts['patches']} patches in {asked.folder}. Research use only, not a medical device.")
    return _SOME_FAILED if failed else _OK


def _search(asked: Asked, studies: Sequence[Study], at: tuple[float, float] | None, shown: Shown) -> int:
    index = PatchIndex.open(asked.folder)
    network = FeatureNetwork.load(asked.weights or index.settings.weights, asked.device)
    weights = asked.weights or index.settings.weights
    index.check(settings_for(network, weights).model_copy(update={"mpp": index.settings.mpp}))
    if not len(index):
        raise ConfigError("an index with patches", f"an empty one in {asked.folder}", "add some with --add")
    cut = Cut(index.settings.patch_px, index.settings.mpp)
    answers: list[Answer] = []
    failed: list[Added] = []
    for study in _tracked(iter(studies), len(studies)):
        try:
            answers += answers_about(study, index, network, Question(cut, at, shown.top))
        except InputRefused as refusal:
            failed.append(Added(study.source, refusal=refusal))
    if shown.sheet is not None and answers:
        _draw(answers[:_ROWS_ON_SHEET], cut, shown.sheet)
    if shown.as_json:
        queries = [answer.document() for answer in answers]
        _print_json(heading(index) | {"queries": queries, "failed": [_failed(one) for one in failed], "error": None})
    else:
        _show(answers, failed, index)
    return _SOME_FAILED if failed else _OK


def _draw(answers: Sequence[Answer], cut: Cut, path: Path) -> None:
    rows = []
    for answer in answers:
        neighbours = [
            Tile(reread(hit.place, cut), f"{hit.similarity:.4f}  {hit.place.label}".rstrip(), hit.place.told_shortly)
            for hit in answer.hits
        ]
        rows.append([Tile(answer.pixels, "asked about", answer.place.told_shortly), *neighbours])
    try:
        write_patch_sheet(rows, path)
    except OSError as error:
        raise ConfigError("a place to write to", f"{path}: {error.strerror or error}", "choose --sheet") from error


def _show(answers: Sequence[Answer], failed: Sequence[Added], index: PatchIndex) -> None:
    for answer in answers:
        _say(answer.place.told)
        _say(f"  {'':>4}  {'similarity':>10}  {'label':<16}  patch")
        for rank, hit in enumerate(answer.hits, start=1):
            itself = "  (the patch itself)" if hit.place.is_same(answer.place) else ""
            line = f"  {rank:>4}  {hit.similarity:>10.4f}  {hit.place.label or '-':<16}  {hit.place.told}"
            _say(line + itself)
        if (said := answer.vote) is not None:
            _say(f"  most are: {said.label} ({said.share:.0%} of {said.labelled} with a label)")
    for one in failed:
        _say(one.told)
    _say(f"searched {len(index)} patches. Research use only, not a medical device.")


def _failed(one: Added) -> dict[str, Any]:
    return {"source": writable(one.source), "error": one.refusal and error_document(one.refusal)}


def _tracked(items: Iterator[Any], total: int) -> Iterator[Any]:
    waiting = Console(stderr=True)
    yield from track(items, "looking", total=total, console=waiting, transient=True, disable=not waiting.is_terminal)


def _print_json(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()


def _say(text: str) -> None:
    """One line; names of files may hold anything."""
    print("".join(c if c.isprintable() else " " for c in writable(text)))
