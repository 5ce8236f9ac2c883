"""`denselens weights`: what weights there are, published ones and bundles in, bundles and cards out."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from datasets.errors import ConfigError, DenseLensError, WeightsError
from networks.checkpoints.imported import KINDS, Imported
from networks.checkpoints.targets import TARGETS, Wishes
from pipelines.bundle.export import Exported, export_bundle
from pipelines.bundle.importing import import_bundle, is_bundle
from pipelines.document import writable
from pipelines.model_card import stored_card_text
from pipelines.model_store import Listed, list_weights
from pipelines.task import load_task
from pipelines.weights_import import Destination, ImportedWeights, import_weights

SCHEMA = 1
_OK = 0
_SHOWN = 3  # of each kind of change, how many tensors the printed report names
_JSON = "One JSON document on standard output."


def list_command(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[FOLDER]…", help="Folders of weights, beside those that ship.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> int:
    """Show the weights that ship, and those in folders, with what their cards say.

    A file that cannot be used is shown with the reason.
    """
    try:
        listed = list(list_weights(folders or ()))
    except WeightsError as refusal:
        if as_json:
            _print_json({"schema": SCHEMA, "weights": [], "error": _refusal(refusal)})
        raise
    if as_json:
        weights = [_listed(one) for one in listed]
        _print_json({"schema": SCHEMA, "weights": weights, "error": None, "research_use_only": True})
    else:
        for one in listed:
            _show_listed(one)
        print("Research use only, not a medical device.")
    return _OK


def import_command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help=".safetensors, .pt, .pth, .pth.tar, .bin or .h5; a MONAI bundle's folder or .zip."
        ),
    ],
    network: Annotated[str, typer.Option("--as", metavar="NETWORK", help=f"What it is: {', '.join(TARGETS)}.")],
    out: Annotated[Path | None, typer.Option(help="A .safetensors file; NETWORK.safetensors here by default.")] = None,
    in_channels: Annotated[
        int | None, typer.Option(help="1: derive a stem for one channel from the one for RGB.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Names of the outputs; as many as a head drawn anew shall have.")
    ] = None,
    trained_on: Annotated[str | None, typer.Option(help="What the weights were trained on, for the card.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> int:
    """Import a published checkpoint: every tensor accounted for, or nothing written.

    The result is a safetensors file and a JSON card beside it, and is given to other commands with --weights. A pickle
    that needs code to be run is refused with the reason, and so is a bundle of a network that is not here. Nothing of a
    bundle is run.
    """
    names = tuple(label.strip() for label in labels.split(",")) if labels else ()
    wishes = Wishes(in_channels=in_channels, labels=names, trained_on=trained_on)
    try:
        bring = import_bundle if is_bundle(file) else import_weights
        done = bring(file, network, wishes, Destination(out, force))
    except WeightsError as refusal:
        if as_json:
            _print_json({"schema": SCHEMA, "source": {"file": writable(str(file))}, "error": _refusal(refusal)})
        raise
    if as_json:
        _print_json(_report(file, network, done))
    else:
        _show_report(done)
    return _OK


def export_bundle_command(
    weights: Annotated[str, typer.Argument(metavar="NAME|FILE", help="Shipped weights, or a .safetensors file.")],
    task: Annotated[str, typer.Option(help="Task, or a YAML file, that the bundle does.")],
    out: Annotated[Path, typer.Option(help="Folder of the bundle; its name is the bundle's.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the task.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> int:
    """Write a MONAI bundle that MONAI verifies and runs, and that says what scoring says.

    It carries the network, the task's steps and the weights, so that this program need not be there; other packages it
    needs are named in its metadata.
    """
    try:
        done = export_bundle(load_task(task, overrides or ()), weights, out, force=force)
    except DenseLensError as refusal:
        if as_json:
            _print_json({"schema": SCHEMA, "weights": writable(weights), "error": _refusal(refusal)})
        raise
    if as_json:
        _print_json(_exported(done))
    else:
        _say(f"{done.path}: {done.task.name} as a MONAI bundle, with {len(done.sources.modules)} source files")
        _say(f"needs beside MONAI: {', '.join(done.sources.requires)}")
        print("Research use only, not a medical device.")
    return _OK


def card_command(
    weights: Annotated[str, typer.Argument(metavar="NAME|FILE", help="Shipped weights, or a .safetensors file.")],
) -> int:
    """Print a model card, made of what the weights' own card says."""
    text = stored_card_text(weights)
    print("\n".join("".join(c if c.isprintable() else " " for c in writable(line)) for line in text.splitlines()))
    return _OK


