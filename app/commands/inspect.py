"""`denselens inspect`: what an input holds, told before anything is scored."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.text import Text

from datasets.codes import Repair
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.io.discover import Inventory, open_inputs
from datasets.study import Series, Study, choose_series
from pipelines.task import list_tasks, read_task_settings

SCHEMA = 1
_OK, _NOTHING_USABLE = 0, 2


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help="A DICOM folder, a folder of such folders, a .zip, NIfTI, PNG, JPEG, TIFF, slide, .npz, .h5 or "
            "DICOM file, or a text file that lists them.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Faster: do not read pixels, and miss what only they show.")
    ] = False,
) -> int:
    """Tell what a file, folder or archive holds, what would be repaired, and what refused and why.

    Nothing is written, and nothing of a patient is shown. The exit code is 0 where at least one series can be used, and
    2 where none can.
    """
    try:
        with open_inputs([path]) as inventory:
            report = describe(path, inventory, headers_only)
    except InputRefused as refusal:
        if as_json:
            _print_json({"schema": SCHEMA, "path": str(path), "studies": [], "error": _refusal(refusal)})
        raise
    if as_json:
        _print_json(report)
    else:
        _show(report, Console())
    return _OK if report["counts"]["usable_series"] else _NOTHING_USABLE


@dataclass(frozen=True)
class Wanted:
    """What a task scores.

    Attributes:
        task: Name of the task.
        modalities: DICOM modalities; empty means any.
        min_images: Series with fewer images are passed over.
    """

    task: str
    modalities: tuple[str, ...]
    min_images: int


def wanted_by_tasks() -> tuple[Wanted, ...]:
    """What each task in `configs/` scores, read from its YAML alone: building the tasks would import torch."""
    wanted = []
    for name in list_tasks():
        settings = read_task_settings(name)
        wanted.append(Wanted(name, tuple(settings.get("modalities", ())), int(settings.get("min_images", 1))))
    return tuple(wanted)


def describe(path: Path, inventory: Inventory, headers_only: bool = False) -> dict[str, Any]:
    """The report as plain values, which is what `--json` prints.

    Args:
        path: What the caller asked about.
        inventory: What was found there, while it is open.
        headers_only: Leave pixels alone.
    """
    tasks = wanted_by_tasks()
    waiting = Console(stderr=True)
    listed = track(inventory.studies, "reading", console=waiting, transient=True, disable=not waiting.is_terminal)
    studies = [_study(study, tasks, headers_only) for study in listed]
    series = [one for study in studies for one in study["series"]]
    usable = sum(one["refusal"] is None for one in series)
    return {
        "schema": SCHEMA,
        "path": str(path),
        "pixels_read": not headers_only,
        "studies": studies,
        "repairs": _repairs(inventory.repairs),
        "counts": {"studies": len(studies), "series": len(series), "usable_series": usable},
        "research_use_only": True,
    }


def _study(study: Study, tasks: tuple[Wanted, ...], headers_only: bool) -> dict[str, Any]:
    return {
        "uid": study.uid,
        "source": study.source,
        "series": [_series(series, headers_only) for series in study.series],
        "chosen": [_choice(study, task) for task in tasks] if study.series else [],
        "repairs": _repairs(study.repairs),
        "refusal": _refusal(study.refusal),
    }


def _series(series: Series, headers_only: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "uid": series.uid,
        "modality": series.modality,
        "description": series.description,
        "images": series.images,
        "grid": _grid(series.grid),
        "pixels": None,
        "repairs": _repairs(series.repairs),
        "refusal": _refusal(series.refusal),
    }
    if headers_only or series.refusal is not None or _is_too_large(series):
        return told
    try:
        loaded = series.load()
    except InputRefused as refusal:
        return told | {"refusal": _refusal(refusal)}
    image = loaded.image
    pixels = {
        "shape": list(image.shape),
        "channels": image.channels,
        "type": str(image.array.dtype),
        "meaning": str(image.intensity),
        "lowest": image.array.min().item(),
        "highest": image.array.max().item(),
    }
    grid = None if image.affine is None else _grid(image.grid)
    return told | {"grid": grid, "pixels": pixels, "repairs": _repairs(loaded.repairs)}


def _is_too_large(series: Series) -> bool:
    """Whether a series is read piece by piece when it is scored: its description tells what there is."""
    return series.stack is not None or (series.slide is not None and series.modality == "SM")


def _choice(study: Study, task: Wanted) -> dict[str, Any]:
    """Which series a task would take, by the rule it will take it by."""
    try:
        series, told = choose_series(study, task.modalities, task.min_images)
    except InputRefused as refusal:
        return {"task": task.task, "series_uid": None, "message": None, "refusal": _refusal(refusal)}
    message = None if told is None else told.message
    return {"task": task.task, "series_uid": series.uid, "message": message, "refusal": None}


def _grid(grid: Grid | None) -> dict[str, Any] | None:
    if grid is None:
        return None
    return {
        "shape": list(grid.shape),
        "spacing_mm": list(grid.spacing_mm),
        "orientation": grid.orientation,
        "affine": grid.affine.tolist(),
    }


def _repairs(repairs: tuple[Repair, ...]) -> list[dict[str, str]]:
    return [{"code": str(repair.code), "message": repair.message} for repair in repairs]


def _refusal(refusal: InputRefused | None) -> dict[str, str] | None:
    if refusal is None:
        return None
    return {"code": str(refusal.code), "message": refusal.message, "advice": refusal.advice}


def _print_json(document: dict[str, Any]) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()


def _show(report: dict[str, Any], console: Console) -> None:
    for study in report["studies"]:
        _print(console, f"study {study['uid']}", "bold")
        if study["source"] != report["path"]:
            _print(console, f"  from {study['source']}")
        for series in study["series"]:
            _show_series(console, series)
        # The refusal of a study repeats that of its largest series.
        _show_notes(console, study | {"refusal": None} if study["series"] else study, "  ")
        _show_choices(console, study["chosen"])
    _show_notes(console, report | {"refusal": None}, "")
    counts = report["counts"]
    told = f"{counts['usable_series']} of {counts['series']} series can be used; studies: {counts['studies']}."
    _print(console, f"{told} Research use only, not a medical device.")


def _show_series(console: Console, series: dict[str, Any]) -> None:
    modality = series["modality"] or "modality not told"
    _print(
        console, f"  series {series['uid']}: {modality}, images: {series['images']}, {series['description']}", "cyan"
    )
    grid, pixels = series["grid"], series["pixels"]
    if grid is not None:
        spacing = " x ".join(f"{mm:.4g}" for mm in grid["spacing_mm"])
        _print(console, f"    {_size(grid['shape'])} voxels of {spacing} mm, axes {grid['orientation']}")
    elif pixels is not None:
        _print(console, f"    {_size(pixels['shape'])} pixels of unknown size: nothing can be measured in mm")
    if pixels is not None:
        ends = f"{pixels['lowest']:g} to {pixels['highest']:g}"
        _print(console, f"    values {ends} ({pixels['meaning']}, {pixels['type']}, channels: {pixels['channels']})")
    _show_notes(console, series, "    ")


def _size(shape: list[int]) -> str:
    return " x ".join(str(n) for n in shape)


def _show_notes(console: Console, told: dict[str, Any], indent: str) -> None:
    for repair in told["repairs"]:
        _print(console, f"{indent}{repair['code']}: {repair['message']}", "yellow")
    if (refusal := told["refusal"]) is not None:
        _print(console, f"{indent}refused ({refusal['code']}): {refusal['message']}; {refusal['advice']}", "red")


def _show_choices(console: Console, choices: list[dict[str, Any]]) -> None:
    for choice in choices:
        if choice["refusal"] is None:
            taken = choice["message"] or f"series {choice['series_uid']}"
            _print(console, f"  {choice['task']} would take {taken}", "green")
        else:
            _print(console, f"  {choice['task']} would refuse it ({choice['refusal']['code']})")


def _print(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)
