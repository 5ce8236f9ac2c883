"""Which maps inside a network are explained: where its last ones lie, and how far apart their cells are.

The last map of a classifier is what its head pools; of a network that labels pixels it is the deepest one, the
bottleneck, which Vinogradova et al. (AAAI 2020) found to say most. A map inside a network that pads its images belongs
to the padded image; what lies beyond the image is dropped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from datasets.errors import ConfigError
from networks.dense_unet import DenseUNet
from networks.dense_unet_3d import DenseUNet3D
from networks.densenet import DenseNet
from networks.h_dense_unet import HDenseUNet
from networks.layers import crop_to_size, pad_to_size
from networks.unet import UNet
from networks.unet_plus_plus import UNetPlusPlus


@dataclass(frozen=True)
class Place:
    """A map inside a network.

    Attributes:
        path: The module it is next to.
        side: Whether it is what the module is given first, or what it answers.
        stride: Pixels of the padded image per cell, along every axis; None where that is not known, and the map is
            taken to span the image.
    """

    path: str
    side: Literal["input", "output"] = "output"
    stride: tuple[int, ...] | None = None


@dataclass(frozen=True)
class LinearHead:
    """A classifier that takes the mean over each map and then a sum over maps.

    Attributes:
        place: Where its maps are.
        rectified: Whether only what is positive of them counts.
        weight: (classes, maps).
    """

    place: Place
    rectified: bool
    weight: Tensor


def linear_head(network: nn.Module) -> LinearHead | None:
    """The head of a classifier of means, of a network as built or rewritten for inference; None of any other."""
    if not isinstance(network, DenseNet):
        return None
    config = network.config
    stride = (2 ** (len(config.widths.block_config) + 1),) * config.spatial_dims
    linear = getattr(network.classifier, "linear", network.classifier)  # Rewritten, it stands in another module.
    return LinearHead(Place("features", "output", stride), config.rectified, linear.weight.detach())


def last_places(network: nn.Module, count: int = 1) -> list[Place]:
    """The last maps of a network, the deepest first, then those before it.

    Args:
        network: One of this project's, as built.
        count: 1 to 3.

    Raises:
        ConfigError: It is none of them, or has fewer maps.
    """
    places = _places(network)
    if len(places) < count:
        raise ConfigError(
            "a network whose layers are known" if not places else f"a network of {count} levels",
            type(network).__name__ if not places else f"{type(network).__name__} of {len(places)}",
            "name the layer" if count == 1 else "choose another method, or fewer layers",
        )
    return places[:count]


def _places(network: nn.Module) -> list[Place]:
    if isinstance(network, DenseNet):
        head, last = linear_head(network), len(network.config.widths.block_config)
        return ([] if head is None else [head.place]) + _of_trunk("features", last)
    if isinstance(network, DenseUNet):
        last = len(network.config.widths.block_config)
        return [Place("decoder.0", "input", (network.config.divisor,) * 2), *_of_trunk("encoder", last)]
    if isinstance(network, DenseUNet3D):
        deep, wide = network.config.depth_divisor, network.config.divisor
        last = len(network.config.block_config)
        return [Place("decoder.0", "input", (deep, wide, wide)), *_of_trunk("encoder", last)]
    if isinstance(network, HDenseUNet):
        # Where what both networks found meets: no earlier map has a say in all of the answer.
        stages = len(network.volume_network.decoder)
        before = [Place(f"volume_network.decoder.{stage}") for stage in range(stages - 1, stages - 3, -1)]
        return [Place("fusion.conv", "input", (1, 1, 1)), *before]
    if isinstance(network, UNet):
        deepest = len(network.ups)
        units = [Place(f"analysis.{level}") for level in range(deepest - 1, -1, -1)]
        return [Place(f"ups.{deepest - 1}", "input", _halved(network.config.spatial_dims, deepest)), *units]
    if isinstance(network, UNetPlusPlus):
        depth = network.config.depth
        nodes = [Place(_left_node(network, level)) for level in range(depth - 1, 0, -1)]
        return [Place(f"ups.x_{depth - 1}_1", "input", _halved(network.config.spatial_dims, depth)), *nodes]
    return []


def _of_trunk(name: str, last: int) -> list[Place]:
    """What is before the last normalisation of a DenseNet's trunk."""
    return [Place(f"{name}.denseblock{last}"), Place(f"{name}.transition{last - 1}")]


def _left_node(network: UNetPlusPlus, level: int) -> str:
    """The module that answers with X(level, 0)."""
    if network.encoder is None:
        return f"units.x_{level}_0"
    return "encoder.relu0" if level == 1 else f"encoder.transition{level - 1}.conv"


def _halved(spatial_dims: int, times: int) -> tuple[int, ...]:
    return (2**times,) * spatial_dims


def on_inputs(coarse: Tensor, size: Sequence[int], stride: tuple[int, ...] | None) -> Tensor:
    """Bring maps of cells onto the grid of the inputs, linearly.

    Args:
        coarse: (N, T, *cells).
        size: Of the inputs, (H, W) or (D, H, W).
        stride: Pixels per cell; None: the cells span the inputs.

    Returns:
        (N, T, *size). Where cells reach beyond the inputs they are cut, where they end before, the last one goes on.
    """
    cells = coarse.shape[2:]
    field = tuple(size) if stride is None else tuple(n * step for n, step in zip(cells, stride, strict=True))
    if field != tuple(cells):
        mode = "bilinear" if len(cells) == 2 else "trilinear"
        coarse = functional.interpolate(coarse, size=field, mode=mode, align_corners=False)
    return crop_to_size(pad_to_size(coarse, size), size)


def place_of(network: nn.Module, layer: str | None) -> Place:
    """The place to explain: the one of a name, else the last.

    Raises:
        ConfigError: There is no such module.
    """
    if layer is None:
        return last_places(network)[0]
    if layer not in dict(network.named_modules()):
        raise ConfigError("the name of a module of the network", layer, "see networks/ for the names of its parts")
    return Place(layer)


def same_size(maps: Sequence[Tensor]) -> list[Tensor]:
    """Bring maps (N, T, *cells), each with cells of its own, onto the finest of their grids, linearly."""
    finest = max((tuple(one.shape[2:]) for one in maps), key=math.prod)
    mode = "bilinear" if len(finest) == 2 else "trilinear"
    return [
        one
        if tuple(one.shape[2:]) == finest
        else functional.interpolate(one, size=finest, mode=mode, align_corners=False)
        for one in maps
    ]
