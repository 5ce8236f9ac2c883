"""Bundles in: MONAI's folders and zips, read as data. No expression, script or pickled object of theirs is ever run.

A bundle that was exported here says which network it is, and gives back the same tensors and card. Of others the
`network_def` is read, literal by literal, and its weights are imported where that network is one of ours
(`networks.checkpoints`); everything else is refused with what stood in the way.
"""

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from datasets.errors import WeightsError
from networks.checkpoints.files import read_checkpoint
from networks.checkpoints.imported import CheckpointRefused
from networks.checkpoints.targets import Wishes
from networks.configs import NetworkConfig
from pipelines.bundle.metadata import OURS
from pipelines.model_store import Card, save_tensors
from pipelines.weights_import import Destination, ImportedWeights, import_weights

_CONFIGS = (".json", ".yaml", ".yml")
_WEIGHTS = "model.pt"
_MOST_CONFIG_BYTES, _MOST_WEIGHTS_BYTES = 2**24, 2**34
_SETTINGS: TypeAdapter[NetworkConfig] = TypeAdapter(NetworkConfig)
_DENSENET = re.compile(r"^(?:monai\.networks\.nets\.)?(?:densenet\.)?densenet(?:121|161|169|201|264)?$", re.IGNORECASE)
_NESTED = re.compile(r"^(?:monai\.networks\.nets\.)?(?:basic_unetplusplus\.)?basicunet(?:plusplus)$", re.IGNORECASE)
_ADVICE = "see docs/bundles.md for what can be imported"


def is_bundle(path: Path) -> bool:
    """Whether a path is a folder, or a zip with the metadata of a bundle in it."""
    if path.is_dir():
        return True
    if path.suffix != ".zip" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(_place(name) == "configs/metadata.json" for name in archive.namelist())


def import_bundle(
    source: Path, network: str, wishes: Wishes | None = None, destination: Destination | None = None
) -> ImportedWeights:
    """Import a bundle's weights and write them as weights that every door loads.

    Args:
        source: Its folder, or a zip of it.
        network: What the result is, a key of `networks.checkpoints.targets.TARGETS`.
        wishes: What to make otherwise than the bundle has it.
        destination: Where to write.

    Raises:
        WeightsError: The bundle is refused, or the place to write to is taken; then nothing is written.
    """
    wished, wanted = wishes or Wishes(), destination or Destination()
    wanted = replace(wanted, path=wanted.path or Path(f"{network}.safetensors"))
    with _unpacked(source) as root:
        bundle = _Bundle.read(root, source.name)
        if OURS in bundle.metadata:
            return _import_ours(bundle, network, wished, wanted)
        _check_network(bundle.network_def, source.name)
        if wished.trained_on is None:
            wished = replace(wished, trained_on=bundle.told("data_source") or f"what the bundle {source.name} says")
        done = import_weights(bundle.weights, network, wished, wanted)
        return _with_card(done, done.card.model_copy(update={"source": source.name, "notes": bundle.notes(done.card)}))


@dataclass(frozen=True)
class _Bundle:
    """What is read of a bundle: `network_def` as literals, None where there is none."""

    name: str
    weights: Path
    metadata: Mapping[str, Any]
    network_def: Mapping[str, Any] | None

    @classmethod
    def read(cls, root: Path, name: str) -> "_Bundle":
        metadata = _parsed(root / "configs" / "metadata.json", name)
        weights = root / "models" / _WEIGHTS
        if not weights.resolve().is_relative_to(root.resolve()):
            raise WeightsError(
                f"models/{_WEIGHTS} within the bundle", f"{name}, where it leads elsewhere", "do not use it"
            )
        if not weights.is_file():
            raise WeightsError(f"a bundle with models/{_WEIGHTS}", f"{name} without it", "fetch the bundle whole")
        return cls(name, weights, metadata, _network_def(root / "configs", name))

    def told(self, key: str) -> str:
        """A line of the metadata."""
        value = self.metadata.get(key)
        return " ".join(value.split())[:200] if isinstance(value, str) else ""

    def notes(self, card: Card) -> tuple[str, ...]:
        """What the metadata says of use, beside what the import says."""
        told = [f"{key.replace('_', ' ')}: {self.told(key)}" for key in ("task", "intended_use") if self.told(key)]
        return (*card.notes, *told)


def _import_ours(bundle: _Bundle, network: str, wishes: Wishes, wanted: Destination) -> ImportedWeights:
    told = bundle.metadata[OURS]
    try:
        config = _SETTINGS.validate_python(told["network"])
        card = Card.model_validate(told["card"])
        state = read_checkpoint(bundle.weights).tensors
    except (ValidationError, KeyError, TypeError) as error:
        got = f"{bundle.name}: {' '.join(str(error).split())}"
        raise WeightsError("metadata as denselens writes it", got, "export it again") from error
    except CheckpointRefused as refusal:
        raise WeightsError(refusal.expected, refusal.got, refusal.advice) from refusal
    with tempfile.TemporaryDirectory(prefix="denselens-") as folder:
        file = Path(folder) / "model.safetensors"
        save_tensors(state, config, card, file)
        done = import_weights(file, network, wishes, wanted)
    # As it was exported, unless something was wished otherwise.
    return _with_card(done, card) if wishes == Wishes() else done


