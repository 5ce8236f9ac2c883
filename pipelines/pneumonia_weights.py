"""Trains the weights of `chest_pneumonia`: `python -m pipelines.pneumonia_weights --data pneumonia_train_val.npz`.

A compact DenseNet learns normal and pneumonia on the small children's films of PneumoniaMNIST (Yang et al., "MedMNIST
v2", Scientific Data 2023; films of Kermany et al., Cell 2018). Of its training films a tenth is held back: on it the
operating point and the calibration are found. The validation films take no part in anything, they give the figures of
the card.

Films of elsewhere are framed and exposed otherwise than those, and pneumonia must not be told by the frame. So every
film is distorted, far more than films of one place differ, and both classes count the same.
"""

import argparse
import logging
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from networks.configs import Input, NetworkConfig
from pipelines.calibration import Platt
from pipelines.classifier_training import ClassifierSchedule, class_weights, logits_of, train_classifier
from pipelines.film_distortion import FilmDistortion
from pipelines.film_preparation import prepared, shown
from pipelines.input_scale import on_scale
from pipelines.metrics.auroc import Truths, auroc
from pipelines.metrics.calibration_fit import brier, calibration_error, fit_platt
from pipelines.metrics.operating_point import at_point
from pipelines.model_store import SHIPPED_FOLDER, Card, save_weights
from pipelines.phantom_training import Batches
from pipelines.task import load_task
from pipelines.tensors import as_tensor

_LOG = logging.getLogger(__name__)

TASK = "chest_pneumonia"
NAME = "chest_pneumonia"
LABELS = ("normal", "pneumonia")
INPUT = Input(
    scale="[0, 1] of the display range, then the training films' mean and standard deviation",
    channels=1,
    size_px=56,
    mean=(0.572,),
    std=(0.168,),
)
SCHEDULE = ClassifierSchedule(steps=1600, batch=64, peak_rate=3e-3, weight_decay=0.05, averaged_steps=200)
_SMOOTHING = 0.05
_HELD_BACK = 10  # One in so many.
_FOUND = 0.97  # The operating point is the highest that finds this share of the pneumonias held back.

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Films:
    """Small films and what they show.

    Attributes:
        pixels: (N, rows, columns) uint8.
        pneumonia: (N,) whether there is one.
    """

    pixels: Pixels
    pneumonia: Truths

    def __getitem__(self, which: Truths) -> "Films":
        return Films(self.pixels[which], self.pneumonia[which])


