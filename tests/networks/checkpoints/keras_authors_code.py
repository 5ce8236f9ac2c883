"""The layers of H-DenseUNet's public Keras code, a file of them, what they compute; knows nothing of our networks.

Names, shapes and order follow xmengli/H-DenseUNet (hybridnet.py, denseunet.py, densenet.py, lib/custom_layers.py); the
evaluation keeps the axes of that code: (batch, x, y, channels) and (batch, x, y, z, channels).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# By layer, then by the array's name inside the layer's group. A shape in place of an array is one of zeros.
Arrays = dict[str, dict[str, np.ndarray]]
Shapes = dict[str, dict[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Widths:
    """What the functions DenseUNet and DenseNet3D of that code fix by number."""

    stem: int
    growth: int
    blocks: tuple[int, int, int, int]
    up: tuple[int, int, int, int, int]
    prefix: str
    head: str


SLICES = Widths(96, 48, (6, 12, 36, 24), (768, 384, 96, 96, 64), "", "dense167classifer")
VOLUME = Widths(96, 32, (3, 4, 12, 8), (504, 224, 192, 96, 64), "3d", "3dclassifer")
# Narrow ones in which, as in the published ones, sums meet sums of equal width.
NARROW_SLICES = Widths(8, 6, (1, 2, 2, 2), (19, 14, 8, 8, 10), "", "dense167classifer")
NARROW_VOLUME = Widths(6, 4, (2, 1, 2, 1), (10, 11, 14, 6, 10), "3d", "3dclassifer")


def hybrid_shapes(slices: Widths, volume: Widths, *, auxiliary: bool) -> Shapes:
    """All layers with weights of `dense_rnn_net`; Keras saves `3dclassifer` only where a model has it as an output."""
    features = slices.up[-1]
    shapes = slice_shapes(slices, long=False) | _network(volume, 4, (3, 3, 3))
    if not auxiliary:
        del shapes["3dclassifer"]
    shapes |= _convolution("fianl_conv", (3, 3, 3, features, features), bias=True)
    shapes |= _normalisation("final_bn", features)
    return shapes | _convolution("2d3dclassifer", (1, 1, 1, features, 3), bias=True)


def slice_shapes(widths: Widths, *, long: bool) -> Shapes:
    """All layers with weights of `DenseUNet`: denseunet.py has long connections, densenet.py has not."""
    shapes = _network(widths, 3, (3, 3))
    if long:
        *_, (before, _), (last, _) = _blocks(widths)
        shapes |= _convolution("line0", (1, 1, before, last), bias=True)
    return shapes


def narrow_arrays() -> Arrays:
    """A hybrid network of small widths, with its auxiliary head."""
    return random_arrays(hybrid_shapes(NARROW_SLICES, NARROW_VOLUME, auxiliary=True))


def _blocks(widths: Widths) -> Iterator[tuple[int, int]]:
    """Channels at the end of each dense block and behind its transition."""
    channels = widths.stem
    for layers in widths.blocks:
        channels += layers * widths.growth
        yield channels, int(channels * 0.5)
        channels = int(channels * 0.5)


def _network(widths: Widths, inputs: int, kernel: tuple[int, ...]) -> Shapes:
    one, seven, prefix = (1,) * len(kernel), (7,) * len(kernel), widths.prefix
    channels = widths.stem
    shapes = _convolution(f"{prefix}conv1", (*seven, inputs, channels)) | _scaled(f"{prefix}conv1", channels)
    for index, layers in enumerate(widths.blocks):
        stage = index + 2
        for branch in range(1, layers + 1):
            name, inner = f"{prefix}conv{stage}_{branch}", 4 * widths.growth
            shapes |= _scaled(f"{name}_x1", channels)
            shapes |= _convolution(f"{name}_x1", (*one, channels, inner))
            shapes |= _scaled(f"{name}_x2", inner)
            shapes |= _convolution(f"{name}_x2", (*kernel, inner, widths.growth))
            channels += widths.growth
        shapes |= _scaled(f"{prefix}conv{stage}_blk", channels)
        if stage < 5:
            shapes |= _convolution(f"{prefix}conv{stage}_blk", (*one, channels, int(channels * 0.5)))
            channels = int(channels * 0.5)
    for index, width in enumerate(widths.up):
        shapes |= _convolution(f"{prefix}conv_up{index}", (*kernel, channels, width), bias=True)
        shapes |= _normalisation(f"{prefix}bn_up{index}", width)
        channels = width
    return shapes | _convolution(widths.head, (*one, channels, 3), bias=True)


def _convolution(name: str, kernel: tuple[int, ...], *, bias: bool = False) -> Shapes:
    return {name: {f"{name}/kernel:0": kernel} | ({f"{name}/bias:0": kernel[-1:]} if bias else {})}


def _normalisation(name: str, channels: int) -> Shapes:
    return {name: {f"{name}/{role}:0": (channels,) for role in ("gamma", "beta", "moving_mean", "moving_variance")}}


def _scaled(name: str, channels: int) -> Shapes:
    scale = f"{name}_scale"
    arrays = {f"{scale}/{scale}_{role}:0": (channels,) for role in ("gamma", "beta")}
    return _normalisation(f"{name}_bn", channels) | {scale: arrays}


def random_arrays(shapes: Shapes, seed: int = 0) -> Arrays:
    """Weights that keep activations near one; the class maps that come times 250 meet weights 250 times smaller."""
    generator = np.random.default_rng(seed)

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        numbers = generator.standard_normal(shape, dtype=np.float32)
        if name.endswith("kernel:0"):
            numbers *= np.float32((2.0 / np.prod(shape[:-1])) ** 0.5)
            if name.startswith("3dconv1/"):
                numbers[:, :, :, 1:] /= 250.0
        elif name.endswith(("gamma:0", "variance:0")):
            numbers = generator.uniform(0.5, 2.0 if "variance" in name else 1.4, shape).astype(np.float32)
        else:
            numbers *= np.float32(0.2)
        return numbers

    return {layer: {name: draw(name, shape) for name, shape in own.items()} for layer, own in shapes.items()}


def write(
    path: Path, arrays: Arrays | Shapes, *, inside: str = "", text: type = bytes, alphabetical: bool = False
) -> Path:
    """`save_weights` of Keras 2.0.8; into a group `inside` as `save` does; layers without weights included."""
    with h5py.File(path, "w") as file:
        root = file.require_group(inside) if inside else file
        weightless = ["volumetric_data", "conv1_zeropadding", "relu1", "pool1", "concat_2_1", "lambda_1"]
        _say(root, "layer_names", [*weightless, *arrays], text)
        root.attrs["backend"], root.attrs["keras_version"] = _text("tensorflow", text), _text("2.0.8", text)
        for layer in weightless:
            root.create_group(layer).attrs["weight_names"] = []
        for layer, own in arrays.items():
            group = root.create_group(layer)
            _say(group, "weight_names", sorted(own) if alphabetical else list(own), text)
            for name, numbers in own.items():
                if isinstance(numbers, tuple):
                    group.create_dataset(name, numbers, "f4")
                else:
                    group.create_dataset(name, data=numbers)
    return path


def _text(text: str, kind: type) -> str | np.bytes_:
    return np.bytes_(text.encode()) if kind is bytes else text


def _say(group: h5py.Group, attribute: str, names: list[str], kind: type) -> None:
    group.attrs[attribute] = np.array([name.encode() for name in names]) if kind is bytes else names


class Evaluation:
    """The public code's layers on the arrays of a file, in double precision."""

    def __init__(self, arrays: Arrays) -> None:
        self.numbers = {name: torch.from_numpy(array) for own in arrays.values() for name, array in own.items()}

    def hybrid(self, volume: Tensor, slices: Widths, deep: Widths) -> tuple[Tensor, Tensor, Tensor | None]:
        """(x, y, z) to the logits (x, y, z, 3) of the fusion, the 2D network and, where there is one, the 3D head."""
        count = volume.shape[2]
        triples = [(0, 0, 1), *((z, z + 1, z + 2) for z in range(count - 2)), (count - 2, count - 1, count - 1)]
        batch = torch.stack([volume[:, :, list(triple)] for triple in triples])  # (z, x, y, 3)
        features, maps = (found.permute(1, 2, 0, 3)[None] for found in self.slices(batch, slices, long=False))
        seen = torch.cat([volume[None, ..., None], maps * 250], dim=4)
        own, _ = self._encoder(seen, deep, pool=(2, 2, 1))
        for index in range(5):
            own = self._up(own, deep, index, (2, 2, 1) if index < 3 else (2, 2, 2))
        auxiliary = self._convolution(own, "3dclassifer")[0] if "3dclassifer/kernel:0" in self.numbers else None
        fused = functional.relu(self._normalised(self._convolution(own + features, "fianl_conv", 1), "final_bn", 1e-3))
        return self._convolution(fused, "2d3dclassifer")[0], maps[0], auxiliary

    def slices(self, x: Tensor, widths: Widths, *, long: bool) -> tuple[Tensor, Tensor]:
        """(batch, x, y, 3) to features (batch, x, y, channels) and logits (batch, x, y, 3)."""
        x, boxes = self._encoder(x, widths, pool=(2, 2))
        taps: list[Callable[[Tensor], Tensor]] = [lambda up: up] * 5
        if long:
            sums = (self._convolution(boxes[3], "line0"), boxes[2], boxes[1], boxes[0])
            taps[:4] = [lambda up, tap=tap: tap + up for tap in sums]
        for index in range(5):
            x = self._up(x, widths, index, (2, 2), taps[index])
        return x, self._convolution(x, widths.head)

    def _encoder(self, x: Tensor, widths: Widths, pool: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        prefix, dims = widths.prefix, len(pool)
        x = self._rectified(self._convolution(x, f"{prefix}conv1", 3, stride=2), f"{prefix}conv1")
        boxes = [x]
        peak = functional.max_pool2d if dims == 2 else functional.max_pool3d
        mean = functional.avg_pool2d if dims == 2 else functional.avg_pool3d
        x = _channels_first(x, lambda wide: peak(functional.pad(wide, (1, 1) * dims), 3, 2))
        for stage, layers in enumerate(widths.blocks, start=2):
            for branch in range(1, layers + 1):
                name = f"{prefix}conv{stage}_{branch}"
                inner = self._convolution(self._rectified(x, f"{name}_x1"), f"{name}_x1")
                x = torch.cat([x, self._convolution(self._rectified(inner, f"{name}_x2"), f"{name}_x2", 1)], dim=-1)
            boxes.append(x)
            x = self._rectified(x, f"{prefix}conv{stage}_blk")
            if stage < 5:
                x = self._convolution(x, f"{prefix}conv{stage}_blk")
                x = _channels_first(x, lambda wide: mean(wide, pool, pool))
        return x, boxes

    def _up(
        self,
        x: Tensor,
        widths: Widths,
        index: int,
        factors: tuple[int, ...],
        tap: Callable[[Tensor], Tensor] = lambda up: up,
    ) -> Tensor:
        for axis, factor in enumerate(factors, start=1):
            x = x.repeat_interleave(factor, dim=axis)
        x = self._convolution(tap(x), f"{widths.prefix}conv_up{index}", 1)
        return functional.relu(self._normalised(x, f"{widths.prefix}bn_up{index}", 1e-3))

    def _convolution(self, x: Tensor, name: str, padding: int = 0, stride: int = 1) -> Tensor:
        kernel = self.numbers[f"{name}/kernel:0"].double().movedim((-1, -2), (0, 1))
        run = functional.conv2d if kernel.ndim == 4 else functional.conv3d
        sides = (padding, padding) * (kernel.ndim - 2)
        x = _channels_first(x, lambda wide: run(functional.pad(wide, sides), kernel, stride=stride))
        bias = self.numbers.get(f"{name}/bias:0")
        return x if bias is None else x + bias.double()

    def _normalised(self, x: Tensor, name: str, epsilon: float) -> Tensor:
        gamma, beta, mean, variance = (
            self.numbers[f"{name}/{role}:0"].double() for role in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / torch.sqrt(variance + epsilon) * gamma + beta

    def _rectified(self, x: Tensor, name: str) -> Tensor:
        x, scale = self._normalised(x, f"{name}_bn", 1.1e-5), f"{name}_scale/{name}_scale"
        return functional.relu(self.numbers[f"{scale}_gamma:0"].double() * x + self.numbers[f"{scale}_beta:0"].double())


def _channels_first(x: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
    """Run something of torch's, which wants channels behind the batch."""
    return run(x.movedim(-1, 1)).movedim(1, -1)
