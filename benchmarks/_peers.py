"""The networks as somebody would write them down from the papers' layer tables: the naive peers of `networks`.

Plain functions of torch on a dictionary of weights, eager, float32, channels first, concatenations with `torch.cat`,
and in three dimensions the slices last, as the authors of H-DenseUNet have them. Nothing of the project's modules is
used but the names of the weights, so both sides compute with the same numbers.

Two things make these peers faster than the published code: normalisation and the layer `Scale` behind it are one, and
nothing is copied to and from a framework's session.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Weights = Mapping[str, Tensor]

ENCODER_EPS = 1.1e-5  # authors' denseunet.py and denseunet3d.py
DECODER_EPS = 1e-3  # Keras 2.0.8, default of BatchNormalization
KERAS_MOMENTUM = 0.01  # Keras 2.0.8: 0.99 of the old
CONTEXT_SCALE = 250.0  # authors' hybridnet.py
DENSENET_161 = (6, 12, 36, 24)  # Huang et al., wide ImageNet model
DENSE_UNET_65 = (3, 4, 12, 8)  # Li et al., table I


@dataclass(frozen=True)
class Layers:
    """Layers by the names of their weights, in as many dimensions as these have.

    Attributes:
        weights: State dictionary; kernels of three dimensions as (out, in, H, W, D), see `slices_last`.
        training: Whether dropout drops.
        batch_statistics: Whether normalisation is by the batch rather than by running statistics.
    """

    weights: Weights
    training: bool = False
    batch_statistics: bool = False

    def conv(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        """Convolution with half the kernel as padding."""
        kernel = self.weights[f"{name}.weight"]
        convolve = functional.conv2d if kernel.ndim == 4 else functional.conv3d
        return convolve(x, kernel, self.weights.get(f"{name}.bias"), stride=stride, padding=kernel.shape[2] // 2)

    def double(self, name: str, x: Tensor) -> Tensor:
        """Transposed convolution of kernel and stride 2."""
        kernel = self.weights[f"{name}.weight"]
        convolve = functional.conv_transpose2d if kernel.ndim == 4 else functional.conv_transpose3d
        return convolve(x, kernel, self.weights[f"{name}.bias"], stride=2)

    def norm_relu(self, name: str, x: Tensor, eps: float) -> Tensor:
        """Batch normalisation and ReLU."""
        parts = [self.weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return functional.relu(functional.batch_norm(x, *parts, self.batch_statistics, KERAS_MOMENTUM, eps))

    def dropout(self, x: Tensor, rate: float) -> Tensor:
        """Dropout while training."""
        return functional.dropout(x, rate, self.training)

    def part(self, prefix: str) -> "Layers":
        """The layers under a prefix."""
        own = {name.removeprefix(prefix): value for name, value in self.weights.items() if name.startswith(prefix)}
        return Layers(own, self.training, self.batch_statistics)


def slices_last(weights: Weights) -> dict[str, Tensor]:
    """Turn three-dimensional kernels from (out, in, D, H, W) to (out, in, H, W, D)."""
    return {
        name: value.permute(0, 1, 3, 4, 2).contiguous() if value.ndim == 5 else value for name, value in weights.items()
    }


def dense_trunk(layers: Layers, x: Tensor, blocks: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    """The way down of both DenseUNets.

    Args:
        layers: Of the encoder.
        x: (N, C, H, W) or (N, C, H, W, D).
        blocks: Dense layers per block.

    Returns:
        The taps, finest first, and the rectified output of the last normalisation. In the plane the sizes are halved
        by stem, pooling and every transition, along the slices by stem and pooling alone.
    """
    deep = x.ndim == 5
    pool = functional.max_pool3d if deep else functional.max_pool2d
    x = layers.norm_relu("norm0", layers.conv("conv0", x, stride=2), ENCODER_EPS)
    taps = [x]
    x = pool(x, 3, 2, 1)
    for block, depth in enumerate(blocks, start=1):
        for layer in range(1, depth + 1):
            name = f"denseblock{block}.denselayer{layer}"
            new = layers.conv(f"{name}.conv1", layers.norm_relu(f"{name}.norm1", x, ENCODER_EPS))
            new = layers.conv(f"{name}.conv2", layers.norm_relu(f"{name}.norm2", new, ENCODER_EPS))
            x = torch.cat([x, new], dim=1)
        if block < len(blocks):
            taps.append(x)
            name = f"transition{block}"
            x = layers.conv(f"{name}.conv", layers.norm_relu(f"{name}.norm", x, ENCODER_EPS))
            x = functional.avg_pool3d(x, (2, 2, 1)) if deep else functional.avg_pool2d(x, 2)
    return taps, layers.norm_relu(f"norm{len(blocks) + 1}", x, ENCODER_EPS)


def dense_unet(
    layers: Layers, x: Tensor, blocks: Sequence[int], *, skips: bool, dropout: float
) -> tuple[Tensor, Tensor]:
    """DenseUNet-167 or, with slices last, DenseUNet-65.

    Args:
        layers: Of the network.
        x: (N, C, H, W) or (N, C, H, W, D), every size divisible by what the network halves.
        blocks: Dense layers per block.
        skips: Long connections by summation; without them the released model.
        dropout: Rate of the last stage.

    Returns:
        The feature map and the logits, both of the input's size.
    """
    taps, x_up = dense_trunk(layers.part("encoder."), x, blocks)
    stages = len(blocks) + 1
    for stage in range(stages):
        flat = x.ndim == 5 and stage < stages - 2  # in three dimensions the slices double in the last two stages only
        x_up = functional.interpolate(x_up, scale_factor=(2.0, 2.0, 1.0) if flat else 2.0, mode="nearest")
        if skips and stage < len(taps):
            tap = taps[-1 - stage]
            adapter = f"decoder.{stage}.adapter"
            x_up = x_up + (layers.conv(adapter, tap) if f"{adapter}.weight" in layers.weights else tap)
        x_up = layers.conv(f"decoder.{stage}.conv", x_up)
        if stage == stages - 1:
            x_up = layers.dropout(x_up, dropout)
        x_up = layers.norm_relu(f"decoder.{stage}.norm", x_up, DECODER_EPS)
    return x_up, layers.conv("head", x_up)


@dataclass(frozen=True)
class Hybrid:
    """What kind of H-DenseUNet; the defaults are the authors' release.

    Attributes:
        slice_blocks: Dense layers per block of the 2D network.
        volume_blocks: And of the 3D one.
        dropout: Rate of the 2D network's last stage and of the fusion.
    """

    slice_blocks: Sequence[int] = DENSENET_161
    volume_blocks: Sequence[int] = DENSE_UNET_65
    dropout: float = 0.3


def hybrid_window(layers: Layers, window: Tensor, kind: Hybrid) -> tuple[Tensor, Tensor]:
    """H-DenseUNet in the authors' released form on one window: no long connections, logits as context.

    Args:
        layers: Of the hybrid network, kernels with the slices last.
        window: CT (1, 1, H, W, D); its first and last slice stand beside themselves.
        kind: Blocks and dropout.

    Returns:
        Logits (1, classes, H, W, D) of the fusion and of the 2D network.
    """
    depth = window.shape[4]
    beside = [(max(z - 1, 0), z, min(z + 1, depth - 1)) for z in range(depth)]
    slices = torch.stack([window[0, 0, :, :, triple].permute(2, 0, 1) for triple in beside])  # (D, 3, H, W)
    flat = dense_unet(layers.part("slice_network."), slices, kind.slice_blocks, skips=False, dropout=kind.dropout)
    features, logits = (maps.permute(1, 2, 3, 0)[None] for maps in flat)  # (1, C, H, W, D)
    seen = torch.cat([window, CONTEXT_SCALE * logits], dim=1)
    deep, _ = dense_unet(layers.part("volume_network."), seen, kind.volume_blocks, skips=False, dropout=0.0)
    x = layers.dropout(layers.conv("fusion.conv", deep + features), kind.dropout)
    return layers.conv("fusion.head", layers.norm_relu("fusion.norm", x, DECODER_EPS)), logits


def published_starts(depth: int, window: int = 8, step: int = 2) -> list[int]:
    """First slices of the windows of the authors' `lib/funcs.py`: even steps, the last one flush with the end."""
    return [*range(0, depth - window, step), depth - window]


