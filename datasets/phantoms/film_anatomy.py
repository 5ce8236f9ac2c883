"""What a frontal phantom film shows besides its lungs: body, bones, vessels, gas and what lies on the patient."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from datasets.phantoms.film_shapes import Oval, Plane, Rng, Stroke, Values
from datasets.phantoms.film_thorax import Lung, Thorax

_RIBS, _ANTERIOR_RIBS = 10, 6
_BRANCHES, _TWIGS = 11, 2


@dataclass(frozen=True)
class Lens:
    """An oval of a thickness in its middle.

    Attributes:
        shape: Where.
        thickness_mm: Of water; negative for gas.
        power: Of its profile; 0.5 is an ellipsoid, less is flatter.
    """

    shape: Oval
    thickness_mm: float
    power: float = 0.5

    def paint(self, target: Values, plane: Plane) -> None:
        """Add it to a film of millimetres, in place."""
        self.shape.add(target, plane, self.thickness_mm, self.power)


@dataclass(frozen=True)
class Bar:
    """A stroke of a thickness.

    Attributes:
        shape: Where.
        thickness_mm: Of water; negative for gas.
        hollow: As of a bone; see `Stroke.add`.
    """

    shape: Stroke
    thickness_mm: float
    hollow: float = 0.0

    def paint(self, target: Values, plane: Plane) -> None:
        """Add it to a film of millimetres, in place."""
        self.shape.add(target, plane, self.thickness_mm, self.hollow)


Painted = Lens | Bar


@dataclass(frozen=True)
class Build:
    """The patient's outline.

    Attributes:
        wall_mm: Muscles and fat beside the ribs.
        girdle_mm: Half width of the shoulders.
        neck_mm: Half width of the neck.
        shoulder_y_mm: Where the neck meets the shoulders.
        axilla_y_mm: Where the arms leave the body.
        arms: Whether the arms hang beside the body and are on the film.
    """

    wall_mm: float
    girdle_mm: float
    neck_mm: float
    shoulder_y_mm: float
    axilla_y_mm: float
    arms: bool

    def thickness(self, plane: Plane, thorax: Thorax) -> Values:
        """Of the body along the beam without its lungs, in mm."""
        x, y = np.abs(plane.x), plane.y
        half = np.float32(thorax.left.half_width_mm + self.wall_mm)
        line = self.shoulder_y_mm + 0.2 * np.maximum(x - 50, 0) + 0.0016 * np.maximum(x - 90, 0) ** 2
        under = np.clip((y - line) / 70, 0, 1) ** np.float32(0.5)
        torso = np.float32(thorax.body_mm) * np.maximum(1 - (x / half) ** 2.6, 0) ** np.float32(0.5)
        torso = torso * np.clip(0.6 + (y - self.shoulder_y_mm) / 330, 0, 1) * under
        girdle = under * np.maximum(1 - (x / self.girdle_mm) ** 4, 0) ** np.float32(0.5)
        girdle = 0.55 * np.float32(thorax.body_mm) * girdle * plane.soft(self.axilla_y_mm + 0.25 * x - y, 70)
        neck = 105 * np.maximum(1 - (x / self.neck_mm) ** 2, 0) ** np.float32(0.5)
        neck = neck * plane.soft(self.shoulder_y_mm + 30 - y, 50)
        parts = [torso, girdle, neck]
        if self.arms:
            arm = np.maximum(1 - ((x - half - 42 - 0.07 * y) / 38) ** 2, 0) ** 0.5
            parts.append(80 * arm * plane.soft(y - self.axilla_y_mm + 55, 60))
        # The largest of them, without a crease where they cross.
        return np.asarray(sum((part**6 for part in parts), np.float32(0)) ** np.float32(1 / 6))


def draw_build(rng: Rng, thorax: Thorax, view: str) -> Build:
    """Draw the outline of a patient."""
    top = min(lung.apex_mm[1] for lung in thorax.lungs)
    return Build(
        float(rng.uniform(26, 58)),
        float(rng.uniform(205, 235)),
        float(rng.uniform(50, 64)),
        float(top - rng.uniform(22, 38)),
        float(top + rng.uniform(62, 95)),
        bool(rng.random() < (0.7 if view == "AP" else 0.3)),
    )


def draw_bones(rng: Rng, thorax: Thorax, view: str) -> Iterator[Painted]:
    """Draw ribs, clavicles, shoulder blades and the heads of the arms."""
    spacing, start = rng.uniform(20.5, 23.5), rng.uniform(2, 10)
    steep = rng.uniform(0.8, 1.25)
    strength = rng.uniform(0.75, 1.25)
    for lung in thorax.lungs:
        top = lung.apex_mm[1] + start
        for number in range(_RIBS):
            yield from _rib(rng, lung, (number, top + spacing * number, steep), strength)
        yield from _shoulder(rng, lung, view, strength)


def _rib(rng: Rng, lung: Lung, place: tuple[int, float, float], strength: float) -> Iterator[Painted]:
    number, y, steep = place
    side, radius = lung.side, rng.uniform(4.6, 5.8)
    end_y = y + steep * (6 + 3.6 * number) + rng.uniform(-1.5, 1.5)
    wall = float(lung.lateral(np.asarray(max(end_y, lung.apex_mm[1] + 9)))) + 1.5
    arch = -side * (13 + 0.07 * wall + rng.uniform(-1, 1))
    back = Stroke((side * 17, y), (side * wall, end_y), arch, (radius, radius))
    yield Bar(back, 21.0 * strength, 0.5)
    if number < _ANTERIOR_RIBS:
        inner = 40 + 6.5 * number + rng.uniform(-3, 3)
        front = Stroke(
            (side * wall, end_y), (side * inner, end_y + steep * (34 + 3 * number)), side * rng.uniform(9, 13), (6.2, 6)
        )
        yield Bar(front, 12.0 * strength, 0.35)


def _shoulder(rng: Rng, lung: Lung, view: str, strength: float) -> Iterator[Painted]:
    side, top = lung.side, lung.apex_mm[1]
    # Facing the tube, the clavicles stand higher and the shoulder blades lie over the lungs.
    lift = rng.uniform(10, 24) if view == "AP" else rng.uniform(-6, 8)
    inner, outer = (side * 15, top + 26 - lift), (side * rng.uniform(150, 165), top + 2 - 1.5 * lift)
    yield Bar(Stroke(inner, outer, side * rng.uniform(2, 12), (6.0, 5.0)), 26.0 * strength, 0.45)
    edge = lung.half_width_mm + (rng.uniform(-28, -8) if view == "AP" else rng.uniform(0, 14))
    tip = (side * (edge + 2), top + rng.uniform(135, 155))
    blade = Stroke((side * (edge - 6), top + 40), tip, side * rng.uniform(-4, 6), (3.0, 2.0))
    yield Bar(blade, 10.0 * strength)
    yield Bar(Stroke((side * (edge + 48), top + 55), tip, side * 5.0, (3.5, 2.5)), 10.0 * strength)
    spine = Stroke((side * (edge + 2), top + 44), (side * (edge + 55), top + 18), side * 4.0, (5.0, 6.0))
    yield Bar(spine, 13.0 * strength)
    yield Lens(Oval((side * (edge + 26), top + 76), (24, 42), side * 0.25), 7.0 * strength, 0.2)
    head = (side * (lung.half_width_mm + rng.uniform(58, 70)), top + rng.uniform(30, 42))
    yield Lens(Oval(head, (23.0, 25.0)), 24.0 * strength, 0.4)
    arm = Stroke(head, (head[0] + side * rng.uniform(8, 24), head[1] + 160), 0.0, (13.0, 10.0))
    yield Bar(arm, 20.0 * strength, 0.5)


def draw_vessels(rng: Rng, thorax: Thorax) -> Iterator[Painted]:
    """Draw the vessels of the lungs, from the hila outwards, ever thinner."""
    strength = rng.uniform(0.8, 1.25)
    for lung in thorax.lungs:
        hilum = (lung.side * rng.uniform(29, 34), -rng.uniform(12, 22) - (7 if lung.side > 0 else 0))
        yield Lens(Oval(hilum, (11.0, 25.0), -lung.side * 0.25), 15.0 * strength, 0.8)
        for number in range(_BRANCHES):
            # From upwards to downwards, outwards on each side; upper ones leave the hilum above lower ones.
            share = (number + rng.uniform(0.15, 0.85)) / _BRANCHES
            angle = np.deg2rad(-74 + 150 * share)
            root = (hilum[0] + lung.side * rng.uniform(-4, 6), hilum[1] + 40 * (share - 0.5) + rng.uniform(-4, 4))
            length = rng.uniform(55, 100)
            end = (root[0] + lung.side * length * np.cos(angle), root[1] + 1.1 * length * np.sin(angle))
            bend = rng.choice((-1, 1)) * rng.uniform(3, 13)
            branch = Stroke(root, (float(end[0]), float(end[1])), bend, (rng.uniform(2.2, 4.4), 0.8))
            yield Bar(branch, 2.2 * strength * branch.radii_mm[0])
            for _ in range(_TWIGS):
                begin, turn = branch.at(rng.uniform(0.25, 0.75)), angle + rng.choice((-1, 1)) * rng.uniform(0.3, 0.8)
                reach = rng.uniform(25, 50)
                stop = (begin[0] + lung.side * reach * np.cos(turn), begin[1] + reach * np.sin(turn))
                twig = Stroke(begin, (float(stop[0]), float(stop[1])), rng.uniform(-7, 7), (rng.uniform(1.2, 2.0), 0.6))
                yield Bar(twig, 2.6 * strength * twig.radii_mm[0])


def draw_soft(rng: Rng, thorax: Thorax) -> Iterator[Painted]:
    """Draw great vessels, airways, breasts and gas in the belly."""
    top = min(lung.apex_mm[1] for lung in thorax.lungs)
    knob = (rng.uniform(22, 29), top + rng.uniform(64, 76))
    yield Lens(Oval(knob, (rng.uniform(11, 16), rng.uniform(13, 18))), rng.uniform(24, 46), 0.35)
    yield Lens(Oval((22.0, knob[1] + 42), (rng.uniform(13, 19), 30.0), 0.15), rng.uniform(20, 40), 0.5)
    yield Lens(Oval((-19.0, knob[1] + 10), (rng.uniform(9, 13), 62.0)), rng.uniform(15, 35), 0.5)
    fork = (float(rng.uniform(-3, 1)), top + float(rng.uniform(78, 90)))
    yield Bar(Stroke((float(rng.uniform(-2, 3)), top - 90), fork, 0.0, (8.5, 8.0)), -15.0)
    yield Bar(Stroke(fork, (-26.0, fork[1] + 26), 2.0, (6.5, 5.0)), -11.0)
    yield Bar(Stroke(fork, (34.0, fork[1] + 30), -3.0, (6.0, 4.5)), -11.0)
    if rng.random() < 0.45:
        size, low = rng.uniform(44, 66), rng.uniform(48, 74)
        for side in (-1.0, 1.0):
            at = (side * rng.uniform(72, 84), low + rng.uniform(-5, 5))
            yield Lens(Oval(at, (size, 0.85 * size)), 0.75 * size, 0.55)
    dome = thorax.left.dome_y_mm
    for _ in range(rng.integers(0, 5)):
        at = (rng.uniform(-90, 110), dome + rng.uniform(62, 105))
        size = rng.uniform(8, 18)
        yield Lens(Oval(at, (size, 0.7 * size), rng.uniform(-1, 1)), -rng.uniform(15, 40), 0.4)


def draw_bubble(rng: Rng, thorax: Thorax) -> Painted:
    """Draw the gas in the stomach, much or little."""
    size = (rng.uniform(16, 38), rng.uniform(8, 18))
    at = (rng.uniform(48, 82), thorax.left.dome_y_mm + size[1] + rng.uniform(9, 14))
    gas = rng.uniform(30, 75) if rng.random() < 0.85 else 5.0
    return Lens(Oval(at, size, rng.uniform(-0.25, 0.25)), -gas, 0.4)


def draw_leads(rng: Rng, view: str) -> Iterator[Painted]:
    """Draw electrodes and their wires on some patients who lie in bed."""
    if view != "AP" or rng.random() < 0.55:
        return
    for side in (-1.0, 1.0, 1.0):
        at = (side * rng.uniform(40, 105), rng.uniform(-85, 70))
        yield Lens(Oval(at, (5.0, 5.0)), 30.0, 0.2)
        far = (side * rng.uniform(80, 170), rng.uniform(150, 210))
        yield Bar(Stroke(at, far, rng.uniform(-45, 45), (0.8, 0.8)), 45.0)


def spine(plane: Plane, strength: float) -> Values:
    """The column of vertebrae with its discs, in mm of water."""
    beat = np.cos(plane.y * np.float32(2 * np.pi / 25.0))
    column = plane.soft(17.5 + beat - np.abs(plane.x), 3.0) * (10 + 4 * np.tanh(2.5 * beat))
    pedicles = np.exp(-(((np.abs(plane.x) - 12) / 4) ** 2)) * np.maximum(beat, 0) ** 2
    ridge = np.exp(-((plane.x / 3.5) ** 2)) * np.maximum(-beat, 0) ** 2
    return np.asarray(strength * (column + 7 * pedicles + 7 * ridge))
