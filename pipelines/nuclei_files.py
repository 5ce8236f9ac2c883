"""The pictures that the nuclei task leaves beside its result."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from pipelines.results import OutputFile

SEGMENTATION, INSTANCES, PROBABILITY = "segmentation.png", "instances.png", "probability.png"


def picture_files(mask: NDArray[np.uint8], nuclei: NDArray[np.uint16], *, alone: bool) -> tuple[OutputFile, ...]:
    """The class map and the numbered nuclei, (H, W) each, as PNGs of 8 and of 16 bits.

    Args:
        mask: Labels.
        nuclei: A number per nucleus, 0 for background.
        alone: Whether no other file is called the segmentation, as one is where the spacing is known.
    """
    return (
        _png("segmentation" if alone else "segmentation_png", SEGMENTATION, mask),
        _png("instances", INSTANCES, nuclei),
    )


def probability_file(probability: NDArray[np.uint8]) -> OutputFile:
    """The probability of nuclei, (H, W) in 1/255, as a grey PNG."""
    return _png("probability", PROBABILITY, probability)


def _png(key: str, name: str, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> OutputFile:
    def write(path: Path) -> None:
        Pillow.fromarray(pixels).save(path, format="PNG")

    return OutputFile(key, name, write)
