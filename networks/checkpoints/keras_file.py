"""Weights in HDF5 as Keras 2 writes them: read as arrays and as nothing else.

Layout (Keras 2.0.8, keras/engine/topology.py, save_weights): the root has the attributes `layer_names`, `backend` and
`keras_version`; each layer is a group with the attribute `weight_names`, and each of those names is the path of an
array inside the group, such as `conv1/conv1/kernel:0`. `Model.save` puts all of it into a group `model_weights` and the
state of the optimiser beside it. A model inside a model, which training on several GPUs makes, is one such group: its
arrays carry the names of all the layers in it, `denseu161/conv1/kernel:0`.

What an array is for is told by its name and never by its place: the order inside a layer is that of creation in some
files and of the alphabet in others, and both have gamma and beta of equal shape.

No code stands in such a file that is run here: the description of the model beside the arrays is not looked at. Links
to other places and other files, arrays kept in other files and arrays of objects are refused.
"""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from networks.checkpoints.imported import CheckpointRefused

ROLES = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
# Four times the numbers of the largest network read from such a file: an array is held in memory as a whole, and HDF5
# can claim any size without having the bytes.
MOST_NUMBERS = 250_000_000
_KERAS_FILE = "weights as Keras 2 writes them in HDF5"
_FOUND_WHOLE = "use the file as its authors published it"
_OPTIMISER = "optimizer_weights"
_COUNTED = re.compile(r"_\d+$")  # TensorFlow's way to tell scopes of one name apart


@dataclass(frozen=True)
class KerasFile:
    """An open file.

    Attributes:
        name: The file's name, for messages.
        layers: By the name of its layer, then by role, one of `ROLES`, each array.
        left_out: Arrays that are no weights of a layer, each with the reason.
    """

    name: str
    layers: Mapping[str, Mapping[str, h5py.Dataset]]
    left_out: Mapping[str, str]

    def shapes(self, layer: str) -> dict[str, tuple[int, ...]]:
        """Shape of each array of a layer, by role; empty where there is no such layer."""
        return {role: array.shape for role, array in self.layers.get(layer, {}).items()}

    def path(self, layer: str, role: str) -> str:
        """Where an array stands in the file."""
        return str(self.layers[layer][role].name).removeprefix("/")

    def read(self, layer: str, role: str) -> Tensor:
        """One array as float32.

        Raises:
            CheckpointRefused: if the bytes are damaged, a number is not finite, or a variance negative.
        """
        with _readable(self.name):
            array = self.layers[layer][role][()]
        with np.errstate(over="ignore"):  # Too large for float32 becomes infinite, which the next line finds.
            numbers = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        if not bool(torch.isfinite(numbers).all()):
            got = f"{self.path(layer, role)} of {self.name} with NaN, infinite or too large numbers"
            raise CheckpointRefused("finite weights", got, "its training failed; use another checkpoint")
        if role == "moving_variance" and bool((numbers < 0).any()):
            got = f"{self.path(layer, role)} of {self.name} with negative numbers"
            raise CheckpointRefused("variances of at least zero", got, _FOUND_WHOLE)
        return numbers


@contextmanager
def open_keras_file(path: Path, layer_name: re.Pattern[str]) -> Iterator[KerasFile]:
    """Look through a file; arrays are read when asked for, while it is open.

    Args:
        path: The file.
        layer_name: What names of layers look like. It tells a layer from a model that holds layers, and the name of a
            layer from that name with a count behind it (`conv1_1`).

    Raises:
        CheckpointRefused: if it is no such file, is damaged, holds what such files do not hold, or does not say what
            an array is for.
    """
    if not path.is_file() or not h5py.is_hdf5(path):
        what = "no HDF5 file" if path.is_file() else "no file"
        raise CheckpointRefused(_KERAS_FILE, f"{path.name}, which is {what}", "check the path and the download")
    with _readable(path.name):
        file = h5py.File(path, "r")
    with file:
        with _readable(path.name):
            found = _look_through(file, path.name, layer_name)
        yield found


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Say in our words what the HDF5 library says of damage."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError, UnicodeError) as error:
        got = f"{name}, which HDF5 cannot read: {error}"
        raise CheckpointRefused("an undamaged HDF5 file", got, "download it again and compare its size") from error


