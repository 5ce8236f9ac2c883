"""The weights at hand and what is known of them, for a page: nothing is loaded but headers and cards."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from pipelines.model_package import Card
from pipelines.task import list_tasks, read_task_settings

# Where the long cards lie in a checkout; an installed program has the short ones beside the weights alone.
CARDS = Path(__file__).resolve().parents[2] / "docs" / "model-cards"
_MAIN = "network"


@dataclass(frozen=True)
class Use:
    """A task that takes weights unless it is told otherwise.

    Attributes:
        task: By name.
        part: Of the task: "network", or the block of its settings that names the weights.
    """

    task: str
    part: str


@dataclass(frozen=True)
class Model:
    """Weights at hand.

    Attributes:
        name: Of the file, by which shipped ones are asked for.
        path: Of the file.
        shipped: Whether they came with the program.
        megabytes: Size of the file.
        sha256: Of the file.
        network: Settings of the network; None where the file does not tell them.
        card: What is known of them; None where nothing is.
        text: The long card, Markdown; "" where there is none.
        uses: Tasks that take them.
        error: Why they cannot be used; "" where nothing is wrong with header and card.
    """

    name: str
    path: Path
    shipped: bool
    megabytes: float
    sha256: str
    network: Mapping[str, Any] | None
    card: Card | None
    text: str
    uses: tuple[Use, ...]
    error: str = ""


def list_models(folders: Sequence[Path] = (), shipped: Path | None = None) -> tuple[Model, ...]:
    """Weights that ship, then those in folders, by name.

    Args:
        folders: Where else to look; those that are not there, and folders within, are passed over.
        shipped: Another folder than the program's own.
    """
    own = shipped or Path(str(resources.files("pipelines"))) / "shipped"
    uses = _uses()
    found = []
    for folder in (own, *folders):
        for path in sorted(folder.glob("*.safetensors")):
            found.append(_model(path, uses.get(path.stem, ()) if folder == own else (), shipped=folder == own))
    return tuple(found)


def model_of(sha256: str | None, folders: Sequence[Path] = ()) -> Model | None:
    """The weights of that hash; None where they are not at hand."""
    return next((one for one in list_models(folders) if one.sha256 == sha256), None)


@lru_cache(maxsize=32)
def card_of(sha256: str | None) -> Card | None:
    """The card of weights that ship, by their hash; None where there is none."""
    found = model_of(sha256)
    return None if found is None else found.card


def tasks_without_weights() -> tuple[str, ...]:
    """Tasks whose network is untrained until somebody gives it weights."""
    return tuple(task for task in list_tasks() if read_task_settings(task).get("weights") is None)


def _uses() -> dict[str, tuple[Use, ...]]:
    uses: dict[str, list[Use]] = {}
    for task in list_tasks():
        for part, weights in _named(read_task_settings(task), _MAIN):
            uses.setdefault(weights, []).append(Use(task, part))
    return {weights: tuple(some) for weights, some in uses.items()}


def _named(settings: Mapping[str, Any], part: str) -> Iterator[tuple[str, str]]:
    """Each part of some settings that names weights, and which."""
    for key, value in settings.items():
        if key == "weights" and isinstance(value, str):
            yield part, value
        elif isinstance(value, dict):
            yield from _named(value, key)


def _model(path: Path, uses: tuple[Use, ...], *, shipped: bool) -> Model:
    about, error = _read(path)
    network, card = about
    long_card = CARDS / f"{path.stem}.md"
    stat = path.stat()
    return Model(
        name=path.stem,
        path=path,
        shipped=shipped,
        megabytes=stat.st_size / 1e6,
        sha256=_sha256(path, stat.st_mtime_ns, stat.st_size),
        network=network,
        card=card,
        text=long_card.read_text(encoding="utf-8") if shipped and long_card.is_file() else "",
        uses=uses,
        error=error,
    )


def _read(path: Path) -> tuple[tuple[Mapping[str, Any] | None, Card | None], str]:
    try:
        with safe_open(path, framework="numpy") as file:
            told = (file.metadata() or {}).get("network")
        network: Mapping[str, Any] | None = None if told is None else dict(json.loads(told))
        beside = path.with_suffix(".json")
        return (network, Card.model_validate_json(beside.read_bytes()) if beside.is_file() else None), ""
    except (SafetensorError, OSError):
        return (None, None), "The file is damaged or cannot be read."
    except (ValidationError, ValueError, TypeError):
        return (None, None), "The card, or the network that the file was made for, cannot be read."


@lru_cache(256)
def _sha256(path: Path, _changed_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
