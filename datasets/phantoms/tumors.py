"""What lies inside a phantom's liver: vessels and tumours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from datasets.errors import ConfigError
from datasets.phantoms.anatomy import Tissue, vessel
from datasets.phantoms.liver import Lobes
from datasets.phantoms.patient import Frame, Rng
from datasets.phantoms.shapes import Ellipsoid
from datasets.phantoms.solids import Solid

RADII_MM = (3.0, 30.0)
_DRAWN_RADII_MM = (6.0, 25.0)
_MOST = 4
_MARGIN_MM = 2.0
_GAP_MM = 4.0
_SURFACE_POINTS = 400
_TRIES = 400


@dataclass(frozen=True)
class Tumor:
    """An ellipsoid darker than the liver, with a still darker core or none.

    Attributes:
        shape: In patient mm.
        hu: Value outside the core.
        core: Share of the half axes that the core takes, 0 for none.
        core_hu: Value inside the core.
    """

    shape: Ellipsoid
    hu: float
    core: float
    core_hu: float

    @property
    def mean_hu(self) -> float:
        """Over the whole volume, of which the core takes the cube of `core`."""
        return self.hu + (self.core_hu - self.hu) * self.core**3

    @property
    def layers(self) -> tuple[tuple[Ellipsoid, float], ...]:
        """Shapes and values in the order of painting."""
        if self.core == 0:
            return ((self.shape, self.hu),)
        x, y, z = (radius * self.core for radius in self.shape.radii_mm)
        return (self.shape, self.hu), (Ellipsoid(self.shape.centre_mm, (x, y, z), self.shape.rotation), self.core_hu)


def draw_tumors(rng: Rng, liver: Lobes, liver_hu: float, radii_mm: Sequence[float] | None) -> tuple[Tumor, ...]:
    """Draw tumours wholly inside the liver and apart from each other.

    Args:
        rng: Random generator.
        liver: Where they must fit.
        liver_hu: They are at least 25 HU below it.
        radii_mm: Of the spheres of the same volume; drawn when None.

    Raises:
        ConfigError: A radius is out of range, or there is no room.
    """
    drawn = radii_mm is None
    radii = list(rng.uniform(*_DRAWN_RADII_MM, rng.integers(0, _MOST + 1))) if radii_mm is None else list(radii_mm)
    if any(not RADII_MM[0] <= radius <= RADII_MM[1] for radius in radii):
        raise ConfigError(f"tumour radii within {RADII_MM} mm", str(radii), "choose other radii")
    placed: dict[int, Ellipsoid] = {}
    # The largest first: they have the least room.
    for number in sorted(range(len(radii)), key=lambda index: -radii[index]):
        shape = _find_room(rng, liver, radii[number], list(placed.values()))
        while shape is None and drawn and radii[number] > _DRAWN_RADII_MM[0]:
            radii[number] = max(_DRAWN_RADII_MM[0], 0.8 * radii[number])
            shape = _find_room(rng, liver, radii[number], list(placed.values()))
        if shape is not None:
            placed[number] = shape
        elif not drawn:
            raise ConfigError("tumours that fit into the liver", f"radii {radii} mm", "ask for fewer or smaller ones")
    return tuple(_filled(rng, placed[number], liver_hu) for number in sorted(placed))


def draw_vessels(rng: Rng, frame: Frame, liver: Lobes) -> tuple[tuple[Tissue, ...], tuple[Tissue, ...]]:
    """Draw the portal trunk, which lies below the liver, and the portal and hepatic veins inside it.

    Returns:
        What is beside the liver, and what is inside and counts as liver.
    """
    portal = frame.hu(rng, (-18, -6, 1), (5, 50, 1), (35, 70, 1))
    veins = frame.hu(rng, (-18, -6, 1), (-8, 8, 1), (20, 55, 1))
    hilum = tuple(0.98 * liver.depth * n for n in liver.cut)
    right, left = (0.42, 0.0, 0.05), (-0.25, 0.15, 0.3)
    root, mouth = (0.0, -0.4, 0.72), (0.1, 0.1, 0.35)
    stretches = (
        (hilum, right, 5.5, portal),
        (hilum, left, 5.0, portal),
        (right, (0.68, 0.4, 0.15), 4.0, portal),
        (right, (0.72, -0.35, -0.05), 4.0, portal),
        (left, (-0.5, 0.35, 0.35), 3.5, portal),
        (root, mouth, 5.0, veins),
        (root, (0.6, -0.1, 0.4), 4.5, veins),
        (root, (-0.35, 0.2, 0.5), 4.0, veins),
        (mouth, (0.35, 0.55, 0.1), 3.5, veins),
    )
    places = {point: point + rng.normal(0, 0.05, 3) for stretch in stretches for point in stretch[:2]}
    inside = []
    for start, end, radius, hu in stretches:
        ends = liver.place(np.array((places[start], places[end])))
        solid = vessel(ends[0], ends[1], radius * rng.uniform(0.7, 1.1), (liver,))
        inside.append(Tissue("liver_vessel", solid, hu))
    gate = liver.place(places[hilum][None])[0]
    below = np.array((rng.uniform(-5, 12), frame.spine_y_mm + rng.uniform(48, 58), gate[2] - rng.uniform(35, 55)))
    trunk = vessel(gate, below, rng.uniform(5.5, 7.5), ())
    return (Tissue("portal_trunk", trunk, portal),), tuple(inside)


def _find_room(rng: Rng, liver: Lobes, radius_mm: float, others: Sequence[Ellipsoid]) -> Ellipsoid | None:
    inside = Solid((liver,))
    low, high = liver.bounds_mm
    for _ in range(_TRIES):
        stretch = np.exp(rng.uniform(-0.2, 0.2, 3))
        # Dividing by the geometric mean keeps the volume of the sphere.
        x, y, z = radius_mm * stretch / np.cbrt(np.prod(stretch))
        rotation = Rotation.random(random_state=rng).as_matrix()
        centre = rng.uniform(low, high)
        shape = Ellipsoid((float(centre[0]), float(centre[1]), float(centre[2])), (x, y, z), rotation)
        if inside.contains(shape.surface(_SURFACE_POINTS, _MARGIN_MM)).all() and not _close(shape, others):
            return shape
    return None


def _close(shape: Ellipsoid, others: Sequence[Ellipsoid]) -> bool:
    # Spheres around both: apart for certain, if sometimes farther than need be.
    return any(
        np.linalg.norm(np.subtract(shape.centre_mm, other.centre_mm))
        < max(shape.radii_mm) + max(other.radii_mm) + _GAP_MM
        for other in others
    )


def _filled(rng: Rng, shape: Ellipsoid, liver_hu: float) -> Tumor:
    hu = max(liver_hu - rng.uniform(25, 60), -5.0)
    hollow = rng.random() < 0.3 and min(shape.radii_mm) > 8
    core, core_hu = (rng.uniform(0.4, 0.7), hu - rng.uniform(8, 20)) if hollow else (0.0, hu)
    return Tumor(shape, float(hu), float(core), float(core_hu))
