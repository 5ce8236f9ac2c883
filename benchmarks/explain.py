"""Explanations beside captum and MONAI: seconds and peak memory of each method, `denselens bench explain`.

A DenseNet-121 with 14 outputs on one image of 224 x 224: each method for one label as both libraries offer it, with
the same settings, and Grad-CAM of all 14 labels of the image, which asks the network once and the libraries once per
label. Every contestant is a process of its own, and they run in turns; ratios are the peer's time over ours.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum import attr
from monai.visualize import GradCAM, OcclusionSensitivity, SmoothGrad
from torch import Tensor, nn

from app.commands.bench import describe_machine
from benchmarks._contest import Outcome, contest, serve
from networks.build import build
from networks.configs import DenseNetConfig
from networks.gradients import for_gradients
from networks.inference import for_inference
from pipelines.explain.registry import method
from pipelines.explain.targets import ClassLogit

TAKES = ("--json", "--quick")
MODULE = "benchmarks.explain"
LABELS = 14
_LABEL, _LAST = 3, "features.denseblock4"
_STEPS, _SAMPLES, _WINDOW, _STRIDE = 20, 10, 28, 14
SETTINGS: dict[str, dict[str, Any]] = {
    "grad_cam": {"layer": _LAST},
    "saliency": {},
    "smooth_grad": {"samples": _SAMPLES},
    "integrated_gradients": {"steps": _STEPS, "tolerance": None},
    "guided_backpropagation": {},
    "occlusion": {"window": _WINDOW, "stride": _STRIDE},
    "grad_cam_of_all": {},
}
Row = dict[str, Any]


def image() -> Tensor:
    """Noise of a fixed seed, (1, 3, 224, 224)."""
    return torch.randn((1, 3, 224, 224), generator=torch.Generator().manual_seed(0))


def plain() -> nn.Module:
    """The network as it was built."""
    return build(DenseNetConfig(in_channels=3, out_channels=LABELS), seed=0).eval()


def ours(work: str) -> Callable[[], Tensor]:
    """Our method, on the network it is given in practice."""
    name = "grad_cam" if work == "grad_cam_of_all" else work
    chosen = method(name, **SETTINGS[work])
    rewrite = for_gradients if chosen.needs_gradients and work != "grad_cam_of_all" else for_inference
    network, inputs = rewrite(plain()), image()
    labels = range(LABELS) if work == "grad_cam_of_all" else [_LABEL]
    return lambda: chosen.explain(network, inputs, [ClassLogit(label) for label in labels])


def captums(work: str) -> Callable[[], Tensor] | None:
    """The same of captum; None where it has none."""
    network, inputs = plain(), image()
    layer = network.get_submodule(_LAST)
    if work in ("grad_cam", "grad_cam_of_all"):
        labels = range(LABELS) if work == "grad_cam_of_all" else [_LABEL]

        def cam() -> Tensor:
            found = [attr.LayerGradCam(network, layer).attribute(inputs, target=label) for label in labels]
            return torch.cat([attr.LayerAttribution.interpolate(one, (224, 224), "bilinear") for one in found], dim=1)

        return cam
    run: dict[str, Callable[[], Tensor]] = {
        "saliency": lambda: attr.Saliency(network).attribute(inputs.clone().requires_grad_(), target=_LABEL),
        "smooth_grad": lambda: attr.NoiseTunnel(attr.Saliency(network)).attribute(
            inputs, nt_type="smoothgrad", nt_samples=_SAMPLES, stdevs=0.5, target=_LABEL, abs=False
        ),
        "integrated_gradients": lambda: attr.IntegratedGradients(network).attribute(
            inputs, target=_LABEL, n_steps=_STEPS, internal_batch_size=10
        ),
        "guided_backpropagation": lambda: attr.GuidedBackprop(network).attribute(
            inputs.clone().requires_grad_(), target=_LABEL
        ),
        "occlusion": lambda: attr.Occlusion(network).attribute(
            inputs, (3, _WINDOW, _WINDOW), strides=(3, _STRIDE, _STRIDE), target=_LABEL, perturbations_per_eval=10
        ),
    }
    return run.get(work)


def monais(work: str) -> Callable[[], Any] | None:
    """The same of MONAI; None where it has none."""
    network, inputs = plain(), image()
    if work in ("grad_cam", "grad_cam_of_all"):
        labels = range(LABELS) if work == "grad_cam_of_all" else [_LABEL]
        cam = GradCAM(network, _LAST)
        return lambda: torch.cat([torch.as_tensor(cam(inputs, class_idx=label)) for label in labels])
    if work == "smooth_grad":
        smooth = SmoothGrad(network, n_samples=_SAMPLES, verbose=False)
        return lambda: smooth(inputs, index=_LABEL)
    if work == "occlusion":
        hide = OcclusionSensitivity(
            network, mask_size=_WINDOW, overlap=1 - _STRIDE / _WINDOW, n_batch=10, verbose=False, mode=0.0
        )
        return lambda: torch.as_tensor(hide(inputs)[0])
    return None


CONTESTANTS: dict[str, Callable[[str], Callable[[], Any] | None]] = {
    "denselens": ours,
    "captum": captums,
    "monai": monais,
}


def rows_of(work: str, repeats: int, threads: int) -> list[Row]:
    """One method, ours beside whoever has it."""
    orders = {who: {"who": who, "work": work} for who, make in CONTESTANTS.items() if make(work) is not None}
    with tempfile.TemporaryDirectory() as folder:
        outcomes = contest(MODULE, orders, [list(orders)] * repeats, folder=Path(folder), threads=threads)
    mine = outcomes["denselens"]
    return [_row(work, who, outcome, mine) for who, outcome in outcomes.items()]


def _row(work: str, who: str, outcome: Outcome, mine: Outcome) -> Row:
    return {
        "method": work,
        "contestant": who,
        "seconds": outcome.median_s,
        "ratio": outcome.median_s / mine.median_s,
        "peak_mib": outcome.peak_mib,
    }


def _serve(order: dict[str, Any], threads: int) -> None:
    torch.set_num_threads(threads)
    run = CONTESTANTS[order["who"]](order["work"])
    assert run is not None
    serve(run, lambda answer, path: np.save(path, torch.as_tensor(answer).detach().numpy()))


def main() -> None:
    """Run all methods and print the table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="one run of each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        _serve(json.loads(options.serve), int(os.environ.get("OMP_NUM_THREADS", "1")))
        return
    rows = []
    for work in SETTINGS:
        found = rows_of(work, 1 if options.quick else 7, options.threads)
        rows += found
        if not options.json:
            for row in found:
                print(
                    f"{work:24}{row['contestant']:12}{1000 * row['seconds']:9.0f} ms{row['ratio']:8.2f} x"
                    f"{row['peak_mib']:9.0f} MiB"
                )
            sys.stdout.flush()
    if options.json:
        print(json.dumps({"rows": rows, "threads": options.threads}))
        return
    print(describe_machine(), f"{options.threads} threads")


if __name__ == "__main__":
    main()
