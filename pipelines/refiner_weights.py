"""Trains the refiner of the histopathology task that ships: `python -m pipelines.refiner_weights`.

A light U-Net sees the map of the patch network as a picture and says which cells are tumour, half of them or more. The
patch network says of a cell whether there is any tumour in it, so its map is wider than the tumour by half a cell, and
it errs here and there. What shapes tumours and tissue have is learnt from phantom slides; what the patch network would
say of them is made up, with errors of many kinds and sizes, since asking it about thousands of slides takes days. On
the slides of the figures it was asked.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from monai.losses.dice import DiceLoss
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from torch import Tensor, nn

from datasets.phantoms import SlidePhantom
from datasets.phantoms.slide_patches import CENTRE_PX, MPP, SIZE_PX
from networks.configs import UNetConfig
from pipelines.classifier_training import ClassifierSchedule, train_classifier
from pipelines.examination import Compute
from pipelines.histology.light import Floats
from pipelines.histology.patch_network import refined
from pipelines.loaded_network import LoadedNetwork, load_network
from pipelines.metrics.dice import dice
from pipelines.model_store import SHIPPED_FOLDER, Card, find_weights, read_card, save_weights
from pipelines.patch_weights import LABEL, log_odds
from pipelines.patch_weights import NAME as PATCH_NAME
from pipelines.patch_weights import NETWORK as PATCH_NETWORK
from pipelines.phantom_patches import drawn_slide, normalised
from pipelines.phantom_training import Batches
from pipelines.regions import Mask

_LOG = logging.getLogger(__name__)

NAME = "histopathology_refiner_phantom"
NETWORK = UNetConfig(in_channels=2, out_channels=1, features=(8, 16, 32), normalisation="batch", dropout=0.0)
SCHEDULE = ClassifierSchedule(steps=900, batch=16, peak_rate=5e-3, averaged_steps=60, check_every=100)
SLIDES = 200
HELD_OUT_SEEDS = range(11_000, 11_012)
CELL_UM = CENTRE_PX * MPP
_CROP = 64
_TRAINED_UM, _CHECKED_UM = (5000.0, 4000.0), (2800.0, 2400.0)
_AROUND = np.ones((3, 3), dtype=np.bool_)
# Points along an edge of a cell at which truth is asked for.
_POINTS = 8
_THRESHOLD = 0.5
_SHARE_ON_TUMORS, _SHARE_BLURRED = 0.6, 0.4
# Log odds of the patch network, as shares of the largest, by the share of a cell that is tumour: a line through what it
# said of six slides (seeds 12000 to 12005) that are used for nothing else.
_SEEN = (0.0, 1e-3, 0.03, 0.12, 0.25, 0.5, 0.9, 1.0), (-0.9, -0.1, 0.1, 0.25, 0.42, 0.6, 0.8, 1.0)


@dataclass(frozen=True, eq=False)
class Cells:
    """The truth of a slide, cell by cell.

    Attributes:
        tumor: (rows, columns), share of tumour.
        tissue: (rows, columns), whether the middle lies in tissue; not under a pen nor beside it, where the task does
            not look.
    """

    tumor: Floats
    tissue: Mask


def cells_of(slide: SlidePhantom) -> Cells:
    """Share a slide into cells of 31 um from its upper left corner; a rest at the far ends is left out."""
    columns, rows = (int(size // CELL_UM) for size in slide.size_um)
    tumor = slide.is_tumor(*_points(columns, rows, _POINTS)).astype(np.float32)
    shares = tumor.reshape(rows, _POINTS, columns, _POINTS).mean(axis=(1, 3))
    inked = slide.is_pen(*_points(columns, rows, 1))
    return Cells(shares, slide.is_tissue(*_points(columns, rows, 1)) & ~ndimage.binary_dilation(inked, _AROUND))


def _points(columns: int, rows: int, each: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points spread over cells, `each` along an edge: x (1, columns * each) and y (rows * each, 1), in um."""
    x, y = ((np.arange(count * each) + 0.5) * (CELL_UM / each) for count in (columns, rows))
    return np.asarray(x[np.newaxis, :], np.float64), np.asarray(y[:, np.newaxis], np.float64)