def read_films(path: Path) -> tuple[Films, Films]:
    """The training and validation films of a PneumoniaMNIST file.

    Args:
        path: An .npz with `train_images`, `train_labels`, `val_images`, `val_labels`: images (N, rows, columns) uint8,
            labels (N, 1) or (N,), 1 for pneumonia. Anything else in it is not looked at.

    Raises:
        ConfigError: It is not that. Pickled arrays are not opened.
    """
    try:
        with path.open("rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name.startswith(("train_", "val_"))}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _no_films(path, str(error)) from error
    train, validation = (_films(arrays, part, path) for part in ("train", "val"))
    return train, validation


def _films(arrays: dict[str, NDArray[np.generic]], part: str, path: Path) -> Films:
    missing = sorted({f"{part}_images", f"{part}_labels"} - arrays.keys())
    if missing:
        raise _no_films(path, f"no {' and no '.join(missing)}")
    images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    if images.ndim != 3 or images.dtype != np.uint8 or 0 in images.shape:
        raise _no_films(path, f"{part}_images {images.shape} {images.dtype}")
    if labels.shape not in {(len(images),), (len(images), 1)} or labels.dtype.kind not in "iu":
        raise _no_films(path, f"{part}_labels {labels.shape} {labels.dtype} for {len(images)} films")
    values = np.unique(labels).tolist()
    if values != [0, 1]:
        raise _no_films(path, f"{part}_labels with the values {values}")
    return Films(images.astype(np.uint8), labels.reshape(-1) == 1)


def _no_films(path: Path, got: str) -> ConfigError:
    return ConfigError(
        "an .npz with images (N, rows, columns) uint8 and labels (N, 1) of 0 and 1, train and val",
        f"{path.name}: {got}",
        "give pneumoniamnist.npz as MedMNIST publishes it",
    )


def network_config() -> NetworkConfig:
    """What is trained, as the task says."""
    return load_task(TASK).network


def held_back(films: Films, seed: int) -> tuple[Films, Films]:
    """Films to learn from, and one in ten of either class to find the operating point and the calibration on."""
    rng = np.random.default_rng([seed, 8])
    aside = np.zeros(films.pneumonia.size, bool)
    for present in (False, True):
        of_class = rng.permutation(np.flatnonzero(films.pneumonia == present))
        aside[of_class[: -(-of_class.size // _HELD_BACK)]] = True
    return films[~aside], films[aside]


def inputs_of(films: Films, expected: Input = INPUT) -> Tensor:
    """Films as every door prepares them, (N, channels, size, size) float32.

    Args:
        films: At least one.
        expected: What is expected of them.

    Raises:
        InputRefused: A film shows nothing.
    """
    images = (Image(film.T[np.newaxis, :, :, np.newaxis], Intensity.GREY) for film in films.pixels)
    return torch.cat([as_tensor(prepared(shown(image)[0], expected)).transpose(0, 1) for image in images])


def batches(films: Films, schedule: ClassifierSchedule) -> Batches:
    """Distorted films (batch, 1, size, size) and their classes (batch,); each film once before any comes again."""
    rng = np.random.default_rng([schedule.seed, 7])
    # Distortions are of what is shown; mean and standard deviation come after them.
    grey = inputs_of(films, INPUT.model_copy(update={"mean": (), "std": ()}))
    classes = torch.from_numpy(films.pneumonia.astype(np.int64))
    distortion, waiting = FilmDistortion(), np.empty(0, dtype=np.intp)
    for _ in range(schedule.steps):
        while waiting.size < schedule.batch:
            waiting = np.concatenate([waiting, rng.permutation(len(grey))])
        chosen, waiting = torch.from_numpy(waiting[: schedule.batch]), waiting[schedule.batch :]
        inputs = on_scale(distortion.apply(grey[chosen], rng), INPUT)
        yield inputs.contiguous(memory_format=torch.channels_last), classes[chosen]


def log_odds_of(network: nn.Module, films: Films) -> NDArray[np.float64]:
    """Log odds of pneumonia (N,), of the network's two classes."""
    logits = logits_of(network, inputs_of(films))
    odds: NDArray[np.float64] = logits[:, 1] - logits[:, 0]
    return odds


def settled(network: nn.Module, films: Films) -> Card:
    """The card with operating point and calibration, found on films that were held back."""
    odds = log_odds_of(network, films)
    point = highest_point(odds, films.pneumonia, _FOUND)
    return Card(
        name=NAME,
        task=TASK,
        trained_on="PneumoniaMNIST, 28 px chest films of children, training split",
        limits="films of children reduced to 28 pixels; research only: see docs/model-cards/chest_pneumonia.md",
        phantom=False,
        labels=LABELS,
        operating_points={LABELS[1]: float(expit(point))},
        calibration={LABELS[1]: fit_platt(odds, films.pneumonia)},
        input=INPUT,
        notes=(
            "films of another hospital, and the published test films, are distributed otherwise than those of training",
        ),
    )


def highest_point(scores: NDArray[np.float64], truths: Truths, found: float) -> float:
    """The highest score from which on a share of the cases with a finding is called: the fewest false alarms for it."""
    present = np.sort(scores[truths])
    return float(present[int(np.floor((1.0 - found) * present.size))])


def figures(network: nn.Module, card: Card, films: Films) -> dict[str, float]:
    """How a network with its card does on films that took no part in either."""
    odds, truths = log_odds_of(network, films), films.pneumonia
    raw = expit(odds)
    calibrated = Platt(*card.calibration[LABELS[1]])(raw)
    at = at_point(raw, truths, card.operating_points[LABELS[1]])
    named = {
        "auroc": auroc(odds, truths),
        "accuracy": at.accuracy,
        "sensitivity": at.sensitivity,
        "specificity": at.specificity,
        "calibration_error_raw": calibration_error(raw, truths),
        "calibration_error": calibration_error(calibrated, truths),
        "brier": brier(calibrated, truths),
    }
    return {"films": float(truths.size)} | {name: value for name, value in named.items() if value is not None}


def make(films: Films, validation: Films, schedule: ClassifierSchedule, folder: Path) -> Path:
    """Train, find point and calibration, and write the weights with their card.

    Args:
        films: To train on; a tenth of them is held back for the point and the calibration.
        validation: For the figures alone.
        schedule: How long.
        folder: Where to.

    Returns:
        The weights file.
    """
    config = network_config()
    learnt, aside = held_back(films, schedule.seed)
    weights = class_weights(learnt.pneumonia.astype(np.int64), len(LABELS))
    loss = nn.CrossEntropyLoss(weight=weights, label_smoothing=_SMOOTHING)
    network = train_classifier(config, batches(learnt, schedule), loss, schedule)
    card = settled(network, aside)
    held_out = figures(network, card, validation)
    for name, figure in held_out.items():
        _LOG.info("%s: %.4f", name, figure)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.safetensors"
    save_weights(network, config, card.model_copy(update={"held_out": held_out}), path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="pneumoniamnist.npz")
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    parser.add_argument("--max-minutes", type=float, default=None, help="finish the schedule earlier on a slow machine")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        films, validation = read_films(options.data)
    except ConfigError as error:
        parser.error(str(error))
    schedule = replace(SCHEDULE, steps=options.steps, max_minutes=options.max_minutes)
    make(films, validation, schedule, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
