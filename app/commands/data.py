"""`denselens data`: the public datasets there are, and fetching one."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from datasets.downloads.catalogue import CATALOGUE, PublicSet, public_set
from datasets.downloads.download import Delivered, download
from datasets.errors import DenseLensError
from pipelines.document import writable

SCHEMA = 1
_OK = 0
_JSON = "One JSON document on standard output."


def list_command(as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False) -> int:
    """Show the public datasets that can be fetched, each with its licence.

    Only sets whose licence allows it are here. Others, ChestX-ray14 for one, are fetched by hand from those who publish
    them, and are read all the same.
    """
    if as_json:
        sets = [_described(one) for one in CATALOGUE.values()]
        _print_json({"schema": SCHEMA, "sets": sets, "error": None, "research_use_only": True})
        return _OK
    widths = [max(len(row[column]) for row in _rows()) for column in range(3)]
    for row in _rows():
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    return _OK


def download_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of a set, as `denselens data list` shows them.")],
    out: Annotated[Path | None, typer.Option(help="Folder to fetch into; one called NAME here by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help=_JSON)] = False,
) -> int:
    """Fetch a public dataset, check it against its published checksum and unpack it.

    A download that broke off goes on where it stopped when the same command is given again; what is there already is
    not fetched twice.
    """
    folder = out or Path(name)
    try:
        wanted = public_set(name)
        if not as_json:
            _say(f"{wanted.title}; {wanted.licence}")
        delivered = _fetched(wanted, folder)
    except DenseLensError as refusal:
        if as_json:
            _print_json({"schema": SCHEMA, "set": {"name": writable(name)}, "error": _refusal(refusal)})
        raise
    data = folder / wanted.data if wanted.data else folder
    if as_json:
        _print_json(_report(wanted, folder, data, delivered))
    else:
        for one in delivered:
            _say(f"{one.file.name}: {one.status.replace('_', ' ')}")
        _say(f"cite: {wanted.citation}")
        _say(f"to use it: --data {data}")
    return _OK


VERBS = {"list": list_command, "download": download_command}


def _fetched(wanted: PublicSet, folder: Path) -> tuple[Delivered, ...]:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        known = {file.name: bar.add_task(file.name, total=None, start=True) for file in wanted.files}

        def told(name: str, done: int, total: int | None) -> None:
            bar.update(known[name], completed=done, total=total)

        return download(wanted, folder, told)


def _rows() -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [("NAME", "LICENCE", "SIZE", "WHAT IT IS")]
    return rows + [(one.name, one.licence, _size(one), one.title) for one in CATALOGUE.values()]


def _size(one: PublicSet) -> str:
    return "" if one.about_bytes is None else f"{one.about_bytes / 1e9:.1f} GB"


def _described(one: PublicSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "licence": one.licence,
        "citation": one.citation,
        "layout": one.layout,
        "about_bytes": one.about_bytes,
        "files": [{"name": file.name, "url": file.url, "checksum": file.checksum} for file in one.files],
    }


def _report(wanted: PublicSet, folder: Path, data: Path, delivered: Sequence[Delivered]) -> dict[str, Any]:
    files = [{"name": d.file.name, "path": writable(str(d.path)), "status": d.status} for d in delivered]
    return {
        "schema": SCHEMA,
        "set": _described(wanted),
        "out": writable(str(folder)),
        "data": writable(str(data)),
        "files": files,
        "error": None,
        "research_use_only": True,
    }


def _refusal(refusal: DenseLensError) -> dict[str, str]:
    told = {"code": "data_error", "message": refusal.message, "advice": refusal.advice}
    return {key: writable(value) for key, value in told.items()}


def _print_json(document: Mapping[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()


def _say(text: str) -> None:
    """One line; names of folders may hold anything."""
    print("".join(c if c.isprintable() else " " for c in writable(text)))
