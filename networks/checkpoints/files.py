"""Checkpoint files to tensors by name, without running anything that stands in them.

safetensors, and what `torch.save` writes, opened with `weights_only=True` alone: a pickle that names anything but
tensors and plain values is refused by that name. What a file is, its first bytes decide before any library opens it.
"""

import json
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from networks.checkpoints.imported import CheckpointRefused

TORCH_ENDINGS = (".pt", ".pth", ".pth.tar", ".bin")
SAFETENSORS_ENDING = ".safetensors"
KERAS_ENDINGS = (".h5", ".hdf5")

_SNIFFED = 512
_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x80", "a pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a pointer of Git LFS"),
)
_TAR_AT, _TAR = 257, b"ustar"
_ADVICE = {
    "an empty file": "fetch it again",
    "an HTML page": "the server answered with a page and not with the file: fetch it again, by its direct address",
    "a pointer of Git LFS": "fetch the file itself with `git lfs pull`",
    "a tar archive": "unpack it; weights of torch before 0.1.10 are tar archives, which a torch of today rewrites with "
    "torch.load and torch.save",
    "a gzip archive": "unpack it",
    "an HDF5 file": "name it .h5; of Keras files, those of H-DenseUNet are known",
    "a safetensors file": f"name it {SAFETENSORS_ENDING}",
    "a zip archive": "name it .pth if torch wrote it, unpack it otherwise",
    "a pickle": "name it .pth if torch wrote it",
}
# Numbers of NumPy, which training scripts leave beside the weights ("best_loss"); they are data and run nothing. The
# older name is that of NumPy before 2.0.
_NUMBER = np.float64(0.0).__reduce__()[0]
_HARMLESS: list[Any] = [
    (_NUMBER, "numpy.core.multiarray.scalar"),
    (_NUMBER, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64", "bool")),
]
_UNSAFE = re.compile(r"GLOBAL (\S+) was not an allowed global|whose module (\S+) is blocked")
# What torch raises on files that are cut off or damaged, found by cutting and damaging files.
_DAMAGE = (
    UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    OverflowError,
    MemoryError,
    struct.error,
    BadZipFile,
)
_EXPORT = "where the file was made, run torch.save(model.state_dict(), 'weights.pth') and import that"


@dataclass(frozen=True)
class CheckpointFile:
    """What stands in a file.

    Attributes:
        name: The file's, for messages.
        tensors: The weights by their names there, on the CPU.
        beside: What stands beside the weights: epochs, thresholds.
        settings: The settings of the network, where the file tells them as our own files do.
    """

    name: str
    tensors: Mapping[str, Tensor]
    beside: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None


def read_checkpoint(path: Path) -> CheckpointFile:
    """Read a .safetensors, .pt, .pth, .pth.tar or .bin file.

    Raises:
        CheckpointRefused: There is no such file, it is something else, damaged, or would have to run code to be read.
    """
    found = sniff(path)
    if path.name.endswith(SAFETENSORS_ENDING):
        _check_kind(path, found, ("a safetensors file",))
        return _read_safetensors(path)
    if not path.name.endswith(TORCH_ENDINGS):
        known = ", ".join((SAFETENSORS_ENDING, *TORCH_ENDINGS, *KERAS_ENDINGS))
        raise CheckpointRefused(f"a file of weights ({known})", f"{path.name}, {found}", _ADVICE.get(found, "check it"))
    _check_kind(path, found, ("a zip archive", "a pickle"))
    return _weights_within(_load_torch(path), path)


def sniff(path: Path) -> str:
    """What a file is by its first bytes: "a zip archive", "an HTML page", "a file of unknown kind".

    Raises:
        CheckpointRefused: The file is not there or may not be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(_SNIFFED)
    except OSError as error:
        raise CheckpointRefused("a file of weights", f"{path}: {error.strerror or error}", "check the path") from error
    if not start:
        return "an empty file"
    if start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] < path.stat().st_size:
        return "a safetensors file"
    if start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return "a tar archive"
    if re.match(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml|!--|head)", start, re.IGNORECASE):
        return "an HTML page"
    return next((told for sign, told in _SIGNATURES if start.startswith(sign)), "a file of unknown kind")


def _check_kind(path: Path, found: str, expected: tuple[str, ...]) -> None:
    if found not in expected:
        advice = _ADVICE.get(found, "fetch it again, or give it the ending of what it is")
        raise CheckpointRefused(" or ".join(expected), f"{path.name}, {found}", advice)


def _read_safetensors(path: Path) -> CheckpointFile:
    try:
        with safe_open(path, framework="pt") as file:
            told = (file.metadata() or {}).get("network")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping, has keys only
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointRefused("a whole safetensors file", f"{path.name}: {error}", "fetch it again") from error
    try:
        settings = None if told is None else dict(json.loads(told))
    except (ValueError, TypeError) as error:
        raise CheckpointRefused("settings of a network as JSON", f"{path.name}: {error}", "make it again") from error
    return CheckpointFile(path.name, tensors, settings=settings)


def _load_torch(path: Path) -> object:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_HARMLESS):
            warnings.simplefilter("ignore")  # torch warns of TorchScript archives, then refuses them
            loaded: object = torch.load(path, map_location="cpu", weights_only=True)
            return loaded
    except _DAMAGE as error:
        told = str(error)
        if unsafe := _UNSAFE.search(told):
            wanted = unsafe.group(1) or unsafe.group(2)
            got = f"{path.name}, a pickle that needs {wanted}, whose code would have to run to open it"
            raise CheckpointRefused("tensors by name and nothing to run", got, _EXPORT) from error
        if "TorchScript" in told:
            raise CheckpointRefused("tensors by name", f"{path.name}, a TorchScript archive", _EXPORT) from error
        if "legacy .tar" in told:
            raise CheckpointRefused(
                "tensors by name", f"{path.name}, a tar archive", _ADVICE["a tar archive"]
            ) from error
        reason = next((line for line in reversed(told.splitlines()) if line.strip()), type(error).__name__)
        raise CheckpointRefused(
            "a whole file written by torch.save",
            f"{path.name}: {reason.strip()[:200]}",
            "it is damaged, or torch did not write it: fetch it again",
        ) from error


def _weights_within(loaded: object, path: Path) -> CheckpointFile:
    """Find the one mapping from names to tensors: the file itself, or what stands in it under one name."""
    if not isinstance(loaded, Mapping):
        raise CheckpointRefused("tensors by name", f"{path.name}, which holds a {type(loaded).__name__}", _EXPORT)
    inner = [name for name, value in loaded.items() if _is_state(value)]
    if len(inner) > 1:
        told = ", ".join(str(name) for name in inner)
        raise CheckpointRefused("weights of one network", f"{path.name}, which holds {told}", "save one of them alone")
    state: Mapping[str, Any] = loaded[inner[0]] if inner else loaded
    tensors = {name: _plain(name, value, path) for name, value in state.items() if isinstance(value, Tensor)}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise CheckpointRefused("tensors by name", f"{path.name}, which holds none", _EXPORT)
    beside = {str(name): value for name, value in state.items() if not isinstance(value, Tensor)}
    if inner:
        beside |= {str(name): value for name, value in loaded.items() if name != inner[0]}
    return CheckpointFile(path.name, tensors, beside)


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(name, str) and isinstance(inner, Tensor) for name, inner in value.items()
    )


def _plain(name: object, tensor: Tensor, path: Path) -> Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or tensor.device.type != "cpu":
        got = f"{path.name}: {name} is {tensor.layout}, {tensor.dtype}, on {tensor.device}"
        raise CheckpointRefused("plain tensors", got, "save the weights dense and not quantised")
    return tensor.detach()
