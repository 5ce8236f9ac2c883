"""The sign of each finding on a phantom film, drawn by a random generator into a chest.

Each drawing takes the generator, the chest, and the side for findings that have one: 1.0 for the patient's left.
"""

from collections.abc import Callable

import numpy as np

from datasets.phantoms.film_anatomy import Bar, Lens
from datasets.phantoms.film_planted import Haze, Planted
from datasets.phantoms.film_regions import Band, Beyond, Cut, Fluid, Lobe, Plate
from datasets.phantoms.film_shapes import Oval, Point, Rng, Stroke
from datasets.phantoms.film_thorax import Lung, Thorax

_TRIES = 200


def _atelectasis(rng: Rng, thorax: Thorax, side: float) -> Planted:
    lung, plates = thorax.lung(side), []
    for number in range(rng.integers(2, 4)):
        y = lung.dome_y_mm - 12 - 15 * number + rng.uniform(-3, 3)
        start, end = (side * rng.uniform(40, 52), y + rng.uniform(-5, 8)), (side * rng.uniform(92, 106), y)
        plates.append(Stroke(start, end, rng.uniform(-5, 5), (rng.uniform(3.4, 4.6), rng.uniform(2.6, 3.4))))
    bars = tuple(Bar(stroke, rng.uniform(46, 64)) for stroke in plates)
    return Planted("atelectasis", tuple(Plate(stroke) for stroke in plates), lines=bars)


def _cardiomegaly(rng: Rng, thorax: Thorax, side: float) -> Planted:
    return Planted("cardiomegaly", (thorax.heart,))


def _effusion(rng: Rng, thorax: Thorax, side: float) -> Planted:
    lung = thorax.lung(side)
    wall, floor = lung.angle_mm
    climb = rng.uniform(22, 42)
    # Above the dome where there is much of it, within the angle where there is little.
    level = rng.uniform(lung.dome_y_mm - 50, floor - 12)
    fluid = Fluid(side, level, climb, abs(wall), rng.uniform(14, 26))
    return Planted("effusion", (Cut(lung, fluid),), (Haze(side, fluid, rng.uniform(0.92, 1.0), 3.0),))


def _infiltration(rng: Rng, thorax: Thorax, side: float) -> Planted:
    regions, hazes, bars = [], [], []
    for lung in thorax.lungs:
        centre = (lung.side * rng.uniform(60, 78), rng.uniform(8, 36))
        shape = Oval(centre, (rng.uniform(26, 36), rng.uniform(34, 46)))
        region = Cut(lung, shape)
        regions.append(region)
        hazes.append(Haze(lung.side, shape, rng.uniform(0.25, 0.36), 14.0, 0.35, _waves(rng, 12, 22)))
        for x, y in _points(rng, region, 26, 6.0):
            angle, reach = rng.normal(0, 0.5), rng.uniform(4, 5.5)
            away = (lung.side * reach * np.cos(angle), reach * np.sin(angle))
            ends = (float(x - away[0]), float(y - away[1])), (float(x + away[0]), float(y + away[1]))
            bars.append(Bar(Stroke(ends[0], ends[1], 0.0, (1.3, 1.0)), rng.uniform(7, 12)))
    return Planted("infiltration", tuple(regions), tuple(hazes), lines=tuple(bars))


def _mass(rng: Rng, thorax: Thorax, side: float) -> Planted:
    size = rng.uniform(18, 31)
    shape = Oval(_room(rng, thorax, side, size), (size, size * rng.uniform(0.86, 1.0)), rng.uniform(-1.5, 1.5))
    return Planted("mass", (shape,), painted=(Lens(shape, size * rng.uniform(2.6, 3.4), 0.3),))


def _nodule(rng: Rng, thorax: Thorax, side: float) -> Planted:
    shapes: list[Oval] = []
    for _ in range(1 + int(rng.random() < 0.3)):
        size = rng.uniform(8.5, 14.4)
        centre = _room(rng, thorax, side, size + 2)
        if all(np.hypot(centre[0] - o.centre_mm[0], centre[1] - o.centre_mm[1]) > size + 18 for o in shapes):
            shapes.append(Oval(centre, (size, size)))
    balls = tuple(Lens(shape, shape.radii_mm[0] * rng.uniform(4.4, 6.0), 0.3) for shape in shapes)
    return Planted("nodule", tuple(shapes), painted=balls)


def _pneumonia(rng: Rng, thorax: Thorax, side: float) -> Planted:
    lung = thorax.lung(side)
    centre = (side * rng.uniform(62, 82), rng.uniform(-70, lung.dome_y_mm - 42))
    shape = Oval(centre, (rng.uniform(30, 42), rng.uniform(26, 40)), rng.uniform(-0.6, 0.6))
    haze = Haze(side, shape, rng.uniform(0.75, 0.95), 13.0, 0.45, _waves(rng, 12, 24))
    return Planted("pneumonia", (Cut(lung, shape),), (haze,))


def _pneumothorax(rng: Rng, thorax: Thorax, side: float) -> Planted:
    lung = thorax.lung(side)
    rest = lung.collapsed(rng.uniform(16, 42), rng.uniform(24, 60))
    region = Cut(lung, Beyond(rest))
    return Planted("pneumothorax", (region,), free_air=(region,))


