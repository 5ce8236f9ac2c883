"""What was said of every single patch, as a table that programs read."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.histology.heat_map import HeatMap
from pipelines.regions import Mask


@dataclass(frozen=True, eq=False)
class PatchTable:
    """Rows of numbers under names.

    Attributes:
        columns: Names, the unit in the name.
        rows: As they are written.
    """

    columns: tuple[str, ...]
    rows: Iterable[Sequence[str | int | float]]

    def write(self, path: Path) -> None:
        """Write the table as CSV."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(self.rows)


def slide_table(heat_map: HeatMap, looked: Mask) -> PatchTable:
    """The patches of a slide that were looked at, row by row.

    Args:
        heat_map: The map.
        looked: (rows, columns), cells whose own patch was looked at.
    """
    cells = np.argwhere(looked)
    at = cells[:, 0], cells[:, 1]
    shares = heat_map.tissue_px[at] / heat_map.cell_px**2
    numbers = np.column_stack((heat_map.grid.centres_um(cells), shares, heat_map.raw[at], heat_map.probability[at]))
    rows = [[f"{x:.2f}", f"{y:.2f}", *(f"{value:.4f}" for value in rest)] for x, y, *rest in numbers.tolist()]
    return PatchTable(("x_um", "y_um", "tissue_share", "raw_probability", "probability"), rows)
