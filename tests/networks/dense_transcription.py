"""The DenseUNets' layer tables written out on the weights alone, in 2D and in 3D with the slices first."""

from itertools import count

import torch
from torch import Tensor
from torch.nn import functional

CONVOLVE = {4: functional.conv2d, 5: functional.conv3d}
MAX_POOL = {4: functional.max_pool2d, 5: functional.max_pool3d}


def normalised(state: dict[str, Tensor], name: str, x: Tensor, eps: float) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{name}.{part}"].view(1, -1, *[1] * (x.ndim - 2))
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return ((x - mean) / (variance + eps).sqrt() * weight + bias).clamp(min=0)


def transcription(
    state: dict[str, Tensor], layers: tuple[int, ...], x: Tensor, *, skips: bool
) -> tuple[Tensor, Tensor]:
    """The layer table of the paper and its code, line by line: feature map and logits."""
    convolve, flat = CONVOLVE[x.ndim], x.ndim == 4
    x = convolve(x, state["encoder.conv0.weight"], stride=2, padding=3)
    x = normalised(state, "encoder.norm0", x, 1.1e-5)
    taps = [x]
    x = MAX_POOL[x.ndim](x, 3, 2, 1)
    for block, depth in enumerate(layers, start=1):
        for layer in range(1, depth + 1):
            name = f"encoder.denseblock{block}.denselayer{layer}"
            new = convolve(normalised(state, f"{name}.norm1", x, 1.1e-5), state[f"{name}.conv1.weight"])
            new = normalised(state, f"{name}.norm2", new, 1.1e-5)
            x = torch.cat([x, convolve(new, state[f"{name}.conv2.weight"], padding=1)], dim=1)
        if block < len(layers):
            taps.append(x)
            name = f"encoder.transition{block}"
            x = convolve(normalised(state, f"{name}.norm", x, 1.1e-5), state[f"{name}.conv.weight"])
            x = functional.avg_pool2d(x, 2) if flat else functional.avg_pool3d(x, (1, 2, 2))
    x = normalised(state, f"encoder.norm{len(layers) + 1}", x, 1.1e-5)
    for index in count():
        name = f"decoder.{index}"
        if f"{name}.conv.weight" not in state:
            break
        x = x.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
        if not flat and index > 2:  # up3 and up4 of denseunet3d.py
            x = x.repeat_interleave(2, dim=2)
        if skips and index < len(taps):
            tap = taps[-1 - index]
            if index == 0:
                tap = convolve(tap, state["decoder.0.adapter.weight"], state["decoder.0.adapter.bias"])
            x = x + tap
        x = convolve(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"], padding=1)
        x = normalised(state, f"{name}.norm", x, 1e-3)
    return x, convolve(x, state["head.weight"], state["head.bias"])
