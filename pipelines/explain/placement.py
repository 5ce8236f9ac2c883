"""Maps back where they belong: from the grid a network saw onto that of the image that was read."""

import numpy as np
import torch
from torch import Tensor

from datasets.image import Image, Intensity
from networks.configs import Input
from pipelines.examination import Seen
from pipelines.film_preparation import film_mapping
from pipelines.resample import grid_mapping, resample
from pipelines.tensors import image_of


def on_image(heat: Tensor, seen: Seen, expected: Input | None = None) -> Image:
    """A map on the grid of the image that was read.

    Args:
        heat: (D, H, W) on the grid of `seen.prepared`; any scale.
        seen: What the network saw.
        expected: Of a film: how it was squared and sized.

    Returns:
        float32 (1, I, J, K) with the image's affine, interpolated linearly; 0 where the network saw nothing of the
        image. Two grids that are one keep every value as it is.

    Raises:
        ValueError: The map is not on the grid of what was prepared, or nothing tells how that lies in the image.
    """
    prepared, image = seen.prepared, seen.image
    if tuple(heat.shape) != prepared.shape[::-1]:
        raise ValueError(f"expected a map {prepared.shape[::-1]}, got {tuple(heat.shape)}; give one on what was seen")
    if prepared.affine is not None and image.affine is not None:
        if prepared.grid.matches(image.grid):
            return _as_image(heat, image)
        mapping = grid_mapping(prepared.affine, image.affine)
    elif prepared.shape == image.shape:
        return _as_image(heat, image)
    elif expected is not None:
        mapping = film_mapping(image, expected)
    else:
        raise ValueError("expected grids with affines, of one shape, or of a film; got none of these")
    columns, rows, slices = image.shape
    return _as_image(resample(heat.float().cpu()[None], (slices, rows, columns), mapping, fill=0.0)[0], image)


def _as_image(heat: Tensor, image: Image) -> Image:
    values = heat.detach().to("cpu", torch.float32).contiguous()[None]
    return image_of(values, Intensity.GREY, None if image.affine is None else np.array(image.affine))
