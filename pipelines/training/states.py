"""The state of a training that was broken off: everything that decides what comes next, in one safetensors file.

No pickle: tensors under names, numbers in the file's metadata. A state appears whole or not at all, and the one before
it stays until then.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from datasets.errors import ConfigError
from datasets.io.atomic import write_bytes

_KEY = "denselens_training"


@dataclass
class Progress:
    """Numbers of a training.

    Attributes:
        stage: Number of the stage that runs.
        step: Steps of it that are done.
        seconds: It took so far, all sittings together.
        factor: What the plateau schedule has made of the rate.
        best: Best figure of a look in this stage; None before the first.
        looks_since: Looks since then without a better one.
        stage_seconds: `seconds` when the stage began.
    """

    stage: int = 0
    step: int = 0
    seconds: float = 0.0
    factor: float = 1.0
    best: float | None = None
    looks_since: int = 0
    stage_seconds: float = 0.0


@dataclass
class State:
    """What a training holds.

    Attributes:
        network: Trained.
        optimiser: Moves it.
        average: Averaged weights by name; empty without averaging.
        kept: Weights of the best look by name; empty where the last ones are kept.
        progress: Where it is.
    """

    network: nn.Module
    optimiser: Optimizer
    average: dict[str, Tensor] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    def weights(self) -> Mapping[str, Tensor]:
        """Those that are looked at and kept: averaged where they are."""
        return self.average or self.network.state_dict()


def write_state(state: State, path: Path) -> None:
    """Write a state whole.

    Raises:
        OSError: The folder cannot be written to.
    """
    tensors: dict[str, Tensor] = {}
    for part, named in (
        ("network", state.network.state_dict()),
        ("average", state.average),
        ("kept", state.kept),
        ("optimiser", _moments(state.optimiser)),
    ):
        tensors |= {f"{part}/{name}": tensor.detach().cpu().contiguous() for name, tensor in named.items()}
    # Tensors that share memory are one in a network and two in a file.
    write_bytes(path, save({name: tensor.clone() for name, tensor in tensors.items()}, {_KEY: _told(state)}))


def read_state(state: State, path: Path) -> None:
    """Put a network, its optimiser and all the rest back into a state, in place.

    Raises:
        ConfigError: The file is damaged, or of a training of another network.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            told = json.loads((opened.metadata() or {})[_KEY])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "kept": {}, "optimiser": {}}
        for name, tensor in tensors.items():
            part, _, own = name.partition("/")
            parts[part][own] = tensor
        device = next(state.network.parameters()).device
        state.network.load_state_dict(parts["network"])
        _put_moments(state.optimiser, parts["optimiser"], told["rates"])
        state.average = {name: tensor.to(device) for name, tensor in parts["average"].items()}
        state.kept = parts["kept"]
        state.progress = Progress(**told["progress"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        got = f"{path.name}: {type(error).__name__}: {error}"
        raise ConfigError("a whole state of this training", got, "start again in another folder") from error


def _told(state: State) -> str:
    rates = [group["lr"] for group in state.optimiser.param_groups]
    return json.dumps({"progress": asdict(state.progress), "rates": rates})


def _moments(optimiser: Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers of each parameter, by the parameter's number and the name of the number."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {
        f"{number}/{name}": value
        for number, memory in state.items()
        for name, value in memory.items()
        if isinstance(value, Tensor)
    }


def _put_moments(optimiser: Optimizer, tensors: Mapping[str, Tensor], rates: list[float]) -> None:
    memory: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition("/")
        memory.setdefault(int(number), {})[what] = tensor
    optimiser.load_state_dict(optimiser.state_dict() | {"state": memory})
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def read_progress(path: Path) -> Progress:
    """Where a training was broken off.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            return Progress(**json.loads((opened.metadata() or {})[_KEY])["progress"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        got = f"{path.name}: {type(error).__name__}: {error}"
        raise ConfigError("a whole state of a training", got, "start again in another folder") from error
