"""H-DenseUNet over a whole scan: the protocol its authors published beside the stream, with the same weights.

Published (authors' lib/funcs.py): windows of 8 slices, two apart, whole slices in the plane; in each the 2D network on
all 8, the first and the last slice beside themselves, the 3D network on the CT and the logits, softmax, and the mean of
the inner 6 slices of all windows that have them.

Ours, `pipelines.slice_stream`: the 2D network once per slice, with the true neighbours; windows of 8 of its answers for
the 3D network; the logits of all 8 slices averaged with Gaussian weights, which give the outer ones little.

So the two differ, in fp32 and with the same step too, by what stands beside the end slices of a window, by how much
these count, and by averaging logits rather than probabilities. With random weights all of that shows where two classes
are nearly equal. Labels are compared where both have them: in all slices but the first and the last.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks import _peers as peers
from benchmarks._cases import PEER, RELEASED, scaled_weights
from benchmarks._contest import Run, Save
from datasets.phantoms import ct_phantom, default_grid
from networks.build import build
from networks.h_dense_unet import HDenseUNet
from networks.inference import for_inference
from pipelines.slabs import decide_labels, label_map
from pipelines.slice_stream import hybrid_stream
from pipelines.sliding_window import StreamOptions
from pipelines.windows import WindowSettings

WINDOW = 8
STEPS = (2, 4)  # slices between windows: the published 2, and half a window
WINDOW_HU, MEAN_HU = (-200.0, 250.0), 48.0  # authors' preprocessing.py
SLICES_AT_ONCE = 4
_SEED = 30_002


def prepare(folder: Path, slices: int, plane: int) -> dict[str, Any]:
    """A phantom's CT (D, H, W) as the network takes it, and weights scaled to a part of it.

    Args:
        folder: Where both are left.
        slices: D.
        plane: H and W.

    Returns:
        What every contestant is to load.
    """
    field = default_grid((1.0, 1.0, 1.0)).shape
    spacing = (field[0] / plane, field[1] / plane, field[2] / slices)
    image = ct_phantom(_SEED).image(default_grid(spacing))
    hu = image.array[0].transpose(2, 1, 0).astype(np.float32)
    volume = hu.clip(*WINDOW_HU) - MEAN_HU
    if volume.shape != (slices, plane, plane):
        raise ValueError(f"expected a phantom of {(slices, plane, plane)} voxels, got {volume.shape}; give other sizes")
    np.save(folder / "volume.npy", volume)
    middle = slices // 2 - WINDOW // 2
    shrunk = np.ascontiguousarray(volume[middle : middle + WINDOW, :: max(plane // 128, 1), :: max(plane // 128, 1)])
    scaled_weights(RELEASED, torch.from_numpy(shrunk)[None, None], folder / "volume.safetensors")
    return {"work": "volume", "volume": str(folder / "volume.npy"), "weights": str(folder / "volume.safetensors")}


def contestants(bf16: bool) -> dict[str, str]:
    """Who takes part, the peer first: name and what it is in words."""
    told = {PEER: "peer: published protocol, eager fp32, channels first, slices last"}
    for kind in ("bf16", "fp32") if bf16 else ("fp32",):
        for step in STEPS:
            told[f"{kind}, step {step}"] = f"ours, {kind}, 2D network once per slice, windows every {step} slices"
    return told


def contestant(order: dict[str, Any]) -> tuple[Run, Save]:
    """Load one contestant: a run that labels the volume, and what saves labels (D, H, W).

    Args:
        order: `who`, and what `prepare` says.
    """
    volume = torch.from_numpy(np.load(order["volume"]))
    weights = load_file(order["weights"])
    if order["who"] == PEER:
        layers = peers.Layers(peers.slices_last(weights))
        return partial(_published, layers, volume.permute(1, 2, 0).contiguous()), partial(_save, True)
    precision, _, step = order["who"].partition(", step ")
    network = build(RELEASED)
    network.load_state_dict(weights)
    fast = for_inference(network.eval(), dtype=torch.bfloat16 if precision == "bf16" else None)
    return partial(_streamed, cast(HDenseUNet, fast), volume[None], precision, int(step)), partial(_save, False)


def equal_labels(ours: Path, published: Path) -> float:
    """Share of equal labels in the slices that both predict."""
    pair = [np.load(path)[1:-1] for path in (ours, published)]
    return float((pair[0] == pair[1]).mean())


def _published(layers: peers.Layers, volume: Tensor) -> Tensor:
    def told(window: int, windows: int) -> None:
        print(f"  published protocol, window {window + 1} of {windows}", file=sys.stderr, flush=True)

    with torch.inference_mode():
        return peers.published_labels(
            lambda window: peers.hybrid_window(layers, window, peers.Hybrid())[0], volume, told
        )


def _streamed(network: HDenseUNet, volume: Tensor, precision: str, step: int) -> Tensor:
    settings = WindowSettings((WINDOW, None, None), overlap=1 - step / WINDOW, batch=SLICES_AT_ONCE)
    options = StreamOptions(precision="bf16" if precision == "bf16" else "fp32")
    stream = hybrid_stream(volume, network, settings, options=options)
    return label_map(decide_labels(stream), (volume.shape[1], volume.shape[2], volume.shape[3]))


def _save(slices_last: bool, labels: Tensor, path: Path) -> None:
    np.save(path, (labels.permute(2, 0, 1) if slices_last else labels).numpy())