def _look_through(file: h5py.File, name: str, layer_name: re.Pattern[str]) -> KerasFile:
    arrays = _arrays(file, name)
    whole = isinstance(file.get("model_weights"), h5py.Group)  # `save`; else `save_weights`
    inside, root = ("model_weights/", file["model_weights"]) if whole else ("", file)
    _check_origin(root, name)
    layers: dict[str, dict[str, h5py.Dataset]] = {}
    listed = set()
    for group in _names(root, "layer_names", name):
        for weight in _names(root[group], "weight_names", name):
            place = f"{inside}{group}/{weight}"
            if place not in arrays:
                got = f"{name}, which lists {place} and lacks it"
                raise CheckpointRefused("every array that the file lists", got, _FOUND_WHOLE)
            layer, role = _meaning(group, weight, layer_name, name)
            if role in layers.setdefault(layer, {}):
                got = f"{name} with two: {layers[layer][role].name} and /{place}"
                raise CheckpointRefused(f"one {role} of {layer}", got, "save the model alone, outside of other models")
            layers[layer][role] = arrays[place]
            listed.add(place)
    left_out = {
        place: "state of the optimiser, of use in resumed training alone"
        for place in arrays
        if whole and place.startswith(f"{_OPTIMISER}/")
    }
    unknown = sorted(arrays.keys() - listed - left_out.keys())
    if unknown:
        got = f"{name} with {len(unknown)} more: {_some(unknown)}"
        raise CheckpointRefused("the arrays that the file lists and no other", got, _FOUND_WHOLE)
    _check_sizes({place: arrays[place] for place in listed}, name)
    return KerasFile(name, layers, left_out)


def _arrays(file: h5py.File, name: str) -> dict[str, h5py.Dataset]:
    """Every array of the file by its path."""
    found: dict[str, h5py.Dataset] = {}

    def visit(place: str, link: object) -> str | None:
        if not isinstance(link, h5py.HardLink):
            return place  # which ends the visit
        if isinstance(file[place], h5py.Dataset):
            found[place] = file[place]
        return None

    elsewhere = file.visititems_links(visit)
    if elsewhere is not None:
        got = f"{name}, in which {elsewhere} is a link to another place"
        raise CheckpointRefused("a file that holds its own arrays", got, _FOUND_WHOLE)
    return found


def _check_origin(root: h5py.Group, name: str) -> None:
    """Refuse Keras 1 and other backends: their kernels have other axes or run backwards."""
    told = {key: _text(root.attrs.get(key)) for key in ("keras_version", "backend")}
    if not told["keras_version"].startswith("2.") or told["backend"] != "tensorflow":
        got = f"{name} with " + " and ".join(f'{key} "{value}"' for key, value in told.items())
        raise CheckpointRefused("keras_version 2 and backend tensorflow in the attributes", got, _FOUND_WHOLE)


def _names(group: h5py.Group, attribute: str, name: str) -> list[str]:
    """Names in an attribute; newer versions of Keras spread long lists over `attribute0`, `attribute1` and so on."""
    parts = [attribute] if attribute in group.attrs else []
    while not parts or (parts[0] != attribute and f"{attribute}{len(parts)}" in group.attrs):
        parts.append(f"{attribute}{len(parts)}")
    found = [group.attrs.get(part) for part in parts]
    texts = [text for values in found if isinstance(values, np.ndarray) for text in values.ravel().tolist()]
    if not all(isinstance(values, np.ndarray) for values in found) or not all(
        isinstance(text, bytes | str) for text in texts
    ):
        got = f"{name}, in which {group.name} has none"
        raise CheckpointRefused(f"{_KERAS_FILE}, with a list {attribute}", got, _FOUND_WHOLE)
    return [_text(text) for text in texts]


def _text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _meaning(group: str, weight: str, layer_name: re.Pattern[str], name: str) -> tuple[str, str]:
    """The layer an array belongs to, and what it is there.

    In a group of its own name a layer has that name; else the scope before the array's own name says it.
    """
    *scopes, own = weight.split("/")
    own = _COUNTED.sub("", own.removesuffix(":0"))
    role = next((role for role in ROLES if own == role or own.endswith(f"_{role}")), None)
    layer = group if layer_name.fullmatch(group) or not scopes else scopes[-1]
    if not layer_name.fullmatch(layer) and layer_name.fullmatch(_COUNTED.sub("", layer)):
        layer = _COUNTED.sub("", layer)
    if role is None:
        got = f"{group}/{weight} of {name}"
        raise CheckpointRefused(f"arrays named {', '.join(ROLES)}", got, _FOUND_WHOLE)
    return layer, role


def _check_sizes(arrays: Mapping[str, h5py.Dataset], name: str) -> None:
    """Refuse before anything is read what is not floating point, lies in other files or is larger than any network."""
    for place, array in arrays.items():
        if array.dtype.kind != "f" or array.is_virtual or array.external or not 1 <= array.ndim <= 5 or not array.size:
            got = f"{place} of {name}: {array.dtype}, shape {array.shape}"
            raise CheckpointRefused("arrays of floating point numbers kept in the file", got, _FOUND_WHOLE)
    numbers = sum(math.prod(array.shape) for array in arrays.values())
    if numbers > MOST_NUMBERS:
        got = f"{name} with {numbers:,}"
        raise CheckpointRefused(f"at most {MOST_NUMBERS:,} numbers", got, _FOUND_WHOLE)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