def published_labels(
    window_logits: Callable[[Tensor], Tensor], volume: Tensor, told: Callable[[int, int], None], window: int = 8
) -> Tensor:
    """Labels of a volume as the authors' test code finds probabilities: inner slices of all windows, averaged by hits.

    The labels are the most probable classes here; the authors' thresholds come after that and cost nothing.

    Args:
        window_logits: (1, 1, H, W, window) to (1, classes, H, W, window).
        volume: CT (H, W, D), D at least `window`.
        told: Called before each window with its number and how many there are.
        window: Slices of a window.

    Returns:
        uint8 (H, W, D); the first and the last slice, which no window predicts, are 0.
    """
    starts = published_starts(volume.shape[2], window)
    score: Tensor | None = None
    hits = torch.zeros(volume.shape[2])
    for number, start in enumerate(starts):
        told(number, len(starts))
        probabilities = torch.softmax(window_logits(volume[None, None, :, :, start : start + window]), dim=1)
        if score is None:
            score = torch.zeros(probabilities.shape[1], *volume.shape)
        inner = slice(start + 1, start + window - 1)
        score[..., inner] += probabilities[0, ..., 1:-1]
        hits[inner] += 1
    if score is None:
        raise ValueError(f"expected a volume (H, W, D) with slices, got {tuple(volume.shape)}; give at least {window}")
    return (score / hits.clamp(min=1)).argmax(dim=0).to(torch.uint8)


