"""Weights files: where they are, whether they fit, and what is known about them.

Weights are safetensors. Beside `NAME.safetensors` lies `NAME.json`, the card a program can read. The network's
configuration stands in the file's own metadata, so weights made for another network are refused by what differs and
not by a list of tensor shapes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from datasets.errors import WeightsError
from datasets.io.atomic import write_bytes, write_text
from networks.build import build
from networks.configs import DenseWidths, NetworkConfig
from pipelines.model_package import Card as Card
from pipelines.results import ModelId

SHIPPED_FOLDER = Path(__file__).resolve().parent / "shipped"
UNTRAINED = "untrained"


def find_weights(name_or_path: str) -> Path:
    """The file of shipped weights by name, or the file at a path.

    Raises:
        WeightsError: There is no such file, or it is not safetensors.
    """
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        if path.suffix:
            raise WeightsError("weights as .safetensors", str(path), "convert the file; pickles are not opened")
        path = SHIPPED_FOLDER / f"{name_or_path}.safetensors"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in SHIPPED_FOLDER.glob("*.safetensors"))) or "none"
        raise WeightsError(f"a weights file or one of the shipped ({shipped})", name_or_path, "check --weights")
    return path


def is_folder(name_or_path: str) -> bool:
    """Whether weights are a folder with the folds of a cross-validation: of shipped ones the name comes first."""
    shipped = {path.stem for path in SHIPPED_FOLDER.glob("*.safetensors")}
    return name_or_path not in shipped and Path(name_or_path).is_dir()


def load_weights(network: nn.Module, config: NetworkConfig, path: Path) -> ModelId:
    """Load weights into a network, all of them or none.

    Args:
        network: Built from `config`; changed in place.
        config: The network's configuration, compared with the one the file was made for.
        path: A safetensors file.

    Returns:
        Which weights these are.

    Raises:
        WeightsError: The file is damaged, was made for another network, or a tensor is missing or left over.
    """
    metadata = _metadata(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            "a whole safetensors file", f"{path.name}: {error}", "fetch or make the file again"
        ) from error
    _check_network(metadata, config, path)
    _check_tensors(tensors, network.state_dict(), path)
    card = read_card(path)
    network.load_state_dict(tensors)
    return ModelId(
        name=card.name if card else path.stem,
        weights_sha256=file_sha256(path),
        version=version("denselens"),
        trained_on=card.trained_on if card else "unknown",
    )


def save_weights(network: nn.Module, config: NetworkConfig, card: Card, path: Path) -> None:
    """Write weights and their card; the same network gives the same bytes."""
    save_tensors(network.state_dict(), config, card, path)


def save_tensors(state: Mapping[str, Tensor], config: NetworkConfig, card: Card, path: Path) -> None:
    """Write all tensors of a network's state, and their card; the same tensors give the same bytes.

    Args:
        state: Under the network's names.
        config: The network's configuration, written into the file.
        card: Written beside it, as `.json`, with what differs from its defaults.
        path: A name that ends in `.safetensors`.

    Raises:
        WeightsError: The tensors are not those of the network: a copy rewritten for inference has others.
    """
    _check_tensors(dict(state), build(config, device="meta").state_dict(), path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    # Written by the library itself the file would be for its owner alone, unlike everything else that is written.
    write_bytes(path, save(tensors, metadata={"network": _canonical(config.model_dump(mode="json"))}))
    write_card(card, path)


def write_card(card: Card, path: Path) -> None:
    """Write the card of a weights file beside it, as `.json`, with what differs from its defaults."""
    write_text(path.with_suffix(".json"), card.model_dump_json(indent=2, exclude_defaults=True) + "\n")


def read_card(path: Path) -> Card | None:
    """The card beside a weights file, or None where there is none.

    Raises:
        WeightsError: The card is damaged.
    """
    file = path.with_suffix(".json")
    if not file.is_file():
        return None
    try:
        return Card.model_validate_json(file.read_bytes())
    except (ValidationError, OSError) as error:
        reason = str(error).replace("\n", " ")
        raise WeightsError(f"the card of {path.name}", f"{file.name}: {reason}", "fetch or make both again") from error


def rewrite_card(path: Path, **changes: Any) -> Card:
    """Change what the card of a weights file tells, once more is known.

    Args:
        path: The weights file.
        changes: Fields of the card.

    Raises:
        WeightsError: There is no card, or it is damaged.
    """
    card = read_card(path)
    if card is None:
        raise WeightsError(f"a card beside {path.name}", "none", "make the weights again")
    changed = Card.model_validate(card.model_dump() | changes)
    write_card(changed, path)
    return changed


@dataclass(frozen=True)
class Listed:
    """A weights file at hand.

    Attributes:
        path: Where it is.
        shipped: Whether it came with the program, so that its name alone finds it.
        network: Settings of the network it was made for; None where the file does not say.
        card: What is known about it; None where nothing is.
        sha256: Of the file; None where it cannot be used.
        error: Why it cannot be used; None where nothing is wrong with its header and its card.
    """

    path: Path
    shipped: bool
    network: dict[str, Any] | None
    card: Card | None
    sha256: str | None
    error: WeightsError | None = None


def list_weights(folders: Sequence[Path] = ()) -> Iterator[Listed]:
    """Every .safetensors file that ships, then those in folders, by name; a damaged one is told with its reason.

    Args:
        folders: Where else to look; folders within are not searched.

    Raises:
        WeightsError: There is no such folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise WeightsError("a folder of weights", str(folder), "check the path")
    for folder in (SHIPPED_FOLDER, *folders):
        for path in sorted(folder.glob("*.safetensors")):
            yield _listed(path, shipped=folder == SHIPPED_FOLDER)


