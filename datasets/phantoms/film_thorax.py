"""The chest of a phantom film: where the lungs, their domes and the heart are, by formula."""

from dataclasses import dataclass, replace

import numpy as np

from datasets.phantoms.film_shapes import Box, Oval, Point, Rng, Values

# Cardiothoracic ratios: above one half the heart is called enlarged (Danzer 1919), and nobody's is near one half here.
_NORMAL_RATIO, _ENLARGED_RATIO = (0.36, 0.46), (0.55, 0.68)
_SHARE_RIGHT = (0.26, 0.36)


@dataclass(frozen=True)
class Lung:
    """One lung: what lies between a wall, the mediastinum, the apex and a dome of the diaphragm.

    Attributes:
        side: 1.0 for the patient's left (x > 0), -1.0 for the right.
        half_width_mm: From the midline to the wall where the chest is widest.
        apex_mm: (distance from the midline, y) of the highest point.
        widest_y_mm: Where the chest is widest.
        medial_mm: From the midline to the mediastinum.
        dome_y_mm: Highest point of the dome.
        drops_mm: How far the dome falls towards the wall and towards the midline.
    """

    side: float
    half_width_mm: float
    apex_mm: Point
    widest_y_mm: float
    medial_mm: float
    dome_y_mm: float
    drops_mm: Point

    def lateral(self, y: Values) -> Values:
        """Distance of the wall from the midline at heights y."""
        (at, top), low = self.apex_mm, self.widest_y_mm
        up = np.clip((low - y) / (low - top), 0, 1)
        below = np.float32(0.08) * np.maximum(y - low, 0)
        return np.asarray(at + (self.half_width_mm - at) * (1 - up**2.3) ** 0.55 - below)

    def medial(self, y: Values) -> Values:
        """Distance of the mediastinum from the midline at heights y."""
        at, top = self.apex_mm
        near = np.clip((top + 55 - y) / 55, 0, 1)
        return np.asarray(self.medial_mm + (at - self.medial_mm) * near * near)

    def dome(self, x: Values) -> Values:
        """Height y of the dome at x."""
        away = np.float32(self.side) * x
        crest = 0.5 * self.half_width_mm
        out = np.maximum(away - crest, 0) / (self.half_width_mm - crest)
        inwards = np.maximum(crest - away, 0) / crest
        return np.asarray(self.dome_y_mm + self.drops_mm[0] * out**2.4 + self.drops_mm[1] * inwards**2)

    @property
    def angle_mm(self) -> Point:
        """The costophrenic angle, where dome and wall meet."""
        y = np.float64(self.dome_y_mm)
        for _ in range(40):  # A contraction: the wall leans by a twelfth.
            y = np.float64(self.dome(np.asarray(self.side * self.lateral(np.asarray(y)))))
        return float(self.side * self.lateral(np.asarray(y))), float(y)

    @property
    def box(self) -> Box:
        """A box that holds the lung."""
        _, y = self.angle_mm
        edges = sorted((self.side * min(self.medial_mm, self.apex_mm[0]), self.side * self.half_width_mm))
        return edges[0], self.apex_mm[1], edges[1], max(y, self.dome_y_mm + max(self.drops_mm))

    def across(self, x: Values, y: Values) -> Values:
        """-1 at the mediastinum, 1 at the wall; beyond these outside."""
        wall, middle = self.lateral(y), self.medial(y)
        away = np.float32(self.side) * x
        u = (2 * away - wall - middle) / np.maximum(wall - middle, 1e-3)
        return np.asarray(np.where(y > self.apex_mm[1], u, 2.0))

    def depth(self, x: Values, y: Values) -> Values:
        """How far inside a point lies in mm, negative outside; zero on the edge, to first order elsewhere."""
        away = np.float32(self.side) * x
        wall = (self.lateral(y) - away) / self._lean(y)
        above = (self.dome(x) - y) / np.float32(1.1)
        depth = np.minimum(np.minimum(wall, away - self.medial(y)), above)
        return np.asarray(np.minimum(depth, y - self.apex_mm[1]))

    def _lean(self, y: Values) -> Values:
        """Length of the wall's outline per mm of height; it turns over at the apex."""
        slope = (self.lateral(y + 0.5) - self.lateral(y - 0.5)).clip(-20, 20)
        return np.asarray(np.sqrt(1 + slope * slope))

    def collapsed(self, gap_mm: float, sink_mm: float) -> "Lung":
        """The same lung drawn away from wall and apex by air in the pleural space; its dome stays."""
        at, top = self.apex_mm
        return replace(self, half_width_mm=self.half_width_mm - gap_mm, apex_mm=(at - 0.35 * gap_mm, top + sink_mm))


