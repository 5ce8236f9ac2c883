"""A small dataset in memory: liver phantoms with their labels, in no layout yet."""

from dataclasses import dataclass
from functools import cache

from datasets.example import Dataset, Example, MaskTruth, Split
from datasets.geometry import Grid
from datasets.image import Image
from datasets.labels import LIVER_AND_TUMOR
from datasets.phantoms import ct_phantom, default_grid
from datasets.study import Loaded, Series, Study

NAMES = {label.index: label.name for label in LIVER_AND_TUMOR.labels}
COARSE = (7.0, 7.0, 9.0)


# Grids are told apart by identity: the constants below make every test share the phantoms of one process.
@cache
def _phantom(seed: int, grid: Grid) -> tuple[Image, Image]:
    phantom = ct_phantom(seed)
    return phantom.image(grid), phantom.labels(grid)


@dataclass(frozen=True)
class PhantomScan:
    seed: int
    grid: Grid

    def __call__(self) -> Loaded:
        return Loaded(_phantom(self.seed, self.grid)[0])


@dataclass(frozen=True)
class PhantomLabels:
    seed: int
    grid: Grid

    def __call__(self) -> Image:
        return _phantom(self.seed, self.grid)[1]


def phantom_example(seed: int, grid: Grid, split: Split = "", label_grid: Grid | None = None) -> Example:
    name = f"liver_{seed:03d}"
    series = Series(name, "CT", "phantom", grid.shape[2], grid, (), None, PhantomScan(seed, grid), "CT")
    truth = MaskTruth(PhantomLabels(seed, label_grid or grid), NAMES)
    return Example(Study(name, "phantoms", (series,)), truth, f"patient {seed}", split)


STRAIGHT = default_grid(COARSE)
OBLIQUE = default_grid(COARSE, "LPS", (2.0, -3.0, 1.0))


def liver_set(*examples: Example) -> Dataset:
    """Two phantoms, one on a slightly oblique grid, or the given examples."""
    two = (phantom_example(3, STRAIGHT), phantom_example(4, OBLIQUE))
    return Dataset("Phantom livers", "memory", examples or two, LIVER_AND_TUMOR.names)