def _with_card(done: ImportedWeights, card: Card) -> ImportedWeights:
    save_tensors(done.imported.tensors, done.imported.config, card, done.path)
    return replace(done, card=card)


def _check_network(network_def: Mapping[str, Any] | None, name: str) -> None:
    """Refuse networks that are none of ours, by what their definition says.

    Raises:
        WeightsError: It is such a network.
    """
    if network_def is None:
        raise WeightsError("a bundle with a network_def", f"{name} without one", _ADVICE)
    target = str(network_def.get("_target_", ""))
    for key, value in network_def.items():
        if isinstance(value, str) and value.startswith(("$", "@")):
            got = f"{name}, whose {target} has {key}: {value[:80]!r}, which would have to be run"
            raise WeightsError("a network_def of plain values", got, "write the value out in the bundle's config")
    if _NESTED.match(target):
        norm, act = _first(network_def.get("norm", "instance")), _first(network_def.get("act", "LeakyReLU"))
        got = f"{name}, a {target} with {norm} normalisation and {act}, whose tensors have other places"
        raise WeightsError(
            "a UNet++ of two convolutions, batch normalisation and ReLU as unet_plus_plus has", got, _ADVICE
        )
    if not _DENSENET.match(target):
        raise WeightsError(
            "a network that there is here too, such as DenseNet121", f"{name}, a {target or 'network'}", _ADVICE
        )
    for key, ours in (("norm", "batch"), ("act", "relu")):
        if _first(network_def.get(key, ours)) != ours:
            got = f"{name}, a {target} with {key}: {network_def[key]}"
            raise WeightsError(f"a DenseNet with {ours}", got, _ADVICE)


def _first(setting: object) -> str:
    """The name in a setting of MONAI: "batch", or ["relu", {"inplace": true}]."""
    while isinstance(setting, list | tuple) and setting:
        setting = setting[0]
    return str(setting).lower()


def _network_def(folder: Path, name: str) -> Mapping[str, Any] | None:
    """Of the first config that has one, references to plain values in the same file put in."""
    files = sorted(path for path in folder.iterdir() if path.suffix in _CONFIGS and path.stem != "metadata")
    for path in sorted(files, key=lambda path: path.stem != "inference"):
        config = _parsed(path, name)
        found = config.get("network_def")
        if isinstance(found, Mapping):
            return {str(key): _resolved(value, config) for key, value in found.items()}
    return None


def _resolved(value: Any, config: Mapping[str, Any]) -> Any:
    """A plain value that `@a#b` names; what is not one stays a reference."""
    if not (isinstance(value, str) and value.startswith("@")):
        return value
    place: Any = config
    for part in re.split(r"#|::", value[1:]):
        place = place.get(part) if isinstance(place, Mapping) else None
    plain = isinstance(place, int | float | list) or (isinstance(place, str) and not place.startswith(("$", "@")))
    return place if plain else value


def _parsed(path: Path, name: str) -> dict[str, Any]:
    """A JSON or YAML file's mapping, as data: YAML's own tags are not followed.

    Raises:
        WeightsError: It is not there, too large, or no mapping.
    """
    try:
        if path.stat().st_size > _MOST_CONFIG_BYTES:
            raise WeightsError("a config of a bundle", f"{name}: {path.name} of more than 16 MiB", "check the bundle")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        got = f"{name}: configs/{path.name}, {' '.join(str(error).split())[:200]}"
        raise WeightsError("a MONAI bundle with readable configs", got, "check the bundle") from error
    if not isinstance(content, dict):
        raise WeightsError("a config that is a mapping", f"{name}: configs/{path.name}", "check the bundle")
    return content


@contextmanager
def _unpacked(source: Path) -> Iterator[Path]:
    """The bundle's folder; of a zip, a private one with the configs and the weights and nothing else."""
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="denselens-") as folder:
        root = Path(folder)
        try:
            with zipfile.ZipFile(source) as archive:
                for info in archive.infolist():
                    _unpack(archive, info, root)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise WeightsError("a whole zip of a bundle", f"{source.name}: {error}", "fetch it again") from error
        yield root


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, root: Path) -> None:
    # Places are the bundle's own, not the archive's: no name in it can lead elsewhere.
    if (place := _place(info.filename)) is None:
        return
    target = root / place
    most = _MOST_WEIGHTS_BYTES if target.name == _WEIGHTS else _MOST_CONFIG_BYTES
    if info.file_size > most or target.exists():
        raise zipfile.BadZipFile(f"{place} is too large, or there twice")
    target.parent.mkdir(exist_ok=True)
    with archive.open(info) as packed, target.open("xb") as file:
        shutil.copyfileobj(packed, file)


def _place(name: str) -> str | None:
    """Where in a bundle a file of an archive belongs: configs and weights, at the top or in one folder."""
    parts = PurePosixPath(name).parts[-2:]
    if len(PurePosixPath(name).parts) not in (2, 3) or name.endswith("/"):
        return None
    wanted = parts[0] == "configs" and parts[1].endswith(_CONFIGS)
    return "/".join(parts) if wanted or parts == ("models", _WEIGHTS) else None
