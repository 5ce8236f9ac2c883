"""A task with its weights as a MONAI bundle: a folder that MONAI verifies and runs, without this project."""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import files as files_of
from pathlib import Path

import torch
from safetensors.torch import load_file

from datasets.errors import WeightsError
from datasets.io.atomic import write_bytes
from networks.build import build
from pipelines.bundle.metadata import metadata
from pipelines.bundle.sources import Sources, sources_of
from pipelines.bundle.workflow import check_task, inference_config
from pipelines.model_card import card_text
from pipelines.model_store import Card, file_sha256, find_weights, load_weights, read_card
from pipelines.task import Task

_ROOT = Path(__file__).resolve().parents[2]
_UNKNOWN = "unknown: the weights came without a card"


@dataclass(frozen=True)
class Exported:
    """A bundle that was written.

    Attributes:
        path: Its folder.
        task: As it is in the bundle: with what the weights' card knows.
        sources: The modules it carries.
        weights_sha256: Of the weights it was made from.
    """

    path: Path
    task: Task
    sources: Sources
    weights_sha256: str


def export_bundle(task: Task, weights: str | None, out: Path, *, force: bool = False) -> Exported:
    """Write a bundle.

    Args:
        task: What it does.
        weights: Name of shipped weights or path of a file; None takes the task's.
        out: A folder that is made; its name is the bundle's.
        force: Whether a bundle that stands there is replaced.

    Raises:
        ConfigError: The task cannot be run image by image.
        WeightsError: The weights are not there or do not fit the task's network, or the folder is taken.
    """
    if (named := weights or task.weights) is None:
        raise WeightsError("weights to export", f"{task.name} without any", "name them")
    path = find_weights(named)
    load_weights(build(task.network), task.network, path)
    card = read_card(path) or Card(name=path.stem, task=task.name, trained_on=_UNKNOWN, limits=_UNKNOWN, phantom=False)
    task = task.suited_to(card)
    check_task(task)
    _make_room(out, force=force)
    names = ("pipelines.bundle.steps", f"pipelines.tasks.{task.kind}", f"networks.{task.network.name}")
    exported = Exported(out, task, sources_of(names), file_sha256(path))
    try:
        for place, content in _contents(exported, card, path):
            write_bytes(out / place, content)
    except OSError as error:
        raise WeightsError(
            "a folder that can be written to", f"{out}: {error.strerror or error}", "choose --out"
        ) from error
    return exported


def _contents(exported: Exported, card: Card, path: Path) -> Iterator[tuple[Path, bytes]]:
    task = exported.task
    told = metadata(task, card, exported.weights_sha256, exported.sources.requires)
    yield Path("configs/metadata.json"), _json(told)
    yield Path("configs/inference.json"), _json(inference_config(task))
    yield Path("configs/task.json"), (task.model_dump_json(indent=2, exclude={"training"}) + "\n").encode()
    buffer = io.BytesIO()
    torch.save(load_file(path), buffer)
    yield Path("models/model.pt"), buffer.getvalue()
    yield Path("docs/README.md"), (card_text(card, task.network, exported.weights_sha256) + _HOW).encode()
    yield Path("LICENSE"), _licence()
    for place, text in exported.sources.files():
        yield place, text.encode()


_HOW = """
## Running this bundle

    python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
        --dataset_dir IMAGES --output_dir OUT

Volumes are NIfTI, pictures PNG or JPEG. `scripts` holds the network and the steps, as denselens has them, so that
neither has to be installed; packages beside MONAI are named in `configs/metadata.json`. `models/model.pt` is a state
dictionary of tensors alone: `torch.load(..., weights_only=True)` opens it. Research use only, not a medical device.
"""


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def _licence() -> bytes:
    """The project's licence, beside the sources or among what was installed."""
    beside = _ROOT / "LICENSE"
    if beside.is_file():
        return beside.read_bytes()
    for file in files_of("denselens") or ():
        if file.name == "LICENSE":
            return file.read_binary()
    raise FileNotFoundError("expected the file LICENSE of denselens; got none; install it whole")


def _make_room(out: Path, *, force: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    # Nothing but a bundle is ever removed.
    if not force or not (out / "configs" / "metadata.json").is_file():
        advice = "choose another --out" + (", or replace the bundle with --force" if not force else "")
        raise WeightsError("a new or empty folder", f"{out}, which exists", advice)
    shutil.rmtree(out)