def _consolidation(rng: Rng, thorax: Thorax, side: float) -> Planted:
    lung = thorax.lung(side)
    kind, fall = rng.integers(3), rng.uniform(-0.05, 0.2)
    fissure = rng.uniform(-48, -28)
    if kind == 0:
        lobe = Lobe((lung.apex_mm[1] - 60, 0.0), (fissure, fall), side)
    elif kind == 1:
        lobe = Lobe((fissure + 8, fall), (fissure + rng.uniform(52, 70), rng.uniform(-0.3, 0.2)), side)
    else:
        lobe = Lobe((lung.dome_y_mm - rng.uniform(58, 82), rng.uniform(-0.1, 0.15)), (lung.dome_y_mm - 9, 0.0), side)
    region = Cut(lung, lobe)
    bars = []
    for x, y in _points(rng, region, 5, 12.0):
        end = (float(x + side * rng.uniform(4, 7)), float(y + rng.uniform(-6, 6)))
        bars.append(Bar(Stroke((x, y), end, 0.0, (1.6, 1.2)), -10.0))
    haze = Haze(side, lobe, rng.uniform(0.76, 0.92), 7.0, 0.15, _waves(rng, 18, 40))
    return Planted("consolidation", (region,), (haze,), tuple(bars))


def _edema(rng: Rng, thorax: Thorax, side: float) -> Planted:
    opacity, size = rng.uniform(0.5, 0.72), (rng.uniform(50, 62), rng.uniform(64, 80))
    wings = [(lung, Oval((lung.side * 36, -8.0), size)) for lung in thorax.lungs]
    waves = _waves(rng, 10, 20)
    hazes = tuple(Haze(lung.side, wing, opacity, 34.0, 0.3, waves) for lung, wing in wings)
    return Planted("edema", tuple(Cut(lung, wing) for lung, wing in wings), hazes)


def _emphysema(rng: Rng, thorax: Thorax, side: float) -> Planted:
    return Planted("emphysema", tuple(Cut(lung) for lung in thorax.lungs))


def _fibrosis(rng: Rng, thorax: Thorax, side: float) -> Planted:
    regions, bars = [], []
    for lung in thorax.lungs:
        centre = (lung.side * (lung.half_width_mm - rng.uniform(34, 46)), lung.dome_y_mm - rng.uniform(24, 40))
        region = Cut(lung, Oval(centre, (rng.uniform(32, 40), rng.uniform(38, 52))))
        regions.append(region)
        for x, y in _points(rng, region, 90, 7.2):
            # A net: lines run along two directions and meet.
            angle, reach = rng.choice((0.6, -0.75)) + rng.normal(0, 0.3), rng.uniform(4.5, 7.0)
            dx, dy = float(reach * np.cos(angle)), float(reach * np.sin(angle))
            bars.append(Bar(Stroke((x - dx, y - dy), (x + dx, y + dy), 0.0, (1.1, 1.1)), rng.uniform(32, 46)))
    return Planted("fibrosis", tuple(regions), lines=tuple(bars))


def _pleural_thickening(rng: Rng, thorax: Thorax, side: float) -> Planted:
    lung = thorax.lung(side)
    top = lung.apex_mm[1] + rng.uniform(46, 70)
    bottom = top + rng.uniform(85, 115)
    rind = Band(lung, (top, bottom), rng.uniform(15, 26))
    return Planted("pleural_thickening", (Cut(lung, rind),), (Haze(side, rind, 1.0, 2.5),))


def _hernia(rng: Rng, thorax: Thorax, side: float) -> Planted:
    size = (rng.uniform(32, 44), rng.uniform(26, 36))
    centre = (rng.uniform(6, 22), thorax.left.dome_y_mm - rng.uniform(16, 28))
    sac = Oval(centre, size)
    # The bubble lies in the upper half, on the fluid.
    bubble = Oval((centre[0], centre[1] - 0.3 * size[1]), (0.72 * size[0], 0.5 * size[1]))
    return Planted("hernia", (sac,), painted=(Lens(sac, rng.uniform(35, 50), 0.25), Lens(bubble, -75.0, 0.3)))


SIGNS: dict[str, Callable[[Rng, Thorax, float], Planted]] = {
    "atelectasis": _atelectasis,
    "cardiomegaly": _cardiomegaly,
    "effusion": _effusion,
    "infiltration": _infiltration,
    "mass": _mass,
    "nodule": _nodule,
    "pneumonia": _pneumonia,
    "pneumothorax": _pneumothorax,
    "consolidation": _consolidation,
    "edema": _edema,
    "emphysema": _emphysema,
    "fibrosis": _fibrosis,
    "pleural_thickening": _pleural_thickening,
    "hernia": _hernia,
}


def _waves(rng: Rng, shortest_mm: float, longest_mm: float) -> tuple[Point, ...]:
    lengths, angles = rng.uniform(shortest_mm, longest_mm, 6), rng.uniform(0, np.pi, 6)
    return tuple(
        (float(2 * np.pi / size * np.cos(a)), float(2 * np.pi / size * np.sin(a)))
        for size, a in zip(lengths, angles, strict=True)
    )


def _points(rng: Rng, region: Cut, count: int, margin_mm: float) -> list[Point]:
    """Points at least a margin inside a region, as many as are found."""
    left, top, right, bottom = region.box
    x, y = rng.uniform(left, right, 12 * count), rng.uniform(top, bottom, 12 * count)
    inside = region.depth(x, y) >= margin_mm
    return [(float(a), float(b)) for a, b in zip(x[inside][:count], y[inside][:count], strict=True)]


def _room(rng: Rng, thorax: Thorax, side: float, size_mm: float) -> Point:
    """The middle of a disc that is wholly in a lung and beside the heart, as far from all edges as can be had."""
    lung: Lung = thorax.lung(side)
    left, top, right, bottom = lung.box
    x, y = rng.uniform(left, right, _TRIES), rng.uniform(top + 25, bottom, _TRIES)
    room = np.minimum(lung.depth(x, y), -thorax.heart.depth(x, y) + 0.4 * size_mm) - size_mm - 4
    fits = np.flatnonzero(room >= 0)
    best = int(fits[0] if fits.size else np.argmax(room))
    return float(x[best]), float(y[best])
