"""A patient of a few ellipsoids, and a network that cannot err: where truths about the liver task come from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from datasets.codes import Repair
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.geometry import Grid, grid_from_axes
from datasets.image import Image, Intensity
from datasets.study import Loaded, Series, Study
from pipelines.examination import Compute
from pipelines.model_store import untrained
from pipelines.results import Result
from pipelines.run import Pipeline
from pipelines.task import load_task

Vector = tuple[float, float, float]

# Tumours are brighter than the liver, so that values between two neighbours are never those of a third.
AIR_HU, TISSUE_HU, LIVER_HU, TUMOR_HU = -1000, 0, 100, 180
OWN_GRID = "spacing_mm=[null, null, null]"


@dataclass(frozen=True)
class Ellipsoid:
    """Centre in RAS mm, semi-axes, a turn about the patient's long axis, and what fills it."""

    centre_mm: Vector
    radii_mm: Vector
    hu: int
    turn_deg: float = 0.0

    @property
    def volume_ml(self) -> float:
        return float(4.0 / 3.0 * np.pi * np.prod(self.radii_mm) / 1000.0)

    def holds(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        turn = Rotation.from_euler("z", self.turn_deg, degrees=True).as_matrix()
        local = (points_mm - self.centre_mm) @ turn / self.radii_mm
        return np.asarray((local**2).sum(axis=-1) <= 1.0)


BODY = Ellipsoid((0, 0, 0), (62, 52, 60), TISSUE_HU)
LIVER = Ellipsoid((12, 5, 2), (34, 27, 25), LIVER_HU, 20)
OVAL = Ellipsoid((24, 9, 5), (10, 6, 8), TUMOR_HU, 35)
BALL = Ellipsoid((-4, 0, -6), (6, 6, 6), TUMOR_HU)
PATIENT = (BODY, LIVER, OVAL, BALL)
HEALTHY = (BODY, LIVER)
NO_LIVER = (BODY,)


def field_of_view(
    spacing_mm: Vector = (1.5, 1.5, 2.0), size_mm: Vector = (132, 112, 84), turn_deg: Vector = (0, 0, 0)
) -> Grid:
    """A grid around the origin in LPS order, turned about it."""
    direction = Rotation.from_euler("xyz", turn_deg, degrees=True).as_matrix() @ np.diag([-1.0, -1.0, 1.0])
    shape = tuple(round(size / step) for size, step in zip(size_mm, spacing_mm, strict=True))
    at_zero = grid_from_axes(shape, spacing_mm, direction)
    return grid_from_axes(shape, spacing_mm, direction, -at_zero.points_mm((np.asarray(shape) - 1) / 2))


def scan(grid: Grid, parts: tuple[Ellipsoid, ...] = PATIENT) -> Image:
    """Hounsfield units at voxel centres, int16, laid out as readers lay it out; later parts lie over earlier ones."""
    return Image.from_slices(_painted(grid, parts).astype(np.int16), Intensity.HOUNSFIELD, grid.affine)


def truth(grid: Grid, parts: tuple[Ellipsoid, ...] = PATIENT) -> NDArray[np.uint8]:
    """The label map (I, J, K)."""
    hu = _painted(grid, parts).transpose(2, 1, 0)
    return (hu == LIVER_HU).astype(np.uint8) + 2 * (hu == TUMOR_HU).astype(np.uint8)


def _painted(grid: Grid, parts: tuple[Ellipsoid, ...]) -> NDArray[np.int64]:
    k, j, i = np.meshgrid(*(np.arange(n) for n in grid.shape[::-1]), indexing="ij")
    points_mm = grid.points_mm(np.stack((i, j, k), axis=-1))
    hu = np.full(grid.shape[::-1], AIR_HU)
    for part in parts:
        hu[part.holds(points_mm)] = part.hu
    return hu


class Oracle(nn.Module):
    """Knows the tissue by its value: liver above half way from tissue to liver, tumour above half way from there.

    Its logits are linear in the value, so interpolating them moves no border.
    """

    def forward(self, x: Tensor) -> Tensor:
        hu = x[:, x.shape[1] // 2] + 48.0
        liver = (hu - (TISSUE_HU + LIVER_HU) / 2) * 0.3
        tumor = liver + (hu - (LIVER_HU + TUMOR_HU) / 2) * 0.3
        return torch.stack((torch.zeros_like(hu), liver, tumor), dim=1)


class Constant(nn.Module):
    """Says the same probabilities of background, liver and tumour wherever there is tissue."""

    def __init__(self, *probabilities: float) -> None:
        super().__init__()
        self.logits = torch.log(torch.tensor(probabilities)).reshape(1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        tissue = (x[:, x.shape[1] // 2] > -100.0).unsqueeze(1)
        return torch.where(tissue, self.logits, torch.tensor([9.0, -9.0, -9.0]).reshape(1, 3, 1, 1))


def pipeline(*settings: str, network: nn.Module | None = None) -> Pipeline:
    """The liver task with a network that needs no training."""
    task = load_task("liver_ct", settings)
    return Pipeline(task, network or Oracle(), untrained(), Compute("cpu"))


@dataclass(frozen=True)
class Reading:
    """A series whose pixels are at hand, or whose reading fails."""

    image: Image | None = None
    error: Exception | None = None
    repairs: tuple[Repair, ...] = ()
    source: DicomSource | None = None

    def __call__(self) -> Loaded:
        if self.error is not None or self.image is None:
            raise self.error or ValueError("expected an image")
        return Loaded(self.image, self.repairs, self.source)


def study(read: Callable[[], Loaded], uid: str = "1.2.3", **changes: Any) -> Study:
    """A study of one CT series."""
    series = Series(f"{uid}.1", "CT", "scan", 20, None, (), None, read)
    return Study(**({"uid": uid, "source": f"scans/{uid}", "series": (series,)} | changes))


def refused_study(refusal: InputRefused, uid: str = "1.2.3") -> Study:
    return Study(uid, f"scans/{uid}", (), (), refusal)


def score(image: Image, *settings: str, network: nn.Module | None = None) -> Result:
    """Everything the liver task says about a scan."""
    return pipeline(*settings, network=network).run(study(Reading(image)))


@dataclass(frozen=True)
class Said:
    """A result's numbers by name."""

    result: Result
    flags: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "flags", tuple(flag.code for flag in self.result.quality))

    def of_study(self, label: str, name: str) -> float | None:
        (value,) = [q.value for q in self.result.quantities if (q.label, q.name) == (label, name)]
        return value

    def of_tumor(self, number: int) -> dict[str, float | None]:
        return {quantity.name: quantity.value for quantity in self.result.findings[number - 1].quantities}
