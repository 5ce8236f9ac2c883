"""Nuclei on micrographs whose ellipses are known by formula."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from rich.table import Table
from skimage.measure import find_contours

from app.demonstrations.shown import Demonstration, Found, table
from app.drawing import TRUTH
from app.picture_sheet import FOUND, Outline, Tile, write_picture_sheet
from datasets.phantoms.nuclei import nuclei_phantom

SEEDS = (20_000, 20_001, 20_002, 20_003)


def nuclei(seeds: Sequence[int] = SEEDS) -> Demonstration:
    """The nuclei task on some micrographs: bright nuclei for even seeds, dark ones for odd."""
    return Demonstration(
        task="nuclei",
        told="micrographs: every nucleus outlined and counted",
        make=lambda folder: [_store(seed, folder) for seed in seeds],
        show=partial(_show, tuple(seeds)),
    )


def _store(seed: int, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"cells-{seed}.png"
    Picture.fromarray(_pixels(seed)).save(path, format="PNG")
    return path


def _pixels(seed: int) -> NDArray[np.uint8]:
    """(rows, columns) or (rows, columns, 3)."""
    array = nuclei_phantom(seed).image().array[..., 0].transpose(2, 1, 0)
    pixels: NDArray[np.uint8] = array[..., 0] if array.shape[2] == 1 else array
    return pixels


def _show(seeds: tuple[int, ...], found: Sequence[Found], sheet: Path) -> Table:
    made = table("Nuclei: found beside truth", "picture", "found", "truth", "area IoU")
    tiles = []
    for seed, one in zip(seeds, found, strict=True):
        truth = nuclei_phantom(seed).instances()
        with Picture.open(one.folder / "instances.png", formats=("PNG",)) as picture:
            instances = np.asarray(picture)
        count, true = len(np.unique(instances)) - 1, int(truth.max())
        both, either = (instances > 0) & (truth > 0), (instances > 0) | (truth > 0)
        iou = float(both.sum()) / max(1.0, float(either.sum()))
        made.add_row(one.study, str(count), str(true), f"{iou:.3f}")
        lines = [Outline(line, FOUND) for line in _outlines(instances)]
        lines += [Outline(line, TRUTH, dashed=True) for line in _outlines(truth)]
        title = f"{one.study}   {count} nuclei (truth {true})"
        tiles.append(Tile(title, f"area IoU {iou:.3f}", _pixels(seed), tuple(lines)))
    write_picture_sheet(tiles, sheet, per_row=2, legend="orange: found   white dashes: truth")
    return made


def _outlines(instances: NDArray[np.integer]) -> list[NDArray[np.float64]]:
    """Of every instance, closed lines (n, 2) of x and y in pixels."""
    lines = []
    for number in np.unique(instances[instances > 0]):
        mask = np.pad(instances == number, 1).astype(np.float32)
        # Minus the padding, plus the half pixel between a pixel's centre and its edge.
        lines += [contour[:, ::-1] - 0.5 for contour in find_contours(mask, 0.5)]  # type: ignore[no-untyped-call]
    return lines