@dataclass(frozen=True)
class Thorax:
    """A chest seen from the front.

    Attributes:
        right: The lung on the image's left.
        left: The lung on the image's right.
        heart: Outline of the heart.
        depth_mm: Of the lungs along the beam.
        air: Share of a lung that is air.
        body_mm: Thickness of the body along the beam.
    """

    right: Lung
    left: Lung
    heart: Oval
    depth_mm: float
    air: float
    body_mm: float

    @property
    def lungs(self) -> tuple[Lung, Lung]:
        """Right and left."""
        return self.right, self.left

    def lung(self, side: float) -> Lung:
        """The lung at x < 0 or x > 0."""
        return self.left if side > 0 else self.right

    @property
    def cardiothoracic_ratio(self) -> float:
        """Widest extent of the heart over the widest extent of the chest within the ribs."""
        return 2 * self.heart.reach_mm[0] / (self.right.half_width_mm + self.left.half_width_mm)


def draw_thorax(rng: Rng) -> Thorax:
    """Draw a chest in health."""
    half, top = rng.uniform(120, 148), -rng.uniform(122, 142)
    right_dome = rng.uniform(62, 92)
    apex = rng.uniform(40, 54)
    lungs = [
        Lung(
            side,
            half * rng.uniform(0.97, 1.03),
            (apex, top + rng.uniform(-4, 4)),
            right_dome - rng.uniform(12, 32),
            rng.uniform(17, 25) + (2 if side > 0 else 0),
            right_dome + (rng.uniform(6, 16) if side > 0 else 0),
            (rng.uniform(36, 52), rng.uniform(5, 16)),
        )
        for side in (-1.0, 1.0)
    ]
    ratio, share = rng.uniform(*_NORMAL_RATIO), rng.uniform(*_SHARE_RIGHT)
    depth = rng.uniform(132, 162)
    air = rng.uniform(0.70, 0.77)
    heart = _heart(lungs, ratio, share, rng.uniform(0.35, 0.75))
    return Thorax(lungs[0], lungs[1], heart, depth, air, rng.uniform(205, 250))


def enlarge_heart(rng: Rng, thorax: Thorax) -> Thorax:
    """Widen the heart beyond half of the chest."""
    lungs = list(thorax.lungs)
    heart = _heart(lungs, rng.uniform(*_ENLARGED_RATIO), rng.uniform(*_SHARE_RIGHT), thorax.heart.turn_rad)
    return replace(thorax, heart=heart)


def hyperinflate(rng: Rng, thorax: Thorax) -> Thorax:
    """Flatten and lower the domes, widen the lungs and empty them; the heart hangs narrow between them."""
    lower, flat = rng.uniform(16, 30), rng.uniform(0.2, 0.4)
    lungs = [
        replace(lung, dome_y_mm=lung.dome_y_mm + lower, drops_mm=(lung.drops_mm[0] * flat, lung.drops_mm[1] * flat))
        for lung in thorax.lungs
    ]
    air = min(thorax.air + rng.uniform(0.10, 0.15), 0.92)
    heart, ratio = thorax.heart, thorax.cardiothoracic_ratio
    if ratio < _NORMAL_RATIO[1]:
        share = 0.5 - 0.5 * heart.centre_mm[0] / heart.reach_mm[0]
        heart = _heart(lungs, max(0.9 * ratio, 0.33), share, heart.turn_rad + 0.25)
    return replace(thorax, right=lungs[0], left=lungs[1], heart=heart, depth_mm=1.08 * thorax.depth_mm, air=air)


def raise_dome(thorax: Thorax, side: float, rise_mm: float) -> Thorax:
    """Lift a dome, as a lung does that has lost volume."""
    lung = thorax.lung(side)
    lifted = replace(lung, dome_y_mm=lung.dome_y_mm - rise_mm)
    return replace(thorax, left=lifted) if side > 0 else replace(thorax, right=lifted)


def _heart(lungs: list[Lung], ratio: float, share_right: float, turn_rad: float) -> Oval:
    """An ellipse as wide as the ratio says, on the domes.

    Args:
        lungs: Right and left.
        ratio: Its width over that of the chest.
        share_right: Share of its width to the right of the midline.
        turn_rad: How far its long axis points down to the left.
    """
    width = ratio * (lungs[0].half_width_mm + lungs[1].half_width_mm)
    shape = Oval((0.0, 0.0), (1.0, 0.74), turn_rad)
    scale = width / 2 / shape.reach_mm[0]
    reach_y = scale * shape.reach_mm[1]
    centre = ((0.5 - share_right) * width, lungs[1].dome_y_mm + 14 - 0.93 * reach_y)
    return Oval(centre, (scale, 0.74 * scale), turn_rad)
