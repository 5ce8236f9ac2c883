"""A micrograph of discs, with the number of each, to learn from."""

from pathlib import Path

import numpy as np

from pipelines.nuclei_data import Labelled
from tests.pipelines.discs import discs


def cells(seed: int) -> Labelled:
    """Six discs, of which none touch, brighter than what is around them."""
    rng = np.random.default_rng(seed)
    nuclei = np.zeros((64, 96), np.uint16)
    for number in range(6):
        row, column = divmod(number, 3)
        at = (16 + 32 * row + rng.uniform(-3, 3), 16 + 32 * column + rng.uniform(-3, 3), rng.uniform(7, 11))
        nuclei[discs(nuclei.shape, at)] = number + 1
    pixels = np.where(nuclei > 0, 180, 60) + rng.normal(0, 12, nuclei.shape)
    return Labelled(Path(f"{seed}.png"), np.stack([np.clip(pixels, 0, 255).astype(np.uint8)] * 3), nuclei)
