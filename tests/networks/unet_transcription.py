"""The layers of the U-Nets' papers written out as functions of weights alone, to hold our modules to."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional


class Layers:
    """Convolutions, doublings and units of a network, by the names of their weights."""

    def __init__(self, network: nn.Module) -> None:
        self.state, self.flat = network.state_dict(), network.config.spatial_dims == 2

    def conv(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return (functional.conv2d if self.flat else functional.conv3d)(x, weight, bias, padding=weight.shape[-1] // 2)

    def up(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        return (functional.conv_transpose2d if self.flat else functional.conv_transpose3d)(x, weight, bias, stride=2)

    def pool(self, x: Tensor) -> Tensor:
        return (functional.max_pool2d if self.flat else functional.max_pool3d)(x, 2)

    def unit(self, name: str, x: Tensor) -> Tensor:
        for index in (1, 2):
            x = self.conv(f"{name}.conv{index}", x)
            norm = f"{name}.norm{index}"
            if f"{norm}.weight" in self.state:
                mean, variance, scale, offset = (
                    self.state[f"{norm}.{part}"].view(-1, *[1] * (x.ndim - 2))
                    for part in ("running_mean", "running_var", "weight", "bias")
                )
                x = (x - mean) / torch.sqrt(variance + 1e-5) * scale + offset
            x = x.clamp(min=0)
        return x


def unet(network: nn.Module, x: Tensor, levels: int) -> Tensor:
    """Ronneberger et al., figure 1, and Çiçek et al., figure 2: down, up, what came down beside what comes up."""
    layers = Layers(network)

    def level(index: int, x: Tensor) -> Tensor:
        down = layers.unit(f"analysis.{index}", x)
        if index == levels - 1:
            return down
        up = layers.up(f"ups.{index}", level(index + 1, layers.pool(down)))
        return layers.unit(f"synthesis.{index}", torch.cat([up, down], dim=1))

    return layers.conv("head", level(0, x))


def unet_plus_plus(network: nn.Module, x: Tensor, encoded: Sequence[Tensor] = ()) -> list[Tensor]:
    """Equation 1 of the first paper as a recursion: logits of X(0,1) to X(0,last).

    Args:
        network: whose weights count.
        x: images.
        encoded: X(1,0), X(2,0) and on where they are not units.
    """
    layers = Layers(network)

    def first(i: int) -> Tensor:
        if i and encoded:
            return encoded[i - 1]
        return layers.unit(f"units.x_{i}_0", layers.pool(node(i - 1, 0)) if i else x)

    @cache
    def node(i: int, j: int) -> Tensor:
        if j == 0:
            return first(i)
        up = layers.up(f"ups.x_{i}_{j}", node(i + 1, j - 1))
        return layers.unit(f"units.x_{i}_{j}", torch.cat([up, *(node(i, k) for k in range(j))], dim=1))

    return [layers.conv(f"heads.{j}", node(0, int(j))) for j in network.heads]
