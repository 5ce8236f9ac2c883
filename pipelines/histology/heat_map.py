"""The map of a slide: how probable tumour is in every cell, how much tissue each holds, and what that adds up to."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.io.slide_tiff import PyramidOptions, write_array_pyramid
from pipelines.histology.light import Floats
from pipelines.histology.outlines import Polygon, outlines
from pipelines.histology.patch_grid import Cells, PatchGrid
from pipelines.histology.tissue import Tissue
from pipelines.regions import Mask, components_by_size

# Of `heatmap.tif`: 0 where nothing is known, so that a viewer shows it black, and probabilities from 1 on.
UNKNOWN: Final = 0
_LOWEST, _HIGHEST = 1, 255


@dataclass(frozen=True, eq=False)
class Region:
    """Positive cells that touch, by a corner too.

    Attributes:
        cells: (n, 2), row and column of each.
        area_mm2: Of the tissue in these cells.
        centroid_um: Mean place (x, y) of that tissue, cell by cell.
        peak: Highest probability.
        mean: Mean probability over the tissue.
        raw_peak: Highest probability of the patch classifier itself.
    """

    cells: Cells
    area_mm2: float
    centroid_um: tuple[float, float]
    peak: float
    mean: float
    raw_peak: float


@dataclass(frozen=True, eq=False)
class HeatMap:
    """What is known of every cell.

    Attributes:
        grid: Where cells lie.
        probability: (rows, columns) float32, NaN where nothing is known.
        raw: The same as the patch classifier said it: neither calibrated nor refined.
        tissue: Where tissue lies.
        cell_px: Edge of a cell in pixels of the tissue's mask.
        threshold: From which probability a cell is positive.
    """

    grid: PatchGrid
    probability: Floats
    raw: Floats
    tissue: Tissue
    cell_px: int
    threshold: float

    @property
    def positive(self) -> Mask:
        """Cells whose probability reaches the threshold."""
        # Comparisons with NaN are false.
        return np.asarray(self.probability >= self.threshold)

    @property
    def highest_negative(self) -> tuple[int, int]:
        """The cell of the highest probability that is not positive; of all where all are. The first one of equals."""
        positive = self.positive
        known = ~np.isnan(self.probability)
        among = known & ~positive if (known & ~positive).any() else known
        row, column = np.unravel_index(int(np.where(among, self.probability, -1.0).argmax()), among.shape)
        return int(row), int(column)

    def regions(self, min_area_mm2: float) -> tuple[Region, ...]:
        """Regions of positive cells, those first that hold most tumour by expectation: area times mean probability.

        Args:
            min_area_mm2: Smaller ones are left out.
        """
        positive = self.positive
        labels = components_by_size(positive[..., np.newaxis])[0][..., 0][positive]
        order = np.argsort(labels, kind="stable")
        parts = np.split(np.argwhere(positive)[order], np.flatnonzero(np.diff(labels[order])) + 1)
        found = (self._region(cells) for cells in parts if len(cells))
        large = (region for region in found if region.area_mm2 >= min_area_mm2)
        return tuple(sorted(large, key=lambda region: (-region.area_mm2 * region.mean, region.centroid_um)))

    def outline(self, region: Region) -> tuple[Polygon, ...]:
        """The tissue in a region, as polygons in micrometres whose areas add up to the region's."""
        first, last = region.cells.min(axis=0), region.cells.max(axis=0)
        cells = np.zeros(last - first + 1, dtype=np.bool_)
        cells[tuple((region.cells - first).T)] = True
        (top, left), size = (first * self.cell_px).tolist(), self.cell_px
        tissue = self.tissue.mask[top : top + len(cells) * size, left : left + cells.shape[1] * size]
        fine = cells.repeat(size, axis=0).repeat(size, axis=1)[: tissue.shape[0], : tissue.shape[1]] & tissue
        return tuple(part.scaled(self.tissue.mpp, self.tissue.mpp) for part in outlines(fine, (top, left)))

    def values(self) -> NDArray[np.uint8]:
        """(rows, columns): 0 where nothing is known, 1 to 255 for probabilities from 0 to 1."""
        known = ~np.isnan(self.probability)
        scaled = np.rint(_LOWEST + np.nan_to_num(self.probability) * (_HIGHEST - _LOWEST))
        return np.where(known, scaled, UNKNOWN).astype(np.uint8)

    def write(self, path: Path) -> None:
        """Write the map as a pyramid whose resolution tags say how large a cell is, from the slide's top left corner.

        One channel, not colours: what a viewer shows can be read as a number, and every viewer has colours of its own.
        Coarser levels take one of four cells: a mean would mix what is unknown with what is improbable.
        """
        options = PyramidOptions(compression="deflate")
        write_array_pyramid(self.values(), path, self.grid.cell_um, options, nearest=True)

    @cached_property
    def tissue_px(self) -> NDArray[np.int64]:
        """(rows, columns): pixels of the tissue's mask in each cell that are tissue."""
        return self.tissue.pixels_in(self.cell_px, self.grid.rows, self.grid.columns)

    def _region(self, cells: Cells) -> Region:
        at = cells[:, 0], cells[:, 1]
        weights = self.tissue_px[at]
        values = self.probability[at].astype(np.float64)
        x, y = np.average(self.grid.centres_um(cells), axis=0, weights=weights)
        return Region(
            cells,
            float(weights.sum()) * self.tissue.mpp**2 / 1e6,
            (float(x), float(y)),
            float(values.max()),
            float(np.average(values, weights=weights)),
            float(self.raw[at].max()),
        )