VERBS = {
    "list": list_command,
    "import": import_command,
    "export-bundle": export_bundle_command,
    "card": card_command,
}


def _exported(done: Exported) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "out": writable(str(done.path)),
        "task": done.task.name,
        "weights_sha256": done.weights_sha256,
        "requires": done.sources.requires,
        "error": None,
        "research_use_only": True,
    }


def _report(file: Path, network: str, done: ImportedWeights) -> dict[str, Any]:
    imported, card = done.imported, done.card
    return {
        "schema": SCHEMA,
        "source": {"file": writable(str(file)), "sha256": card.source_sha256},
        "as": network,
        "layout": imported.layout,
        "network": imported.config.model_dump(mode="json"),
        "out": writable(str(done.path)),
        "card": writable(str(done.path.with_suffix(".json"))),
        "counts": _counts(imported),
        "mapped": [{"ours": one.ours, "theirs": one.theirs, "how": one.how} for one in imported.mapped],
        "left_out": dict(imported.left_out),
        "trained_on": imported.trained_on,
        "labels": imported.labels,
        "operating_points": dict(imported.operating_points),
        "input": None if imported.input is None else imported.input.model_dump(mode="json"),
        "notes": imported.notes,
        "error": None,
        "research_use_only": True,
    }


def _counts(imported: Imported) -> dict[str, int]:
    counts = {kind.replace(" ", "_"): number for kind, number in imported.counts().items()}
    return counts | {"left_out": len(imported.left_out)}


def _listed(one: Listed) -> dict[str, Any]:
    card = None if one.card is None else one.card.model_dump(mode="json")
    return {
        "name": one.path.stem,
        "file": writable(str(one.path)),
        "shipped": one.shipped,
        "weights_sha256": one.sha256,
        "network": one.network,
        "card": card,
        "error": None if one.error is None else _refusal(one.error),
    }


def _refusal(refusal: DenseLensError) -> dict[str, str]:
    code = "config_error" if isinstance(refusal, ConfigError) else "weights_error"
    told = {"code": code, "message": refusal.message, "advice": refusal.advice}
    return {key: writable(value) for key, value in told.items()}


def _print_json(document: Mapping[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()


def _show_listed(one: Listed) -> None:
    where = "ships" if one.shipped else str(one.path)
    network = one.network.get("name", "unknown") if one.network else "not told"
    _say(f"{one.path.stem} ({where})")
    if one.error is not None:
        _say(f"  cannot be used: {one.error}")
        return
    facts: dict[str, object] = {"network": network, "sha256": one.sha256}
    if one.card is not None:
        facts |= {
            "task": one.card.task,
            "trained on": one.card.trained_on,
            "held out": ", ".join(f"{name} {figure:.4g}" for name, figure in one.card.held_out.items()),
            "limits": one.card.limits,
            "imported from": one.card.source,
            "drawn anew": one.card.drawn_anew and f"{one.card.drawn_anew} tensors: to be trained first",
            "labels": ", ".join(label or "(never trained)" for label in one.card.labels),
            "expects": one.card.input and one.card.input.scale,
        }
    for name, fact in facts.items():
        if fact:
            _say(f"  {name}: {fact}")


def _show_report(done: ImportedWeights) -> None:
    imported = done.imported
    _say(f"{done.card.source}: a {imported.layout} file, imported as {done.path} with its card beside it")
    told = [f"{count} {kind}" for kind, count in imported.counts().items() if count]
    _say(f"tensors: {', '.join(told)}; of the file left out: {len(imported.left_out)}")
    for kind in KINDS[1:]:
        lines = [
            f"{', '.join(one.theirs) or 'nothing'} -> {one.ours}" + (f" ({one.how})" if kind != "renamed" else "")
            for one in imported.mapped
            if one.kind == kind
        ]
        _show_some(kind, lines)
    _show_some("left out", [f"{name} ({why})" for name, why in imported.left_out.items()])
    _say(f"trained on: {imported.trained_on}")
    if imported.labels:
        _say(f"labels: {', '.join(label or '(never trained)' for label in imported.labels)}")
    if imported.input is not None:
        _say(f"expects {imported.input.channels} channels: {imported.input.scale}")
    for note in imported.notes:
        _say(f"note: {note}")
    print("Research use only, not a medical device.")


def _show_some(kind: str, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        _say(f"  {kind}: {line}")
    if len(lines) > _SHOWN:
        _say(f"  {kind}: … and {len(lines) - _SHOWN} more; --json names all")


def _say(text: str) -> None:
    """One line; names of files and of tensors may hold anything."""
    print("".join(c if c.isprintable() else " " for c in writable(text)))
