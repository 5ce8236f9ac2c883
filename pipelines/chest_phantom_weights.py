"""Trains the weights of the chest film task that ship: `python -m pipelines.chest_phantom_weights`.

A compact DenseNet learns on phantom films alone which of fourteen findings were planted. The films are drawn beforehand
and kept in memory; every time one is shown it is moved, turned and stretched a little, and exposed anew. Left and right
are never swapped: the heart lies on one side.
"""

import argparse
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from datasets.labels import CHEST_XRAY_14
from datasets.phantoms import FilmPhantom, film_phantom
from networks.configs import DenseNetConfig, Input
from pipelines.classifier_training import ClassifierSchedule, learn_classes, logits_of, train_classifier
from pipelines.film_distortion import FilmDistortion
from pipelines.film_preparation import prepared, shown
from pipelines.input_scale import on_scale
from pipelines.metrics.auroc import findings_auroc
from pipelines.metrics.calibration_fit import calibration_error, fit_platt
from pipelines.metrics.operating_point import youden_point
from pipelines.model_store import SHIPPED_FOLDER, Card, save_weights
from pipelines.phantom_training import Batches

_LOG = logging.getLogger(__name__)

TASK = "chest_xray"
NAME = "chest_xray_phantom"
SIZE_PX = 128
NETWORK = DenseNetConfig(
    in_channels=1, out_channels=len(CHEST_XRAY_14), block_config=(4, 6, 8, 6), growth_rate=12, init_features=24
)
INPUT = Input(
    scale="grey of the display range as [0, 1], minus 0.45, over 0.25; longer side 128 pixels, the rest black",
    channels=1,
    size_px=SIZE_PX,
    mean=(0.45,),
    std=(0.25,),
    fit="pad",
)
_IN_RANGE = INPUT.model_copy(update={"mean": (), "std": ()})
# In the second round the small round ones count for more: a network that sees 128 pixels learns them last.
ROUNDS = (
    ClassifierSchedule(steps=1400, batch=32, peak_rate=4e-3, averaged_steps=100),
    ClassifierSchedule(steps=1000, batch=32, peak_rate=4e-3, averaged_steps=100, seed=1),
)
_EMPHASIS = {"nodule": 4.0, "mass": 2.0}
TRAINING_SEEDS, CALIBRATION_SEEDS = range(4000), range(15_000, 15_400)
HELD_OUT_SEEDS = range(10_000, 10_300)
# As films come from detectors and viewers: much finer than what the network sees.
_CHECKED_PX = 384
_SHARE_AP = 0.3
# Phantoms differ by themselves; nothing may be hidden of what they are said to have.
DISTORTION = FilmDistortion(
    mirrored=0.0,
    turn_rad=0.04,
    shear=0.0,
    size=0.05,
    aspect=0.02,
    shift=0.03,
    contrast=0.1,
    brightness=0.03,
    blur=0.2,
    noise=0.015,
    covered=0.0,
)


@dataclass(frozen=True, eq=False)
class Films:
    """Phantom films, drawn and prepared.

    Attributes:
        grey: (N, size, size) uint8, as the task prepares films but for mean and standard deviation.
        truths: (N, findings), which were planted.
    """

    grey: NDArray[np.uint8]
    truths: NDArray[np.bool_]

    def inputs(self, picked: NDArray[np.integer] | slice = slice(None)) -> Tensor:
        """Some of them in [0, 1], (N, 1, size, size) float32."""
        return torch.from_numpy(self.grey[picked])[:, None].float() / 255


def drawn_film(seed: int) -> FilmPhantom:
    """The phantom film of a seed, from the front; some are of patients in bed."""
    bed = np.random.default_rng((seed, 5)).random() < _SHARE_AP
    return film_phantom(seed, view="AP" if bed else "PA")


def draw_films(seeds: Sequence[int], size_px: int = SIZE_PX) -> Films:
    """Draw phantom films of a size, and prepare them as the task does, on all cores."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        films = list(pool.map(draw_film, seeds, [size_px] * len(seeds), chunksize=50))
    return Films(np.stack([grey for grey, _ in films]), np.stack([truths for _, truths in films]))


def draw_film(seed: int, size_px: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One film (size, size), and which findings were planted; runs in a process of its own."""
    film = drawn_film(seed)
    grey = prepared(shown(film.image(size_px))[0], _IN_RANGE).slices()[0]
    truths = np.array([name in film.labels for name in CHEST_XRAY_14], dtype=np.bool_)
    return np.rint(255 * grey).astype(np.uint8), truths


