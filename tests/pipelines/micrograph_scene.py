"""Micrographs of discs, and a network that cannot err: where truths about the nuclei task come from."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study
from pipelines.examination import Compute
from pipelines.model_store import untrained
from pipelines.results import Result
from pipelines.run import Pipeline
from pipelines.task import load_task
from tests.pipelines.discs import Disc, discs

FOUR: tuple[Disc, ...] = ((20, 20, 8.0), (20, 60, 10.0), (55, 30, 6.0), (60, 75, 12.0))


class Brightness(nn.Module):
    """Whatever is brighter than half of the range is the interior of a nucleus, of a probability near 1."""

    def forward(self, x: Tensor) -> Tensor:
        over = 40.0 * (x.mean(dim=1) - 0.5)  # (N, H, W)
        return torch.stack([-over, over, torch.full_like(over, -100.0)], dim=1)


def grey(mask: NDArray[np.bool_], black: int = 20, white: int = 220, kind: type = np.uint8) -> Image:
    """Bright where a mask (H, W) is true, laid out as readers lay it out."""
    pixels = np.where(mask, white, black).astype(kind)
    return Image(pixels[np.newaxis, np.newaxis].transpose(0, 3, 2, 1), Intensity.GREY)


def four_discs() -> Image:
    return grey(discs((81, 103), *FOUR))


def score(image: Image, *settings: str, network: nn.Module | None = None) -> Result:
    """Through the path every door takes."""
    return pipeline(*settings, network=network).run(study(image))


def pipeline(*settings: str, network: nn.Module | None = None) -> Pipeline:
    """The nuclei task with a network that cannot err."""
    return Pipeline(load_task("nuclei", settings), network or Brightness(), untrained(), Compute())


def study(image: Image) -> Study:
    """A study of one picture."""
    series = Series("cells", "", "picture", 1, None, (), None, lambda: Loaded(image))
    return Study("cells", "cells.png", (series,))


def written(result: Result, key: str, path: Path) -> Path:
    """One of a result's files, written."""
    (file,) = [file for file in result.files if file.key == key]
    file.write(path)
    return path


def quantities(result: Result) -> dict[str, tuple[float | None, str]]:
    return {item.name: (item.value, item.unit) for item in result.quantities}
