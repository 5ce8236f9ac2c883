"""The networks of the benchmark, each with its sizes, its peer and who takes part."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks import _peers as peers
from networks.build import build
from networks.configs import (
    DenseNetConfig,
    DenseUNet3DConfig,
    DenseUNetConfig,
    HDenseUNetConfig,
    NetworkConfig,
    UNetConfig,
    UNetPlusPlusConfig,
)

PEER, MONAI = "peer", "monai"
TRANSCRIPTION = "peer: transcription with torch.cat, eager fp32, channels first"
HU = 100.0  # spread of noise that stands for CT
_HEAD = re.compile(r"(^|\.)(head|classifier|heads\.\d+)$")

RELEASED = HDenseUNetConfig(
    slice_network=DenseUNetConfig(skips=False),
    volume_network=DenseUNet3DConfig(in_channels=4, skips=False),
    context="logits",
)
"""H-DenseUNet as its authors released it."""

Heads = Callable[[peers.Layers, Tensor], list[Tensor]]


@dataclass(frozen=True)
class Case:
    """A network beside its peer.

    Attributes:
        title: The network in words.
        config: Which network.
        forward: Input (N, C, *size) of the forward pass.
        training: And of the training step.
        quick: Of both with `--quick`.
        peer: The peer in words.
        heads: The peer: layers and input to the logits of every head with a loss, the last one the network's answer;
            None where the peer is MONAI's.
        spread: Standard deviation of the input.
    """

    title: str
    config: NetworkConfig
    forward: tuple[int, ...]
    training: tuple[int, ...]
    quick: tuple[int, ...]
    peer: str = TRANSCRIPTION
    heads: Heads | None = None
    spread: float = 1.0

    def size(self, work: str, quick: bool) -> tuple[int, ...]:
        """The input's shape."""
        if quick:
            return self.quick
        return self.forward if work == "forward" else self.training


def _dense_heads(blocks: Sequence[int], layers: peers.Layers, x: Tensor) -> list[Tensor]:
    rate = 0.3 if x.ndim == 4 else 0.0  # authors' denseunet.py; none in denseunet3d.py
    return [peers.dense_unet(layers, x, blocks, skips=True, dropout=rate)[1]]


def _hybrid_heads(layers: peers.Layers, x: Tensor) -> list[Tensor]:
    return list(reversed(peers.hybrid_window(layers, x, peers.Hybrid())))


# 0.5: dropout of the authors' keras/helper_functions.py.
CASES = {
    "densenet_121": Case(
        "DenseNet-121",
        DenseNetConfig(out_channels=14),
        forward=(8, 3, 224, 224),
        training=(8, 3, 224, 224),
        quick=(2, 3, 64, 64),
        peer="peer: MONAI DenseNet121, eager fp32",
    ),
    "dense_unet": Case(
        "DenseUNet-167",
        DenseUNetConfig(),
        forward=(1, 3, 512, 512),
        training=(1, 3, 512, 512),
        quick=(1, 3, 64, 64),
        heads=partial(_dense_heads, peers.DENSENET_161),
    ),
    "dense_unet_3d": Case(
        "DenseUNet-65 (3D)",
        DenseUNet3DConfig(),
        forward=(1, 1, 8, 512, 512),
        training=(1, 1, 8, 256, 256),
        quick=(1, 1, 8, 64, 64),
        peer=f"{TRANSCRIPTION}, slices last",
        heads=partial(_dense_heads, peers.DENSE_UNET_65),
    ),
    "h_dense_unet": Case(
        "H-DenseUNet, one window",
        RELEASED,
        forward=(1, 1, 8, 512, 512),
        training=(1, 1, 8, 224, 224),
        quick=(1, 1, 8, 64, 64),
        peer=f"{TRANSCRIPTION}, slices last",
        heads=_hybrid_heads,
        spread=HU,
    ),
    "unet_plus_plus": Case(
        "UNet++ L4, mean of four heads",
        UNetPlusPlusConfig(),
        forward=(1, 1, 512, 512),
        training=(1, 1, 512, 512),
        quick=(1, 1, 64, 64),
        heads=partial(peers.unet_plus_plus, depth=4, dropout=0.5),
    ),
    "unet": Case(
        "U-Net",
        UNetConfig(),
        forward=(1, 1, 512, 512),
        training=(1, 1, 512, 512),
        quick=(1, 1, 64, 64),
        heads=lambda layers, x: [peers.unet(layers, x, depth=4, dropout=0.5)],
    ),
}


def contestants(name: str, work: str, bf16: bool) -> dict[str, str]:
    """Who takes part, the peer first: name and what it is in words."""
    case, best = CASES[name], "bf16" if bf16 else "fp32"
    told = {PEER: case.peer}
    if name == "unet_plus_plus":
        told[MONAI] = "MONAI BasicUNetPlusPlus, eager fp32, another architecture"
    if work == "forward":
        return told | {kind: f"ours, {kind}, as inference runs it" for kind in dict.fromkeys(("fp32", best))}
    told[best] = f"ours, {best}, channels last"
    if with_checkpointing(case.config) != case.config:
        told[f"{best} recomputing"] = f"ours, {best}, channels last, dense layers recomputed"
    return told


def with_checkpointing(config: NetworkConfig) -> NetworkConfig:
    """The same network, its dense layers recomputed in training; the config itself where it has no such thing."""
    if isinstance(config, HDenseUNetConfig):
        parts = {name: with_checkpointing(getattr(config, name)) for name in ("slice_network", "volume_network")}
        return config.model_copy(update=parts)
    return config.model_copy(update={"checkpointing": True}) if hasattr(config, "checkpointing") else config


def scaled_weights(config: NetworkConfig, x: Tensor, path: Path) -> None:
    """New weights, each head scaled so that it yields logits of standard deviation 1 for `x`.

    Unscaled logits of a new network are as large as 10^7: softmax would be all or nothing, and the maps that
    H-DenseUNet multiplies by 250 would drown the CT.
    """
    network = build(config).eval()

    def scale(head: nn.Module, given: tuple[Tensor, ...], logits: Tensor) -> Tensor:
        assert isinstance(head, nn.Linear | nn.Conv2d | nn.Conv3d)
        spread = logits.std()
        head.weight.div_(spread)
        return logits / spread  # biases of new networks are 0

    heads = [part for name, part in network.named_modules() if _HEAD.search(name)]
    hooks = [head.register_forward_hook(scale) for head in heads]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    save_file(network.state_dict(), path)


def noise(shape: Sequence[int], spread: float, seed: int = 0) -> Tensor:
    """Normal noise of a fixed seed."""
    return spread * torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
