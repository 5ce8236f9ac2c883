"""Weights files: where they are, whether they fit, and what is known about them.

Weights are safetensors. Beside `NAME.safetensors` lies `NAME.json`, the card a program can read. The network's
configuration stands in the file's own metadata, so weights made for another network are refused by what differs and
not by a list of tensor shapes.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from datasets.errors import WeightsError
from datasets.io.atomic import atomic_path, write_text
from networks.configs import NetworkConfig
from pipelines.results import ModelId

SHIPPED_FOLDER = Path(__file__).resolve().parent / "shipped"
UNTRAINED = "untrained"


class Card(BaseModel):
    """What is known about weights: on what they were trained, how they did on what nobody trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    task: str
    trained_on: str
    held_out: dict[str, float] = Field(default_factory=dict, description="figures on data not trained on, unit in name")
    limits: str = Field(description="what the weights must not be used for, in plain words")
    phantom: bool = Field(description="trained on phantoms only")


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
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
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
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        version=version("denselens"),
        trained_on=card.trained_on if card else "unknown",
    )


def save_weights(network: nn.Module, config: NetworkConfig, card: Card, path: Path) -> None:
    """Write weights and their card; the same network gives the same bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(network.state_dict().items())}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"network": _canonical(config.model_dump(mode="json"))})
    write_text(path.with_suffix(".json"), card.model_dump_json(indent=2) + "\n")


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


def untrained() -> ModelId:
    """The identity of a network with random weights, for trying a configuration out."""
    return ModelId(name=UNTRAINED, weights_sha256=None, version=version("denselens"), trained_on="nothing")


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
    made_for = defaults.identity() if defaults else told
    asked = config.identity()
    different = sorted(key for key in made_for.keys() | asked.keys() if made_for.get(key) != asked.get(key))
    if different:
        was = ", ".join(f"{key}={made_for.get(key)}" for key in different)
        now = ", ".join(f"{key}={asked.get(key)}" for key in different)
        raise WeightsError(f"a network with {was}, as {path.name} was made for", now, "use the weights' own task YAML")


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