def batches(films: Films, schedule: ClassifierSchedule) -> Batches:
    """Films (batch, 1, size, size) as `INPUT` says, each seen a little differently, and truths (batch, findings)."""
    rng = np.random.default_rng([schedule.seed, 6])
    order = np.empty(0, dtype=np.intp)
    for _ in range(schedule.steps):
        if order.size < schedule.batch:
            order = np.concatenate((order, rng.permutation(len(films.grey))))
        picked, order = order[: schedule.batch], order[schedule.batch :]
        targets = torch.from_numpy(films.truths[picked].astype(np.float32))
        yield scaled(DISTORTION.apply(films.inputs(picked), rng)), targets


def scaled(grey: Tensor) -> Tensor:
    """From [0, 1] to what the network takes."""
    return on_scale(grey, INPUT).contiguous(memory_format=torch.channels_last)


def learn(films: Films, rounds: tuple[ClassifierSchedule, ClassifierSchedule] = ROUNDS) -> nn.Module:
    """Train a new network on drawn films, in two rounds; in eval mode."""
    first, second = rounds
    network = train_classifier(NETWORK, batches(films, first), nn.BCEWithLogitsLoss(), first)
    emphasis = torch.tensor([_EMPHASIS.get(name, 1.0) for name in CHEST_XRAY_14])
    return learn_classes(network.train(), batches(films, second), nn.BCEWithLogitsLoss(weight=emphasis), second)


def calibrated(network: nn.Module, films: Films) -> dict[str, dict[str, Any]]:
    """Operating points by Youden's index and Platt's lines, per finding, as a card holds them.

    Args:
        network: In eval mode.
        films: Of which none was trained on.
    """
    odds = logits_of(network, scaled(films.inputs()), batch=32)
    points, lines = {}, {}
    for at, name in enumerate(CHEST_XRAY_14):
        points[name] = float(expit(youden_point(odds[:, at], films.truths[:, at])))
        lines[name] = fit_platt(odds[:, at], films.truths[:, at])
    return {"operating_points": points, "calibration": lines}


def figures(network: nn.Module, films: Films, card: Card) -> dict[str, float]:
    """How well findings are told on films that were neither trained nor calibrated on.

    Returns:
        By name: number of films, area under the ROC curve per finding and in the mean, its lowest, sensitivity and
        specificity at the operating points and calibration error, these in the mean over the findings.
    """
    odds = logits_of(network, scaled(films.inputs()), batch=32)
    areas = findings_auroc(odds, films.truths, CHEST_XRAY_14)
    found: dict[str, list[float]] = {"sensitivity": [], "specificity": [], "calibration_error": []}
    for at, name in enumerate(CHEST_XRAY_14):
        truth, (slope, intercept) = films.truths[:, at], card.calibration[name]
        called = expit(odds[:, at]) >= card.operating_points[name]
        found["sensitivity"].append(float(called[truth].mean()))
        found["specificity"].append(float((~called)[~truth].mean()))
        found["calibration_error"].append(calibration_error(expit(slope * odds[:, at] + intercept), truth))
    each = {f"auroc_{name}": area for name, area in areas.by_finding.items() if area is not None}
    means = {f"{name}_mean": float(np.mean(values)) for name, values in found.items()}
    return {
        "films": float(len(odds)),
        "auroc_mean": areas.mean or 0.0,
        "auroc_min": min(each.values()),
        **each,
        **means,
    }


def card_without_figures() -> Card:
    """What is known of the weights before they are tried."""
    return Card(
        name=NAME,
        task=TASK,
        trained_on="computer-made phantom films of the chest, no patient",
        limits=f"for demonstrations and tests; not for patients: see docs/model-cards/{NAME}.md",
        phantom=True,
        labels=CHEST_XRAY_14,
        input=INPUT,
    )


def write(network: nn.Module, path: Path) -> Card:
    """Calibrate and try a trained network on films it has not seen, and write it with its card."""
    card = card_without_figures()
    card = card.model_copy(update=calibrated(network, draw_films(CALIBRATION_SEEDS, _CHECKED_PX)))
    held_out = figures(network, draw_films(HELD_OUT_SEEDS, _CHECKED_PX), card)
    card = card.model_copy(update={"held_out": held_out})
    save_weights(network, NETWORK, card, path)
    return card


def main(arguments: list[str] | None = None) -> int:
    """Draw, train, calibrate, try, write; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER)
    parser.add_argument("--steps", type=int, default=max(part.steps for part in ROUNDS), help="at most, of each round")
    parser.add_argument("--films", type=int, default=len(TRAINING_SEEDS))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    films = draw_films(range(options.films))
    _LOG.info("%d films", len(films.grey))
    first, second = (replace(part, steps=min(part.steps, options.steps)) for part in ROUNDS)
    network = learn(films, (first, second))
    options.out.mkdir(parents=True, exist_ok=True)
    card = write(network, options.out / f"{NAME}.safetensors")
    for name, figure in card.held_out.items():
        _LOG.info("%s: %.4f", name, figure)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