def file_sha256(path: Path) -> str:
    """Of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def untrained() -> ModelId:
    """The identity of a network with random weights, for trying a configuration out."""
    return ModelId(name=UNTRAINED, weights_sha256=None, version=version("denselens"), trained_on="nothing")


def _listed(path: Path, *, shipped: bool) -> Listed:
    try:
        told = _metadata(path).get("network")
        network: dict[str, Any] | None = None if told is None else dict(json.loads(told))
        return Listed(path, shipped, network, read_card(path), file_sha256(path))
    except WeightsError as error:
        return Listed(path, shipped, None, None, None, error)
    except (ValueError, TypeError) as error:
        damage = WeightsError("the network a file was made for, in it", f"{path.name}: {error}", "make it again")
        return Listed(path, shipped, None, None, None, damage)


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            "a whole safetensors file", f"{path.name}: {error}", "fetch or make the file again"
        ) from error


def _check_network(metadata: dict[str, str], config: NetworkConfig, path: Path) -> None:
    if "network" not in metadata:
        return
    try:
        told: dict[str, Any] = json.loads(metadata["network"])
        # A setting that is younger than the file has its default, which is how the network was then.
        defaults = type(config)(**told) if told["name"] == config.name else None
    except (ValueError, TypeError, KeyError) as error:
        reason = str(error).replace("\n", " ")
        raise WeightsError(
            "the network a file was made for, in it", f"{path.name}: {reason}", "make it again"
        ) from error
    # How weights were learnt, their dropout for one, is no reason to refuse them.
    made_for = _flat(defaults.identity()) if defaults else told
    asked = _flat(config.identity())
    different = sorted(key for key in made_for.keys() | asked.keys() if made_for.get(key) != asked.get(key))
    if different:
        was = ", ".join(f"{key}={made_for.get(key)}" for key in different)
        now = ", ".join(f"{key}={asked.get(key)}" for key in different)
        raise WeightsError(f"a network with {was}, as {path.name} was made for", now, "use the weights' own task YAML")


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings within settings under names of their own, so that what differs is told by itself."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, DenseWidths):
            flat |= value._asdict()
        elif isinstance(value, dict):
            flat |= {f"{key}.{inner}": setting for inner, setting in _flat(value).items()}
        else:
            flat[key] = value
    return flat


def _check_tensors(given: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    missing, left_over = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    if missing or left_over:
        raise WeightsError(
            "exactly the tensors of the network",
            f"{path.name}: {len(missing)} missing ({', '.join(missing[:3])}), "
            f"{len(left_over)} left over ({', '.join(left_over[:3])})",
            "use weights made for this network",
        )
    reshaped = [
        f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
        for name in sorted(own)
        if given[name].shape != own[name].shape
    ]
    if reshaped:
        raise WeightsError(
            "tensors of the network's shapes",
            f"{path.name}: {len(reshaped)} others, such as {reshaped[0]}",
            "use weights made for this network",
        )


def _canonical(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
