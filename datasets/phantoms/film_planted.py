"""What a finding of a phantom film consists of."""

from dataclasses import dataclass

import numpy as np

from datasets.phantoms.film_anatomy import Painted
from datasets.phantoms.film_regions import Cut, Region, Shape
from datasets.phantoms.film_shapes import Plane, Point, Values


@dataclass(frozen=True)
class Haze:
    """Air of one lung that gives way to something dense.

    Attributes:
        side: Of the lung; 1.0 for the patient's left.
        region: Where in the lung, and behind its dome.
        opacity: Share of the air that is gone.
        edge_mm: Over which it sets in, inwards from the region's edge.
        grain: How patchy, 0 to 1.
        waves: (x, y) wave numbers in radians per mm of the patches.
    """

    side: float
    region: Shape
    opacity: float
    edge_mm: float
    grain: float = 0.0
    waves: tuple[Point, ...] = ()

    def cover(self, plane: Plane) -> Values:
        """Share of the air that is gone in each pixel of a plane."""
        share = np.clip(self.region.depth(plane.x, plane.y) / np.float32(self.edge_mm), 0, 1)
        share = share * share * (3 - 2 * share) * np.float32(self.opacity)
        if self.grain:
            patches = np.sum([np.sin(a * plane.x + b * plane.y + a) for a, b in self.waves], axis=0, dtype=np.float32)
            share = share * (1 - np.float32(self.grain) * np.clip(0.5 + 0.35 * patches, 0, 1))
        return np.asarray(share)


@dataclass(frozen=True)
class Planted:
    """One finding in a film.

    Attributes:
        name: Of the finding.
        regions: What it takes up, each with a box.
        hazes: Dense air.
        painted: What is added to the film.
        lines: What takes the place of air in the lungs, as vessels do.
        free_air: Where the lung is gone and only air is left; the pleura shows as a line on its inner face.
    """

    name: str
    regions: tuple[Region, ...]
    hazes: tuple[Haze, ...] = ()
    painted: tuple[Painted, ...] = ()
    lines: tuple[Painted, ...] = ()
    free_air: tuple[Cut, ...] = ()
