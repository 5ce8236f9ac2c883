"""The patient a phantom shows: size and build, contrast phase, and the liver that fits in."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from datasets.phantoms.liver import Lobes
from datasets.phantoms.shapes import Tube, Values, Vector

Rng = np.random.Generator
_PHASES = ("native", "arterial", "portal")
_LIVER_TRIES = 30
_LIVER_HEIGHT_MM = 160.0


@dataclass(frozen=True, eq=False)
class Frame:
    """The sizes everything else is fitted into.

    Attributes:
        body: Outline of the patient.
        wall: Outer face of the muscles, under the fat.
        cavity: Inner face of the wall.
        spine_y_mm: Middle of the vertebral bodies.
        phase: "native", "arterial" or "portal" contrast.
        liver_hu: The liver's value, to which others refer.
    """

    body: Tube
    wall: Tube
    cavity: Tube
    spine_y_mm: float
    phase: str
    liver_hu: float

    def hu(self, rng: Rng, native: Vector, arterial: Vector, portal: Vector) -> float:
        """Draw a value between the first two numbers of the phase, plus the third times the liver's value."""
        low, high, share = dict(zip(_PHASES, (native, arterial, portal), strict=True))[self.phase]
        return float(rng.uniform(low, high) + share * self.liver_hu)


def draw_frame(rng: Rng) -> Frame:
    """Draw the patient's size, build and contrast phase."""
    a, b = rng.uniform(150, 195), 0.0
    b = a * rng.uniform(0.64, 0.76)
    fat, muscle = rng.uniform(6, 12) + 0.42 * max(0.0, a - 155) * rng.uniform(0.4, 1.0), rng.uniform(9, 15)
    body = Tube((0.0, 0.0), (a, b), rng.uniform(0.15, 0.6), rng.uniform(-4e-4, 4e-4))
    wall = body.inset(fat)
    phase = str(rng.choice(_PHASES, p=(0.25, 0.15, 0.6)))
    liver = {"native": rng.uniform(45, 65), "arterial": rng.uniform(65, 95), "portal": rng.uniform(90, 130)}[phase]
    spine = -wall.radii_mm[1] + rng.uniform(46, 56)
    return Frame(body, wall, wall.inset(muscle), spine, phase, float(liver))


def draw_liver(rng: Rng, frame: Frame) -> Lobes:
    """Draw a liver under the right dome, inside the cavity and clear of spine and great vessels."""
    size = rng.uniform(0.95, 1.2)
    while True:
        for _ in range(_LIVER_TRIES):
            lobes = _draw_lobes(rng, frame, size)
            centre = _find_place(rng, frame, lobes)
            if centre is not None:
                return replace(lobes, centre_mm=centre)
        size *= 0.985


def _draw_lobes(rng: Rng, frame: Frame, size: float) -> Lobes:
    half_x, half_y = frame.cavity.radii_mm
    radii = size * rng.uniform((0.6 * half_x, 0.66 * half_y, 74), (0.9 * half_x, 0.95 * half_y, 98))
    cut = rng.uniform((-0.8, -0.9, -0.8), (-0.35, -0.35, -0.2))
    low, high = (-14, -6, -10, 0), (4, 8, 10, 4)
    return Lobes(
        (0.0, 0.0, 0.0),
        turn(rng, (-12, -10, -15), (12, 16, 15)),
        vector(radii),
        vector(cut / np.linalg.norm(cut)),
        float(rng.uniform(0.25, 0.6)),
        (float(rng.uniform(0.05, 0.35)), float(rng.uniform(-0.15, 0.2))),
        (float(rng.uniform(-4, 18)), float(rng.uniform(-6, 6))),
        _four(rng.uniform(low, high)),
        (float(rng.uniform(2, 5)), float(rng.uniform(0, 6))),
    )


def _find_place(rng: Rng, frame: Frame, lobes: Lobes) -> Vector | None:
    """The centre, as far to the right as it goes, that keeps clear of wall, spine and great vessels."""
    half_x, half_y = frame.cavity.radii_mm
    wall, bones = frame.cavity.inset(rng.uniform(0.5, 4.0)), Tube((2.0, frame.spine_y_mm + 8), (33.0, 39.0))
    if np.ptp(lobes.surface[:, 2]) > _LIVER_HEIGHT_MM:
        return None
    # A tapering wall is narrowest at one end.
    ends = np.array([-80.0, 80.0])[:, None, None]

    def fits(x: Values, y: Values) -> Values:
        inside = wall.fields(x, y, ends)[0][0].max(axis=(0, 2)) < 0
        return np.asarray(inside & (bones.fields(x, y, ends)[0][0].min(axis=-1) > 0))

    right, front = np.meshgrid(half_x * np.linspace(0.6, 0.1, 11), half_y * np.linspace(-0.1, 0.3, 9), indexing="ij")
    places = np.stack((right.ravel(), front.ravel()), axis=1)
    for step in (25, 3):
        # Few points rule out most places.
        x, y, _ = lobes.surface[::step].T
        places = places[fits(x + places[:, :1], y + places[:, 1:])] if len(places) else places
    if not len(places):
        return None
    # The dome of the diaphragm.
    return float(places[0, 0]), float(places[0, 1]), float(rng.uniform(70, 87) - lobes.surface[:, 2].max())


def vector(values: NDArray[np.float64]) -> Vector:
    """Three plain numbers."""
    return float(values[0]), float(values[1]), float(values[2])


def turn(rng: Rng, low_deg: Vector, high_deg: Vector) -> NDArray[np.float64]:
    """Draw a rotation, 3x3, by angles about x, y and z between two bounds."""
    return np.asarray(Rotation.from_euler("xyz", rng.uniform(low_deg, high_deg), degrees=True).as_matrix())


def _four(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    return float(values[0]), float(values[1]), float(values[2]), float(values[3])