def made_up(cells: Cells, rng: np.random.Generator) -> Floats:
    """What a patch network might say of a slide's cells: (rows, columns) probabilities, 0 outside of tissue.

    It sees tumour from a small share of a cell on, and is the surer the more there is; it is more or less sure of
    itself, leans to one side, wavers from cell to cell and from region to region, mostly little, hardly knows what it
    sees where a slide is out of focus, and is wrong about a few spots of a cell or three altogether.
    """
    shape = cells.tumor.shape
    sureness, lean = rng.uniform(6.0, 10.0), rng.normal(0.0, 0.6)
    odds = sureness * np.interp(cells.tumor, *_SEEN) + lean
    if rng.random() < _SHARE_BLURRED:
        odds *= _clearness(shape, rng)
    odds += 0.35 * rng.random() ** 2 * sureness * rng.standard_normal(shape)
    wide = ndimage.gaussian_filter(rng.standard_normal(shape), 2.0, mode="nearest")
    odds += 0.45 * rng.random() ** 2 * sureness * wide / max(float(wide.std()), 1e-6)
    spots = rng.random(shape) < rng.uniform(0.0, 0.012)
    larger = rng.random(shape) < 0.5
    wrong = spots | (ndimage.binary_dilation(spots & larger) & (rng.random(shape) < 0.7))
    odds = np.where(wrong, -odds * rng.uniform(0.2, 1.0, shape), odds)
    return np.where(cells.tissue, expit(odds), 0.0).astype(np.float32)


