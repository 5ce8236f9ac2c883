"""What is counted and measured of nuclei, in square micrometres where the size of a pixel is known."""

from dataclasses import dataclass

import numpy as np

from datasets.image import Image
from pipelines.instances import Instances, areas_px, at_edge
from pipelines.results import Quantity

_UM2_PER_MM2 = 1e6
_PX_PER_MEGAPIXEL = 1e6


@dataclass(frozen=True)
class PixelArea:
    """How large a pixel is.

    Attributes:
        um2: Square micrometres; None where nobody knows.
    """

    um2: float | None

    @classmethod
    def of(cls, image: Image, mpp: float | None) -> "PixelArea":
        """What is stated (micrometres per pixel), or else what the image's grid says."""
        if mpp is not None:
            return cls(mpp * mpp)
        if image.affine is None:
            return cls(None)
        right, down = image.affine[:3, 0], image.affine[:3, 1]
        return cls(float(np.linalg.norm(np.cross(right, down))) * _UM2_PER_MM2)

    @property
    def factor(self) -> float:
        """From pixels to the unit areas are told in."""
        return 1.0 if self.um2 is None else self.um2

    @property
    def unit(self) -> str:
        """Of areas, in UCUM."""
        return "{pixels}" if self.um2 is None else "um2"

    def density(self, count: int, pixels: int) -> tuple[float, str]:
        """How many there are per square millimetre, or per million pixels, and the unit in UCUM."""
        if self.um2 is None:
            return count / (pixels / _PX_PER_MEGAPIXEL), "1/{megapixel}"
        return count / (pixels * self.um2 / _UM2_PER_MM2), "1/mm2"


def measure_nuclei(nuclei: Instances, area: PixelArea, label: str) -> tuple[Quantity, ...]:
    """Count, areas, density, share of the picture.

    Args:
        nuclei: (H, W), numbered 1, 2, 3 …; all of them count, those cut by the picture's edge too.
        area: Of a pixel.
        label: What to call them.

    Returns:
        Without nuclei the mean and the median area are None, everything else 0.
    """
    sizes = areas_px(nuclei).astype(np.float64) * area.factor
    density, density_unit = area.density(sizes.size, nuclei.size)
    measured: tuple[tuple[str, float | None, str], ...] = (
        ("count", float(sizes.size), "1"),
        ("count_at_edge", float(at_edge(nuclei).size), "1"),
        ("area_mean", float(sizes.mean()) if sizes.size else None, area.unit),
        ("area_median", float(np.median(sizes)) if sizes.size else None, area.unit),
        ("area_total", float(sizes.sum()), area.unit),
        ("density", density, density_unit),
        ("covered_fraction", np.count_nonzero(nuclei) / nuclei.size, "1"),
    )
    return tuple(Quantity(name=name, label=label, value=value, unit=unit) for name, value, unit in measured)
