"""A phantom film from the side: the patient looks to the image's left, his left side at the detector.

Coordinates as on a frontal film, but x grows from the breastbone to the back.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from datasets.phantoms.film_anatomy import Bar, Lens, Painted
from datasets.phantoms.film_shapes import Oval, Plane, Rng, Stroke, Values

_VERTEBRAE, _RIBS = 13, 9
_EDGE_MM = 2.0


@dataclass(frozen=True)
class Profile:
    """A patient from the side.

    Attributes:
        front_mm: Inner face of the breastbone at half height.
        back_mm: Inner face of the ribs at the back.
        top_mm: Height y of the apices.
        domes_mm: Heights y of the two domes where they are highest.
        drop_mm: How far the domes fall towards the back.
        wall_mm: Soft tissue in front and behind.
        body_mm: Thickness of the body along the beam.
        air_mm: Air along the beam where the lungs are widest.
        bones: Vertebrae, ribs, breastbone, arms.
        soft: Heart, great vessels, hila, airways, gas.
    """

    front_mm: float
    back_mm: float
    top_mm: float
    domes_mm: tuple[float, float]
    drop_mm: float
    wall_mm: tuple[float, float]
    body_mm: float
    air_mm: float
    bones: tuple[Painted, ...]
    soft: tuple[Painted, ...]

    def thickness(self, plane: Plane) -> Values:
        """Millimetres of water along the beam, (rows, columns) float32."""
        body = np.broadcast_to(self._body(plane), plane.shape).astype(np.float32)
        inside = np.sqrt(np.clip(body / 60, 0, 1))
        extra = np.zeros(plane.shape, np.float32)
        for painted in (*self.bones, *self.soft):
            painted.paint(extra, plane)
        body += inside * extra - self._air(plane)
        return np.maximum(body, 0)

    def front(self, y: Values) -> Values:
        """The breastbone, which leans forwards from above to below."""
        return np.asarray(self.front_mm - 0.16 * (y + 20) + 0.0011 * np.maximum(y - 20, 0) ** 2)

    def back(self, y: Values) -> Values:
        """The back, bent most at half height."""
        return np.asarray(self.back_mm - 0.0016 * (y + 5) ** 2)

    def _body(self, plane: Plane) -> Values:
        y = plane.y
        front = self.front(np.maximum(y, self.top_mm + 8)) - self.wall_mm[0]
        back = self.back(np.maximum(y, self.top_mm - 10)) + self.wall_mm[1] + 0.07 * np.maximum(y - 30, 0)
        across = (2 * plane.x - front - back) / (back - front)
        torso = self.body_mm * np.sqrt(np.maximum(1 - across**4, 0))
        neck_x = 0.45 * (self.front_mm + self.back_mm) + 12
        line = self.top_mm - 22 + 0.12 * np.abs(plane.x - neck_x) + 0.0026 * (plane.x - neck_x) ** 2
        torso = torso * np.clip((y - line) / 60, 0, 1) ** np.float32(0.6)
        neck = 110 * np.sqrt(np.maximum(1 - ((plane.x - neck_x + 0.2 * (y - self.top_mm)) / 60) ** 2, 0))
        return np.asarray(np.maximum(torso, neck * plane.soft(self.top_mm + 40 - y, 60)))

    def _air(self, plane: Plane) -> Values:
        """Of both lungs, each above its own dome."""
        y, front, back = plane.y, self.front(plane.y), self.back(plane.y)
        across = np.clip((2 * plane.x - front - back) / (back - front), -1, 1)
        # The apices lie behind the middle; in front of them the shoulders fill the film.
        slope = np.float32(self.top_mm) + 0.36 * np.maximum(self.back_mm - 62 - plane.x, 0)
        tall = np.clip((y - slope) / 70, 0, 1) ** np.float32(0.7)
        # The middle, between the lungs, is not air: less of it in front of the heart and behind it.
        air = np.sqrt(1 - across**6) * tall * (0.78 + 0.22 * across * across)
        share = np.zeros(plane.shape, np.float32)
        for dome in self.domes_mm:
            crest = self.front_mm + 0.35 * (self.back_mm - self.front_mm)
            behind = np.maximum(plane.x - crest, 0) / (self.back_mm - crest)
            before = np.maximum(crest - plane.x, 0) / (crest - self.front_mm)
            low = dome + self.drop_mm * behind**2.2 + 0.25 * self.drop_mm * before**2
            share += 0.5 * plane.soft(low - y, _EDGE_MM)
        return np.asarray(np.float32(self.air_mm) * air * share)


def draw_profile(rng: Rng) -> Profile:
    """Draw a healthy patient from the side."""
    deep = rng.uniform(185, 225)
    front, top, dome = -deep / 2, -rng.uniform(118, 138), rng.uniform(50, 72)
    domes = (dome, dome + rng.uniform(7, 18))
    bare = Profile(
        float(front),
        float(deep / 2),
        float(top),
        (float(domes[0]), float(domes[1])),
        float(rng.uniform(42, 62)),
        (float(rng.uniform(16, 34)), float(rng.uniform(24, 44))),
        float(rng.uniform(260, 310)),
        float(rng.uniform(165, 200)),
        (),
        (),
    )
    bones, soft = tuple(_bones(rng, bare)), tuple(_soft(rng, bare))
    return Profile(
        bare.front_mm,
        bare.back_mm,
        bare.top_mm,
        bare.domes_mm,
        bare.drop_mm,
        bare.wall_mm,
        bare.body_mm,
        bare.air_mm,
        bones,
        soft,
    )


def _bones(rng: Rng, body: Profile) -> Iterator[Painted]:
    strength, step = rng.uniform(0.8, 1.2), rng.uniform(23, 26)
    for number in range(_VERTEBRAE):
        y = body.top_mm - 18 + step * number
        x = float(body.back(np.asarray(y))) - 24
        lean = 0.0032 * (y + 5)
        yield Lens(Oval((x, y), (15.5, 0.44 * step), lean), 34 * strength, 0.15)
        yield Lens(Oval((x + 22, y + 6), (9.0, 6.0), 0.5), 16 * strength, 0.4)
    for number in range(_RIBS):
        y = body.top_mm + 12 + 20 * number
        start = (float(body.back(np.asarray(y))) - 6, y)
        for shift in (0.0, rng.uniform(4, 9)):
            end = (body.front_mm + rng.uniform(35, 50), y + 62 + shift + 2 * number)
            yield Bar(Stroke((start[0], start[1] + shift), end, rng.uniform(-22, -14), (5.0, 4.5)), 9 * strength, 0.4)
    ends = [(float(body.front(np.asarray(y))) - 6, y) for y in (body.top_mm + 28, body.domes_mm[0] - 8)]
    yield Bar(Stroke(ends[0], ends[1], 4.0, (6.0, 5.0)), 24 * strength, 0.4)
    # The arms are raised; their muscles hide the apices.
    for lean in (-14.0, 10.0):
        arm = Stroke((lean + 22, body.top_mm + 48), (lean - 35, body.top_mm - 90), 0.0, (27.0, 30.0))
        yield Bar(arm, rng.uniform(22, 34))
        yield Bar(Stroke(arm.start_mm, arm.end_mm, 0.0, (9.0, 10.0)), 12 * strength, 0.5)
    blade = Stroke((body.back_mm - 30, body.top_mm + 30), (body.back_mm - 2, body.top_mm + 125), 5.0, (3.0, 2.5))
    yield Bar(blade, 14 * strength)


def _soft(rng: Rng, body: Profile) -> Iterator[Painted]:
    deep = body.back_mm - body.front_mm
    size = rng.uniform(46, 56)
    heart = (body.front_mm + 0.18 * deep + size * 0.72, body.domes_mm[1] - 0.62 * size)
    yield Lens(Oval(heart, (size, 0.8 * size), -0.75), rng.uniform(75, 105), 0.35)
    arch = (body.front_mm + 0.52 * deep, body.top_mm + rng.uniform(66, 78))
    yield Lens(Oval(arch, (26.0, 20.0)), rng.uniform(22, 34), 0.4)
    yield Lens(Oval((arch[0] - 16, arch[1] + 46), (20.0, 46.0), 0.25), rng.uniform(26, 40), 0.5)
    hilum = (arch[0] + 2, arch[1] + 46)
    yield Lens(Oval(hilum, (17.0, 24.0)), rng.uniform(26, 40), 0.6)
    yield Bar(Stroke((arch[0] + 4, body.top_mm - 80), (arch[0] + 12, hilum[1]), 0.0, (8.0, 7.0)), -16.0)
    for angle in np.deg2rad(rng.uniform(-170, 170, 16)):
        reach = rng.uniform(45, 80)
        end = (hilum[0] + reach * float(np.cos(angle)), hilum[1] + reach * float(np.sin(angle)))
        radius = rng.uniform(1.8, 3.4)
        yield Bar(Stroke(hilum, end, rng.uniform(-9, 9), (radius, 0.8)), 2.2 * radius)
    gas = (body.front_mm + rng.uniform(0.4, 0.6) * deep, body.domes_mm[1] + rng.uniform(22, 30))
    yield Lens(Oval(gas, (rng.uniform(14, 26), rng.uniform(8, 13))), -rng.uniform(30, 60), 0.4)