def _unit(layers: Layers, name: str, x: Tensor, dropout: float) -> Tensor:
    """Convolution, ReLU, dropout, twice: the unit of every U-Net of the UNet++ paper."""
    for index in (1, 2):
        x = layers.dropout(functional.relu(layers.conv(f"{name}.conv{index}", x)), dropout)
    return x


def unet_plus_plus(layers: Layers, x: Tensor, *, depth: int, dropout: float) -> list[Tensor]:
    """UNet++ of Zhou et al., DLMIA 2018, equation 1: logits of the heads on X(0,1) to X(0,depth).

    Args:
        layers: Of the network.
        x: (N, C, H, W), sizes divisible by 2^depth.
        depth: 4 for L4.
        dropout: Rate behind every ReLU.
    """
    nodes = {(0, 0): _unit(layers, "units.x_0_0", x, dropout)}
    for i in range(1, depth + 1):
        nodes[i, 0] = _unit(layers, f"units.x_{i}_0", functional.max_pool2d(nodes[i - 1, 0], 2), dropout)
    for j in range(1, depth + 1):
        for i in range(depth + 1 - j):
            up = layers.double(f"ups.x_{i}_{j}", nodes[i + 1, j - 1])
            joined = torch.cat([up, *(nodes[i, before] for before in range(j))], dim=1)
            nodes[i, j] = _unit(layers, f"units.x_{i}_{j}", joined, dropout)
    return [layers.conv(f"heads.{j}", nodes[0, j]) for j in range(1, depth + 1)]


def unet(layers: Layers, x: Tensor, *, depth: int, dropout: float) -> Tensor:
    """The U-Net of the same paper's table 2: logits.

    Args:
        layers: Of the network.
        x: (N, C, H, W), sizes divisible by 2^depth.
        depth: Halvings; 4 in the paper.
        dropout: Rate behind every ReLU.
    """
    kept = []
    for level in range(depth):
        x = _unit(layers, f"analysis.{level}", x, dropout)
        kept.append(x)
        x = functional.max_pool2d(x, 2)
    x = _unit(layers, f"analysis.{depth}", x, dropout)
    for level in reversed(range(depth)):
        x = torch.cat([layers.double(f"ups.{level}", x), kept[level]], dim=1)
        x = _unit(layers, f"synthesis.{level}", x, dropout)
    return layers.conv("head", x)


def monai_densenet(weights: Weights) -> dict[str, Tensor]:
    """A DenseNet's weights under the names MONAI 1.6 gives them."""
    layer = re.compile(r"(\.denselayer\d+\.)")
    return {
        layer.sub(r"\1layers.", name).replace("classifier.", "class_layers.out."): value
        for name, value in weights.items()
    }
