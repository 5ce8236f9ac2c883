"""The organs of a phantom torso, drawn by a random generator so that they keep clear of each other.

Patient coordinates in mm, RAS, with the origin in the middle of the body at the height of the liver.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.phantoms.liver import Lobes
from datasets.phantoms.patient import Frame, Rng, turn, vector
from datasets.phantoms.shapes import Capsule, Ellipsoid, HalfSpace, Hoops, Part, Slabs, Tube, Vector
from datasets.phantoms.solids import Solid

_GAS_HU = -950.0
_CHECKS = 160


@dataclass(frozen=True)
class Tissue:
    """A solid filled with one value; painted in order, later over earlier.

    Attributes:
        name: What it is; several tissues may share a name.
        solid: Where it is.
        hu: Its value.
    """

    name: str
    solid: Solid
    hu: float


def draw_background(rng: Rng, frame: Frame, liver: Lobes) -> Iterator[Tissue]:
    """Table, body, chest and bones, in the order of painting."""
    yield from _table(rng, frame)
    fat = rng.uniform(-118, -92)
    yield Tissue("skin", Solid((frame.body,)), rng.uniform(-40, 30))
    yield Tissue("fat", Solid((frame.body.inset(rng.uniform(1.5, 3.0)),)), fat)
    muscle = rng.uniform(48, 68)
    yield Tissue("muscle", Solid((frame.wall,)), muscle)
    # Lean patients have little fat between their organs; collapsed bowel and vessels fill the room.
    filling = rng.uniform(-70, 10) if rng.random() < 0.25 else fat + rng.uniform(-5, 12)
    yield Tissue("filling", Solid((frame.cavity,)), filling)
    yield from _chest(rng, frame, liver, (muscle, filling))
    yield from _bones(rng, frame, muscle)


def draw_organs(rng: Rng, frame: Frame, liver: Lobes) -> Iterator[Tissue]:
    """Vessels beside the liver and the organs of the abdomen, each clear of the liver, in the order of painting."""
    taken: list[Part] = [liver]
    aorta = frame.hu(rng, (35, 48, 0), (220, 360, 0), (130, 185, 0))
    cava = frame.hu(rng, (35, 48, 0), (45, 110, 0), (110, 165, 0))
    spine = frame.spine_y_mm
    yield Tissue("aorta", Solid((Tube((-13.0, spine + 31), (11.0, 11.0)),)), aorta)
    # The cava lies behind the liver, so the liver's surface, not the vein's, is where they meet.
    yield Tissue("vena_cava", Solid((Tube((15.0, spine + 30), (13.0, 9.5)),)), cava)
    top = float(liver.surface[:, 2].max())
    half_x, half_y = frame.cavity.radii_mm
    kidney_hu = frame.hu(rng, (28, 38, 0), (120, 190, 0), (150, 205, 0))
    for side in (1.0, -1.0):
        at = (side * rng.uniform(52, 66), spine + rng.uniform(0, 12), top - rng.uniform(105, 130))
        kidney = _egg(rng, at, (27, 24, 52), 15)
        yield from _kidney(rng, settle(kidney, taken, (0.0, 0.0, -6.0)), kidney_hu, taken)
    spleen_hu = frame.hu(rng, (-12, -4, 1), (15, 45, 1), (8, 20, 1))
    spleen = _egg(rng, (-0.72 * half_x, -0.3 * half_y, top - rng.uniform(35, 60)), (28, 38, 48), 20)
    spleen = settle(spleen, taken, (-2.0, -3.0, -5.0))
    taken.append(spleen)
    yield Tissue("spleen", Solid((spleen, frame.cavity.inset(2.0))), spleen_hu)
    yield from _stomach(rng, frame, taken, top)
    pancreas = _egg(rng, (-15, spine + 58, top - rng.uniform(95, 115)), (55, 12, 14), 15)
    pancreas = settle(pancreas, taken, (0.0, 0.0, -5.0))
    taken.append(pancreas)
    yield Tissue("pancreas", Solid((pancreas, frame.cavity)), frame.hu(rng, (32, 45, 0), (80, 120, 0), (75, 105, 0)))
    yield from _gallbladder(rng, liver, taken)
    yield from _bowel(rng, frame, taken, top)


def settle(organ: Ellipsoid, blockers: Sequence[Part], step_mm: Vector) -> Ellipsoid:
    """Move an organ stepwise until it is at least about 2 mm clear of all blockers."""
    for _ in range(60):
        if not any(overlap(organ, blocker) for blocker in blockers):
            break
        x, y, z = (c + s for c, s in zip(organ.centre_mm, step_mm, strict=True))
        organ = Ellipsoid((x, y, z), organ.radii_mm, organ.rotation)
    return organ


def overlap(organ: Ellipsoid, blocker: Part) -> bool:
    """Whether an organ with 2 mm of room around it meets a blocker, judged by points on both surfaces."""
    grown = Ellipsoid(organ.centre_mm, vector(np.add(organ.radii_mm, 2.0)), organ.rotation)
    points = np.concatenate((grown.surface(_CHECKS), organ.surface(_CHECKS), [organ.centre_mm]))
    if Solid((blocker,)).contains(points).any():
        return True
    if isinstance(blocker, Lobes):
        return bool(Solid((grown,)).contains(blocker.surface).any())
    return isinstance(blocker, Ellipsoid) and bool(Solid((grown,)).contains(blocker.surface(_CHECKS)).any())


def _egg(rng: Rng, at: ArrayLike, radii: Vector, turn_deg: float) -> Ellipsoid:
    """An ellipsoid near a place, of about a size, turned by up to an angle about each axis."""
    centre = np.asarray(at) + rng.normal(0, 4, 3)
    rotation = turn(rng, (-turn_deg, -turn_deg, -turn_deg), (turn_deg, turn_deg, turn_deg))
    return Ellipsoid(vector(centre), vector(np.asarray(radii) * rng.uniform(0.8, 1.2, 3)), rotation)


def _inner(organ: Ellipsoid, wall_mm: float) -> Ellipsoid:
    return Ellipsoid(organ.centre_mm, vector(np.maximum(np.subtract(organ.radii_mm, wall_mm), 1.0)), organ.rotation)


def _table(rng: Rng, frame: Frame) -> Iterator[Tissue]:
    y = -frame.body.radii_mm[1] * rng.uniform(1.0, 1.02) - rng.uniform(0, 6)
    sides = HalfSpace((1.0, 0.0, 0.0), 200.0), HalfSpace((-1.0, 0.0, 0.0), 200.0)
    thick, skin = rng.uniform(18, 40), rng.uniform(1.5, 3.5)
    shell, foam = rng.uniform(-350, 120), rng.uniform(-960, -850)
    for name, inset, hu in (("table", 0.0, shell), ("table", skin, foam)):
        plates = HalfSpace((0.0, 1.0, 0.0), y - inset), HalfSpace((0.0, -1.0, 0.0), -(y - thick + inset))
        yield Tissue(name, Solid((*plates, *sides)), hu)


def _chest(rng: Rng, frame: Frame, liver: Lobes, hu: tuple[float, float]) -> Iterator[Tissue]:
    lung, (muscle, filling) = rng.uniform(-890, -780), hu
    half_x, half_y = frame.cavity.radii_mm
    top = float(liver.surface[:, 2].max())
    slope = rng.uniform(0.3, 0.6)
    norm = float(np.hypot(1, slope))
    # Deeper at the back: the costophrenic recess.
    floor = HalfSpace((0.0, slope / norm, -1 / norm), -(top - rng.uniform(15, 50)) / norm)
    for side in (1.0, -1.0):
        mediastinum = HalfSpace((-side, 0.0, 0.0), -rng.uniform(12, 22))
        yield Tissue("lung", Solid((frame.cavity.inset(1.0), floor, mediastinum)), lung)
    heart = settle(_egg(rng, (-22, 0.3 * half_y, top + 38), (56, 46, 42), 15), (liver,), (-1.0, 0.0, 3.0))
    yield Tissue("heart", Solid((heart, frame.cavity)), frame.hu(rng, (35, 45, 0), (150, 250, 0), (100, 150, 0)))
    left = Ellipsoid((-0.5 * half_x, 0.05 * half_y, top - 65), (0.5 * half_x, 0.85 * half_y, rng.uniform(55, 75)))
    yield Tissue("diaphragm", Solid((_inner(left, -3.0), frame.cavity, floor)), muscle)
    yield Tissue("filling", Solid((left, frame.cavity.inset(3.0), floor)), filling)
    # The right dome follows the liver, with a little room.
    for name, room, value in (("diaphragm", 5.0, muscle), ("filling", rng.uniform(0.5, 2.5), filling)):
        dome = replace(liver, radii_mm=vector(np.add(liver.radii_mm, room)), depth=0.95)
        yield Tissue(name, Solid((dome, frame.cavity, floor)), value)


def _bones(rng: Rng, frame: Frame, muscle: float) -> Iterator[Tissue]:
    spine, cortex = frame.spine_y_mm, rng.uniform(280, 700)
    marrow, pitch, phase = rng.uniform(120, 280), rng.uniform(28, 35), rng.uniform(0, 30)
    for side in (1.0, -1.0):
        paraspinal = Tube((side * 32, spine - 30), (26.0, 17.0), 0.3)
        yield Tissue("muscle", Solid((paraspinal,)), muscle)
        low = HalfSpace((0.0, 0.0, 1.0), rng.uniform(-60, -10))
        yield Tissue("muscle", Solid((Tube((side * 36, spine + 2), (16.0, 18.0)), low)), muscle)
    yield Tissue("spine", Solid((Tube((0.0, spine - 24), (17.0, 11.0)),)), cortex)
    process = Tube((0.0, spine - 42), (4.0, 20.0)), Slabs(pitch, pitch * 0.35, phase, -0.4)
    yield Tissue("spine", Solid(process), cortex)
    across = Tube((0.0, spine - 20), (42.0, 6.0)), Slabs(pitch, 6.0, phase)
    yield Tissue("spine", Solid(across), cortex)
    body = Tube((0.0, spine), (rng.uniform(20, 25), rng.uniform(15, 19)), 0.2)
    yield Tissue("spine", Solid((body,)), rng.uniform(60, 110))
    vertebra = Slabs(pitch, pitch / 2 - 3, phase)
    yield Tissue("spine", Solid((body, vertebra)), cortex)
    yield Tissue("spine", Solid((body.inset(2.0), Slabs(pitch, pitch / 2 - 5, phase))), marrow)
    yield Tissue("canal", Solid((Tube((0.0, spine - 24), (9.5, 8.0)),)), rng.uniform(10, 35))
    thick = rng.uniform(3.0, 4.5)
    ribs = Hoops(frame.wall.inset(thick + 1.5), Slabs(rng.uniform(24, 30), 6.5, phase, rng.uniform(0.4, 0.7)), thick)
    margin = HalfSpace(vector(np.array((0.0, 0.64, -0.768))), rng.uniform(15, 55))
    yield Tissue("rib", Solid((ribs, margin)), rng.uniform(250, 600))


def _kidney(rng: Rng, kidney: Ellipsoid, hu: float, taken: list[Part]) -> Iterator[Tissue]:
    taken.append(kidney)
    yield Tissue("kidney", Solid((kidney,)), hu)
    x, y, z = kidney.centre_mm
    pelvis = Ellipsoid((x - np.sign(x) * 9, y + 3, z), (9.0, 8.0, 17.0))
    yield Tissue("kidney", Solid((pelvis, kidney)), rng.uniform(-60, 30))


def _stomach(rng: Rng, frame: Frame, taken: list[Part], top: float) -> Iterator[Tissue]:
    half_x, half_y = frame.cavity.radii_mm
    stomach = _egg(rng, (-0.45 * half_x, 0.25 * half_y, top - rng.uniform(35, 55)), (40, 34, 46), 20)
    stomach = settle(stomach, taken, (-2.5, 1.0, -5.0))
    taken.append(stomach)
    yield Tissue("stomach", Solid((stomach, frame.cavity)), rng.uniform(40, 90))
    lumen = _inner(stomach, rng.uniform(2.5, 5))
    full = rng.uniform(150, 300) if rng.random() < 0.15 else rng.uniform(5, 60)
    yield Tissue("stomach", Solid((lumen, frame.cavity.inset(3.0))), full)
    air = HalfSpace((0.0, -1.0, 0.0), -(stomach.centre_mm[1] + rng.uniform(-10, 25)))
    yield Tissue("stomach", Solid((lumen, frame.cavity.inset(3.0), air)), _GAS_HU)


def _gallbladder(rng: Rng, liver: Lobes, taken: list[Part]) -> Iterator[Tissue]:
    cut = np.asarray(liver.cut)
    # Under the cut face, towards the front, on its right half.
    place = np.array((rng.uniform(0.15, 0.45), rng.uniform(0.2, 0.5), 0.0))
    place += cut * (liver.depth - place @ cut)
    at = liver.place(place[None])[0]
    bladder = settle(_egg(rng, at - (0, 0, 8), (14, 19, 15), 25), taken, (-0.6, 0.4, -1.5))
    taken.append(bladder)
    yield Tissue("gallbladder", Solid((bladder,)), rng.uniform(-2, 20))


def _bowel(rng: Rng, frame: Frame, taken: list[Part], top: float) -> Iterator[Tissue]:
    half_x, half_y = frame.cavity.radii_mm
    placed = 0
    wanted = int(rng.integers(25, 60))
    for _ in range(3 * wanted):
        low, high = (-0.8 * half_x, -0.15 * half_y, -120), (0.8 * half_x, 0.8 * half_y, top - 70)
        loop = _egg(rng, rng.uniform(low, high), vector(rng.uniform(10, 25, 3)), 90)
        if placed == wanted or any(overlap(loop, blocker) for blocker in taken[:6]):
            continue
        placed += 1
        yield Tissue("bowel", Solid((loop, frame.cavity)), rng.uniform(25, 110))
        lumen = _inner(loop, rng.uniform(1.5, 3.5))
        content = rng.uniform(120, 300) if rng.random() < 0.1 else rng.uniform(0, 50)
        yield Tissue("bowel", Solid((lumen, frame.cavity.inset(2.0))), content)
        if rng.random() < 0.4:
            air = HalfSpace((0.0, -1.0, 0.0), -(loop.centre_mm[1] + rng.uniform(-6, 8)))
            yield Tissue("bowel", Solid((lumen, frame.cavity.inset(2.0), air)), _GAS_HU)


def vessel(start: NDArray[np.float64], end: NDArray[np.float64], radius_mm: float, within: tuple[Part, ...]) -> Solid:
    """A straight stretch of vessel, kept inside other parts."""
    return Solid((Capsule(vector(start), vector(end), radius_mm), *within))
