"""Fields of a slide about what was found, and the patches a network saw there: for whoever asks it for its reasons."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from datasets.slide import Slide
from networks.configs import Input
from pipelines.examination import Field
from pipelines.histology.heat_map import HeatMap, Region
from pipelines.histology.hot_spots import LABEL
from pipelines.histology.light import Pixels
from pipelines.histology.patch_grid import PatchGrid
from pipelines.patch_input import as_input
from pipelines.tensors import image_of

# Fields of a slide, and the patches along an edge of each: a third of a millimetre, as a pathologist looks closer.
FIELDS, _PATCHES = 3, 5
# Every second cell's patch: neighbours share two thirds of their pixels and say nearly the same.
_STEP_CELLS = 2

Cell = tuple[int, int]


def hottest_cells(heat_map: HeatMap, regions: Sequence[Region]) -> list[Cell]:
    """(row, column) of the cell of the first regions that the patch network is surest of.

    Args:
        heat_map: The map.
        regions: Ranked; without any it is the cell that came nearest.
    """
    if not regions:
        return [heat_map.highest_negative]
    found = []
    for region in regions[:FIELDS]:
        row, column = region.cells[int(heat_map.raw[tuple(region.cells.T)].argmax())]
        found.append((int(row), int(column)))
    return found


def fields_about(
    places: Sequence[Cell], slide: Slide, grid: PatchGrid, seen_as: tuple[Callable[[Pixels], Pixels], Input]
) -> Iterator[Field]:
    """A field about each cell, its patch in the middle; places with damaged tiles are left out.

    Args:
        places: Ranked as the findings are.
        slide: Open.
        grid: Where patches lie.
        seen_as: How colours are brought to those of the training, and what pixels the weights expect.
    """
    step_px = _STEP_CELLS * grid.stride_px
    reach_px, edge_px = step_px * (_PATCHES // 2), grid.patch_px + step_px * (_PATCHES - 1)
    corners = tuple((row * step_px, column * step_px) for row in range(_PATCHES) for column in range(_PATCHES))
    normalise, expected = seen_as
    for number, (row, column) in enumerate(places, start=1):
        top, left = (at * grid.stride_px - grid.margin_px - reach_px for at in (row, column))
        at_um = (left * grid.mpp, top * grid.mpp)
        try:
            pixels = slide.read(*at_um, edge_px, edge_px, grid.mpp)
        except InputRefused:
            continue  # How much could not be read is told with the map.
        yield Field(
            _prepared(normalise(pixels[np.newaxis]), expected),
            _picture(pixels),
            patch_px=grid.patch_px,
            corners=corners,
            label=LABEL,
            number=number,
            at_um=at_um,
            mpp=grid.mpp,
        )


def loose_field(pixels: Pixels, expected: Input) -> Field:
    """A patch (patch_px, patch_px, 3) that somebody cut out of a slide."""
    return Field(_prepared(pixels[np.newaxis], expected), _picture(pixels), patch_px=len(pixels), label=LABEL)


def _prepared(pixels: Pixels, expected: Input) -> Image:
    """(1, H, W, 3) as the network takes it, (3, W, H, 1)."""
    return image_of(as_input(pixels, expected)[0].contiguous()[:, None], Intensity.COLOUR, None)


def _picture(pixels: Pixels) -> Image:
    return Image(pixels.transpose(2, 1, 0)[..., np.newaxis], Intensity.COLOUR)
