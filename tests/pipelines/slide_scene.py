"""A slide whose truth is known by formula, and networks that cannot err: what comes out is the formula."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from datasets.slide import Slide, levels_of
from datasets.study import Series, Study
from pipelines.examination import Clock, Compute, Examination, Instruments
from pipelines.task import load_task
from pipelines.tasks.histopathology import Histopathology

GLASS, STROMA, TUMOR = (243, 243, 241), (232, 152, 192), (122, 74, 154)


@dataclass(frozen=True)
class Ellipse:
    """In micrometres."""

    x: float
    y: float
    a: float
    b: float

    @property
    def area_mm2(self) -> float:
        return float(np.pi * self.a * self.b) / 1e6

    def contains(self, x, y):
        return ((x - self.x) / self.a) ** 2 + ((y - self.y) / self.b) ** 2 <= 1


@dataclass(frozen=True)
class Scene:
    """Tissue with tumours in it, and whatever is painted over them."""

    size_um: tuple[float, float]
    tissue: Ellipse
    tumors: Sequence[Ellipse]
    paint: Sequence[tuple[Callable, tuple[int, int, int]]] = ()

    def render(self, x, y):
        """Colours at places x (columns,) and y (rows,)."""
        x, y = np.meshgrid(x, y)
        pixels = np.empty((*x.shape, 3), dtype=np.uint8)
        pixels[...] = GLASS
        pixels[self.tissue.contains(x, y)] = STROMA
        for tumor in self.tumors:
            pixels[tumor.contains(x, y)] = TUMOR
        for contains, colour in self.paint:
            pixels[contains(x, y)] = colour
        return pixels


SCENE = Scene(
    (1600.0, 1200.0), Ellipse(800, 600, 690, 500), (Ellipse(550, 560, 240, 200), Ellipse(1100, 700, 110, 130))
)
TILE = 256


@lru_cache(maxsize=400)
def _tile(scene: Scene, mpp: float, row: int, column: int):
    at = np.arange(TILE) + 0.5
    return scene.render((column * TILE + at) * mpp, (row * TILE + at) * mpp)


class FormulaSlide(Slide):
    """A pyramid whose tiles are made when they are asked for."""

    def __init__(self, scene: Scene = SCENE, mpp: float | None = 0.5, steps=(1, 2, 16), broken=(), sparse=False):
        self.scene, self.broken, self.sparse = scene, frozenset(broken), sparse
        self.true_mpp = mpp or 0.5
        size = [round(edge / self.true_mpp) for edge in scene.size_um]
        super().__init__(
            "formula",
            "formula",
            levels_of([(-(-size[0] // step), -(-size[1] // step)) for step in steps]),
            None if mpp is None else (mpp, mpp),
        )
        self.decoded = 0

    def tile_size(self, level):
        return TILE, TILE

    def has_tile(self, level, row, column):
        if not self.sparse:
            return True
        step = self.levels[level].step[0] * self.true_mpp * TILE
        x, y = (np.arange(column, column + 2) * step, np.arange(row, row + 2) * step)
        t = self.scene.tissue
        return bool(x[1] > t.x - t.a and x[0] < t.x + t.a and y[1] > t.y - t.b and y[0] < t.y + t.b)

    def decode_tile(self, level, row, column):
        if (level, row, column) in self.broken or level in self.broken:
            raise self.tile_refused(level, row, column, "bad bytes")
        self.decoded += 1
        return _tile(self.scene, self.levels[level].step[0] * self.true_mpp, row, column)

    def close(self):
        pass


def _refuse():
    raise AssertionError("a slide is never loaded whole")


def slide_study(slide: Slide) -> Study:
    series = Series("slide", "SM", "a slide", 1, None, (), None, _refuse, slide=lambda: slide)
    return Study("slide", "slide", (series,))


def tumor_in_the_middle(x: torch.Tensor) -> torch.Tensor:
    """The rule of PCam: whether any of the 32 x 32 pixels in the middle is tumour, by its colour."""
    middle = x[:, :, 32:64, 32:64]
    # Half way from the stroma's red to the tumour's.
    purple = (middle[:, 0] < 0.69) & (middle[:, 2] < 0.80)
    return torch.where(purple.flatten(1).any(dim=1), 4.0, -4.0)[:, None]


def tumor_in_most_of_the_middle(x: torch.Tensor) -> torch.Tensor:
    """Whether half of the middle or more is tumour, as the refiner says it."""
    middle = x[:, :, 32:64, 32:64]
    purple = (middle[:, 0] < 0.69) & (middle[:, 2] < 0.80)
    return torch.where(purple.flatten(1).float().mean(dim=1) >= 0.5, 4.0, -4.0)[:, None]


PLAIN = (
    "weights=null",
    "refiner=null",
    "stain.method=none",
    "hot_spots.min_area_mm2=0",
    'input={scale: "[0, 1]", channels: 3}',
)


def examine(study: Study, *overrides: str, network=tumor_in_the_middle, assistants=None) -> Examination:
    task = load_task("histopathology", (*PLAIN, *overrides))
    assert isinstance(task, Histopathology)
    instruments = Instruments(network, Compute(), assistants=assistants or {})
    return task.examine(task.choose(study), instruments, Clock())


def quantity(said: Examination, label: str, name: str) -> float:
    [value] = [q.value for q in said.quantities if (q.label, q.name) == (label, name)]
    assert value is not None
    return value


def codes(said) -> set[str]:
    return {flag.code for flag in said.flags} | {repair.code for repair in said.repairs}


def written(said, folder):
    for file in said.files:
        file.write(folder / file.name)
    return {file.key: folder / file.name for file in said.files}
