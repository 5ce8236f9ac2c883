"""Trains the weights of the histopathology task that ship: `python -m pipelines.patch_weights`.

A compact DenseNet learns on phantom slides alone whether there is tumour in the middle of a patch: the rule of PCam, 96
pixels of 0.97 um, of which the central 32 x 32 decide. It is shown patches as they are and with their stains normalised
as the task does it. Patches are cut anew each time, turned, seen through lenses and stained otherwise. Operating point
and calibration come from slides that neither the training nor the figures know.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from datasets.phantoms.slide_patches import MPP, SIZE_PX
from networks.configs import DenseNetConfig
from pipelines.classifier_training import ClassifierSchedule, logits_of, train_classifier
from pipelines.histology.light import Pixels
from pipelines.input_scale import on_scale
from pipelines.metrics.auroc import auroc
from pipelines.metrics.calibration_fit import calibration_error, fit_platt
from pipelines.metrics.operating_point import at_point, youden_point
from pipelines.model_store import SHIPPED_FOLDER, Card, save_weights
from pipelines.patch_augmentation import Variation, varied
from pipelines.patch_input import IMAGENET, as_input
from pipelines.phantom_patches import Blocks, CutPatches, cut_patches, draw_slides
from pipelines.phantom_training import Batches

_LOG = logging.getLogger(__name__)

NAME, LABEL = "histopathology_phantom", "tumor"
NETWORK = DenseNetConfig(in_channels=3, out_channels=1, block_config=(3, 4, 6, 6), growth_rate=12, init_features=16)
INPUT = IMAGENET.model_copy(update={"scale": f"{IMAGENET.scale}; {SIZE_PX} pixels of {MPP} um", "size_px": SIZE_PX})
SCHEDULE = ClassifierSchedule(steps=700, batch=64, peak_rate=4e-3, averaged_steps=100, check_every=100)
SLIDES = 160
CALIBRATION_SEEDS, HELD_OUT_SEEDS = range(15_000, 15_040), range(10_000, 10_040)
# Blocks are cut anew each time, and the truth with them: nothing is left to shift.
_VARIATION = Variation(shift_px=0)
_PATCHES_PER_SLIDE = 50


def batches(slides: Sequence[Blocks], schedule: ClassifierSchedule) -> Batches:
    """Patches (batch, 3, 96, 96) as `INPUT` says, each seen a little differently, and truths (batch, 1)."""
    rng = np.random.default_rng([schedule.seed, 10])
    for _ in range(schedule.steps):
        patches = cut_patches(slides, schedule.batch, rng)
        shown = torch.from_numpy(patches.pixels).permute(0, 3, 1, 2).float() / 255
        truths = torch.from_numpy(patches.tumor[:, np.newaxis].astype(np.float32))
        yield on_scale(varied(shown, rng, _VARIATION), INPUT).contiguous(memory_format=torch.channels_last), truths


def log_odds(network: nn.Module, pixels: Pixels) -> NDArray[np.float64]:
    """What a network in eval mode says of patches (N, 96, 96, 3): (N,)."""
    said = [logits_of(network, as_input(part, INPUT))[:, 0] for part in np.array_split(pixels, len(pixels) // 256 + 1)]
    return np.concatenate(said)


def checked_patches(slides: Sequence[Blocks], share_normalised: float) -> CutPatches:
    """The patches of slides on which points are chosen and figures made; the same places whatever the share."""
    count = _PATCHES_PER_SLIDE * len(slides)
    return cut_patches(slides, count, np.random.default_rng(11), share_normalised)


def card_of(network: nn.Module, calibration: Sequence[Blocks], held_out: Sequence[Blocks]) -> Card:
    """What is known of trained weights: operating point and calibration from one set, figures from the other."""
    tuned = checked_patches(calibration, 0.5)
    said = log_odds(network, tuned.pixels)
    slope, intercept = fit_platt(said, tuned.tumor)
    point = float(expit(youden_point(said, tuned.tumor)))
    figures: dict[str, float] = {"slides": float(len(held_out))}
    for name, share in (("as_scanned", 0.0), ("normalised", 1.0)):
        patches = checked_patches(held_out, share)
        said = log_odds(network, patches.pixels)
        called = at_point(expit(said), patches.tumor, point)
        told = {
            "auroc": auroc(said, patches.tumor),
            "accuracy": called.accuracy,
            "sensitivity": called.sensitivity,
            "specificity": called.specificity,
            "calibration_error": calibration_error(expit(slope * said + intercept), patches.tumor),
        }
        figures["patches"] = float(len(said))
        figures |= {f"{figure}_{name}": round(value, 4) for figure, value in told.items() if value is not None}
    return Card(
        name=NAME,
        task="histopathology",
        trained_on="computer-made phantom slides, no patient",
        held_out=figures,
        limits="for demonstrations and tests; not for patients: see docs/model-cards/histopathology_phantom.md",
        phantom=True,
        labels=(LABEL,),
        operating_points={LABEL: round(point, 4)},
        calibration={LABEL: (round(slope, 4), round(intercept, 4))},
        input=INPUT,
    )


def main(arguments: list[str] | None = None) -> int:
    """Train, choose the operating point, check on unseen slides, and write the weights with their card.

    Args:
        arguments: Of the command line; None takes the process's own.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    parser.add_argument("--slides", type=int, default=SLIDES, help="to train on; fewer are drawn for the rest, too")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    schedule = replace(SCHEDULE, steps=options.steps)
    slides = draw_slides(range(options.slides))
    _LOG.info("%d slides", len(slides))
    network = train_classifier(NETWORK, batches(slides, schedule), nn.BCEWithLogitsLoss(), schedule)
    others = [draw_slides(seeds[: options.slides]) for seeds in (CALIBRATION_SEEDS, HELD_OUT_SEEDS)]
    card = card_of(network, *others)
    options.out.mkdir(parents=True, exist_ok=True)
    save_weights(network, NETWORK, card, options.out / f"{NAME}.safetensors")
    for name, figure in card.held_out.items():
        _LOG.info("%s: %.4f", name, figure)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