def _clearness(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """How clearly cells are seen: 1 but for a round part of the slide that is out of focus."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    row, column = rng.uniform((0.0, 0.0), shape)
    radius, least = rng.uniform(5.0, 30.0), rng.uniform(0.05, 0.6)
    inside = np.clip((radius - np.hypot(rows - row, columns - column)) / 3.0 + 0.5, 0.0, 1.0)
    return np.asarray(1.0 - (1.0 - least) * inside)


def batches(slides: Sequence[Cells], schedule: ClassifierSchedule) -> Batches:
    """Maps (batch, 2, 64, 64), probability and tissue, and whether cells are tumour (batch, 1, 64, 64)."""
    rng = np.random.default_rng([schedule.seed, 12])
    for _ in range(schedule.steps):
        crops = [_crop(slides[int(rng.integers(len(slides)))], rng) for _ in range(schedule.batch)]
        maps, truths = (np.stack([crop[part] for crop in crops]) for part in (0, 1))
        yield torch.from_numpy(maps), torch.from_numpy(truths)


def _crop(cells: Cells, rng: np.random.Generator) -> tuple[Floats, Floats]:
    # Holes in what was looked at: fat, lumina, ink, tiles that could not be read.
    holes = ndimage.gaussian_filter(rng.standard_normal(cells.tissue.shape), rng.uniform(0.7, 2.5))
    looked = cells.tissue & (holes < rng.uniform(1.5, 4.0) * holes.std())
    said = made_up(replace(cells, tissue=looked), rng)
    maps = np.stack([said, looked.astype(np.float32), ((cells.tumor >= _THRESHOLD) & looked).astype(np.float32)])
    rows, columns = cells.tumor.shape
    corner = [int(rng.integers(0, max(size - _CROP, 0) + 1)) for size in (rows, columns)]
    if maps[2].any() and rng.random() < _SHARE_ON_TUMORS:
        # Tumour is a small part of most slides.
        wanted = np.argwhere(maps[2])
        place = wanted[int(rng.integers(len(wanted)))] - rng.integers(0, _CROP, 2)
        corner = [int(np.clip(at, 0, max(size - _CROP, 0))) for at, size in zip(place, (rows, columns), strict=True)]
    top, left = corner
    crop = np.zeros((3, _CROP, _CROP), np.float32)
    part = maps[:, top : top + _CROP, left : left + _CROP]
    crop[:, : part.shape[1], : part.shape[2]] = part
    turned = np.rot90(crop[..., ::-1] if rng.random() < 0.5 else crop, int(rng.integers(4)), (1, 2))
    return np.ascontiguousarray(turned[:2]), np.ascontiguousarray(turned[2:])


class OverlapAndEntropy(nn.Module):
    """Cross-entropy of every cell, and Dice loss, so that small tumours count."""

    def __init__(self) -> None:
        super().__init__()
        self._entropy, self._overlap = nn.BCEWithLogitsLoss(), DiceLoss(sigmoid=True, batch=True)

    def forward(self, logits: Tensor, truths: Tensor) -> Tensor:
        """Of logits and truths (N, 1, rows, columns): a scalar."""
        both: Tensor = self._entropy(logits, truths) + 0.5 * self._overlap(logits, truths)
        return both


@dataclass(frozen=True, eq=False)
class Asked:
    """A slide and what the patch network says of its cells.

    Attributes:
        cells: The truth.
        said: (rows, columns) probabilities, 0 outside of tissue.
    """

    cells: Cells
    said: Floats


def asked(seed: int, network: nn.Module) -> Asked:
    """Ask the patch network about every cell of a phantom slide, its stains normalised as the task does it."""
    slide = drawn_slide(seed, _CHECKED_UM)
    cells = cells_of(slide)
    rows, columns = cells.tumor.shape
    margin = (SIZE_PX - CENTRE_PX) // 2
    size = columns * CENTRE_PX + 2 * margin, rows * CENTRE_PX + 2 * margin
    picture = normalised(slide.read(-margin * MPP, -margin * MPP, *size, MPP), slide)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (SIZE_PX, SIZE_PX), axis=(0, 1))
    patches = windows[::CENTRE_PX, ::CENTRE_PX].transpose(0, 1, 3, 4, 2)  # (rows, columns, 96, 96, 3)
    said = np.zeros(cells.tumor.shape, np.float32)
    for row, looked in enumerate(cells.tissue):
        if looked.any():
            said[row, looked] = expit(log_odds(network, patches[row, looked]))
    return Asked(cells, said)


def figures(refiner: LoadedNetwork, slides: Sequence[Asked], point: float) -> dict[str, float]:
    """How well maps fit the truth as said and refined: Dice of tumour cells, and area as a share of the true one."""
    before, after, areas = [], [], []
    for slide in slides:
        truth: NDArray[np.bool_] = (slide.cells.tumor >= _THRESHOLD) & slide.cells.tissue
        plain = slide.said >= point
        better = refined(refiner.network, slide.said, slide.cells.tissue, Compute()) >= _THRESHOLD
        before.append(dice(plain, truth))
        after.append(dice(better, truth))
        areas.append((plain.sum() / max(truth.sum(), 1), better.sum() / max(truth.sum(), 1)))
    return {
        "slides": float(len(slides)),
        "dice_as_said": round(float(np.mean(before)), 4),
        "dice_refined": round(float(np.mean(after)), 4),
        "dice_as_said_min": round(float(np.min(before)), 4),
        "dice_refined_min": round(float(np.min(after)), 4),
        "area_ratio_as_said": round(float(np.mean([plain for plain, _ in areas])), 4),
        "area_ratio_refined": round(float(np.mean([better for _, better in areas])), 4),
    }


def check(path: Path) -> dict[str, float]:
    """Figures of a refiner on slides nobody trained on, of which the shipped patch network was asked."""
    compute = Compute()
    patch_network = load_network(PATCH_NETWORK, PATCH_NAME, compute).network
    card = read_card(find_weights(PATCH_NAME))
    point = card.operating_points[LABEL] if card is not None else _THRESHOLD
    slides = [asked(seed, patch_network) for seed in HELD_OUT_SEEDS]
    return figures(load_network(NETWORK, str(path), compute), slides, point)


def main(arguments: list[str] | None = None) -> int:
    """Train, check on unseen slides, and write the weights with their card.

    Args:
        arguments: Of the command line; None takes the process's own.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED_FOLDER)
    parser.add_argument("--steps", type=int, default=SCHEDULE.steps)
    parser.add_argument("--slides", type=int, default=SLIDES)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    slides = [cells_of(drawn_slide(seed, _TRAINED_UM)) for seed in range(options.slides)]
    _LOG.info("%d slides", len(slides))
    schedule = replace(SCHEDULE, steps=options.steps)
    network = train_classifier(NETWORK, batches(slides, schedule), OverlapAndEntropy(), schedule)
    card = Card(
        name=NAME,
        task="histopathology",
        trained_on="maps of computer-made phantom slides, no patient",
        limits="for demonstrations and tests; not for patients: see docs/model-cards/histopathology_phantom.md",
        phantom=True,
        labels=(LABEL,),
    )
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{NAME}.safetensors"
    save_weights(network, NETWORK, card, path)
    held_out = check(path)
    save_weights(network, NETWORK, card.model_copy(update={"held_out": held_out}), path)
    for name, figure in held_out.items():
        _LOG.info("%s: %.4f", name, figure)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
