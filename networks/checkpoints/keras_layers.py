"""Arrays of Keras layers as tensors of our convolutions and normalisations.

Kernels of Keras are (H, W, in, out), ours (out, in, H, W). In three dimensions the authors of H-DenseUNet have
(x, y, z, in, out) with z along the slices, our networks (D, H, W): (out, in, z, x, y), the first axis of a slice
staying the first.

A normalisation followed by a layer `Scale` becomes one: gamma = gamma_norm * gamma_scale and beta = beta_norm *
gamma_scale + beta_scale, in double precision.
"""

from collections.abc import Set as AbstractSet
from typing import NamedTuple

import torch
from torch import Tensor

from networks.checkpoints.imported import Mapped
from networks.checkpoints.keras_file import KerasFile
from networks.layers import BatchNorm, Convolution

_FROM_KERAS = {4: (3, 2, 0, 1), 5: (4, 3, 2, 0, 1)}
_KERNEL_HOW = {4: "HWIO to OIHW", 5: "(x, y, z, in, out) to (out, in, z, x, y), x is our H"}


class Place(NamedTuple):
    """A convolution or normalisation of ours and the authors' layers that become it: two where one is a Scale."""

    name: str
    module: Convolution | BatchNorm
    layers: tuple[str, ...]


def wanted_shapes(place: Place) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the authors' arrays for a part of ours, by layer, then by role."""
    module = place.module
    if isinstance(module, Convolution):
        ours = tuple(module.weight.shape)
        axes = _FROM_KERAS[len(ours)]
        kernel = tuple(ours[axes.index(axis)] for axis in range(len(ours)))
        return {place.layers[0]: {"kernel": kernel} | ({} if module.bias is None else {"bias": (ours[0],)})}
    width: tuple[int, ...] = (module.num_features,)
    wanted = {place.layers[0]: dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), width)}
    return wanted | {scale: {"gamma": width, "beta": width} for scale in place.layers[1:]}


def tensors_of(file: KerasFile, place: Place, absent: AbstractSet[str]) -> dict[str, tuple[Tensor, Mapped]]:
    """Tensors of one part of ours, by their names in it, each with where it came from.

    Args:
        file: Has the arrays, in the shapes that `wanted_shapes` tells.
        place: The part.
        absent: Layers that the file lacks and that become zero.

    Raises:
        CheckpointRefused: if a number is not finite or an array is damaged.
    """
    if absent & set(place.layers):
        how = "not in the file: auxiliary head, set to zero"
        return {
            name: (torch.zeros(parameter.shape), Mapped(f"{place.name}.{name}", (), how))
            for name, parameter in place.module.named_parameters()
        }
    return _convolution(file, place) if isinstance(place.module, Convolution) else _normalisation(file, place)


def _convolution(file: KerasFile, place: Place) -> dict[str, tuple[Tensor, Mapped]]:
    layer = place.layers[0]
    kernel = file.read(layer, "kernel")
    axes, how = _FROM_KERAS[kernel.ndim], _KERNEL_HOW[kernel.ndim]
    weight = kernel.permute(axes).contiguous()  # (out, in, H, W) or (out, in, D, H, W)
    filled = {"weight": (weight, Mapped(f"{place.name}.weight", (file.path(layer, "kernel"),), how))}
    if place.module.bias is not None:
        filled["bias"] = (file.read(layer, "bias"), Mapped(f"{place.name}.bias", (file.path(layer, "bias"),)))
    return filled


def _normalisation(file: KerasFile, place: Place) -> dict[str, tuple[Tensor, Mapped]]:
    norm, *scales = place.layers
    gamma, beta = file.read(norm, "gamma").double(), file.read(norm, "beta").double()
    weight_from, bias_from = [file.path(norm, "gamma")], [file.path(norm, "beta")]
    for scale in scales:
        factor = file.read(scale, "gamma").double()
        gamma, beta = gamma * factor, beta * factor + file.read(scale, "beta").double()
        weight_from += [file.path(scale, "gamma")]
        bias_from += [file.path(scale, "gamma"), file.path(scale, "beta")]
    folded = {"weight": "gamma of both, multiplied", "bias": "beta * gamma of Scale + beta of Scale"} if scales else {}
    sources = {
        "weight": (gamma.float(), tuple(weight_from)),
        "bias": (beta.float(), tuple(bias_from)),
        "running_mean": (file.read(norm, "moving_mean"), (file.path(norm, "moving_mean"),)),
        "running_var": (file.read(norm, "moving_variance"), (file.path(norm, "moving_variance"),)),
    }
    filled = {
        name: (tensor, Mapped(f"{place.name}.{name}", theirs, folded.get(name, "as it is")))
        for name, (tensor, theirs) in sources.items()
    }
    counted = Mapped(f"{place.name}.num_batches_tracked", (), "zero: Keras does not count batches")
    return filled | {"num_batches_tracked": (torch.zeros((), dtype=torch.int64), counted)}
