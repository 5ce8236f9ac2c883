"""How a frontal phantom film comes to be: thicknesses of water along the beam, layer by layer."""

from dataclasses import dataclass

import numpy as np

from datasets.phantoms.film_anatomy import (
    Build,
    Painted,
    draw_bones,
    draw_bubble,
    draw_build,
    draw_leads,
    draw_soft,
    draw_vessels,
    spine,
)
from datasets.phantoms.film_planted import Planted
from datasets.phantoms.film_regions import Cut
from datasets.phantoms.film_shapes import Plane, Rng, Values
from datasets.phantoms.film_thorax import Lung, Thorax

# Width over which edges fade that the beam meets along their length.
_EDGE_MM = 2.0
_LINE_MM, _LINE_THICK_MM = 1.1, 16.0


@dataclass(frozen=True)
class Chest:
    """A patient from the front.

    Attributes:
        thorax: As findings have made it.
        build: The outline.
        bones: Ribs, clavicles, shoulders.
        soft: Great vessels, airways, breasts, gas, wires.
        vessels: Of the lungs, shown where there is lung.
        bubble: Gas in the stomach, under the left dome.
        bubble_dome_mm: Height of the dome it was drawn under; it goes where the dome goes.
        spine: Strength of the column of vertebrae.
        rind_mm: Thickness of ribs and muscles seen along their length, at the wall of the lungs.
        findings: What was planted.
    """

    thorax: Thorax
    build: Build
    bones: tuple[Painted, ...]
    soft: tuple[Painted, ...]
    vessels: tuple[Painted, ...]
    bubble: Painted
    bubble_dome_mm: float
    spine: float
    rind_mm: float
    findings: tuple[Planted, ...]

    def thickness(self, plane: Plane) -> Values:
        """Millimetres of water along the beam, (rows, columns) float32."""
        body = np.broadcast_to(self.build.thickness(plane, self.thorax), plane.shape).astype(np.float32)
        inside = np.sqrt(np.clip(body / 60, 0, 1))
        body += inside * spine(plane, self.spine)
        extra = np.zeros(plane.shape, np.float32)
        for painted in (*self.bones, *self.soft):
            painted.paint(extra, plane)
        moved = np.float32(self.thorax.left.dome_y_mm - self.bubble_dome_mm)
        self.bubble.paint(extra, Plane(plane.x, plane.y - moved, plane.step_mm))
        lungs = self._lungs(plane)
        body += extra * inside - lungs
        for finding in self.findings:
            for painted in finding.painted:
                painted.paint(body, plane)
        return np.maximum(body, 0)

    def _lungs(self, plane: Plane) -> Values:
        """Millimetres that the lungs' air takes away, less what vessels and haze fill in."""
        air = np.zeros(plane.shape, np.float32)
        vessels = np.zeros(plane.shape, np.float32)
        lines = (line for finding in self.findings for line in finding.lines)
        for painted in (*self.vessels, *lines):
            painted.paint(vessels, plane)
        heart = self._heart(plane)
        for lung in self.thorax.lungs:
            window, near = plane.part(lung.box, 40.0)
            depth = self._depth(lung, near) * (1 - heart[window])
            rind = np.exp(-(((np.float32(lung.side) * near.x - lung.lateral(near.y) + 1) / 3.5) ** 2))
            seen = depth * np.float32(self.thorax.air) - vessels[window] * np.clip(depth / 60, 0, 1)
            seen = np.maximum(seen, 0) - np.float32(self.rind_mm) * rind * _span(lung, near)
            air[window] += self._changed(near, seen, depth, lung)
        return air

    def _depth(self, lung: Lung, plane: Plane) -> Values:
        """Of a lung along the beam in mm: full between its walls, round at them, cut off by the dome."""
        across = np.minimum(np.abs(lung.across(plane.x, plane.y)), 1)
        tall = np.clip((plane.y - lung.apex_mm[1]) / 110, 0, 1) ** np.float32(0.42)
        below = plane.y - lung.dome(plane.x)
        # Behind the dome the lung reaches farther down.
        behind = 0.14 * np.exp(-np.maximum(below, 0) / 22)
        share = behind + (1 - behind) * plane.soft(-below, _EDGE_MM)
        return np.asarray(np.float32(self.thorax.depth_mm) * tall * np.sqrt(1 - across**3) * share)

    def _heart(self, plane: Plane) -> Values:
        """Share of the lungs' depth that the heart takes."""
        square = self.thorax.heart.square(plane.x, plane.y)
        return np.asarray(0.86 * np.maximum(1 - square, 0) ** np.float32(0.3))

    def _changed(self, plane: Plane, seen: Values, depth: Values, lung: Lung) -> Values:
        """A lung's air after the findings."""
        for finding in self.findings:
            for haze in finding.hazes:
                if haze.side == lung.side:
                    seen = seen * (1 - haze.cover(plane))
            for cut in finding.free_air:
                if cut.lung.side == lung.side:
                    seen = _emptied(plane, seen, depth, cut)
        return np.asarray(seen)


def _emptied(plane: Plane, seen: Values, depth: Values, cut: Cut) -> Values:
    """A lung's air where there is nothing but air, up to the pleura, which the beam meets along its length."""
    inward = cut.depth(plane.x, plane.y)
    seen = seen + plane.soft(inward, 1.0) * (0.97 * depth - seen)
    width = np.float32(np.hypot(_LINE_MM, 0.5 * plane.step_mm))
    inner = cut.lung.depth(plane.x, plane.y) > 2.5 + plane.step_mm
    line = np.exp(-((inward / width) ** 2)) * inner * np.clip(depth / 50, 0, 1)
    return np.asarray(seen - np.float32(_LINE_THICK_MM * _LINE_MM / width) * line)


def _span(lung: Lung, plane: Plane) -> Values:
    """Where along a wall its rind shows: from under the apex to the dome, fading at both ends."""
    return np.asarray(
        np.clip((plane.y - lung.apex_mm[1]) / 30, 0, 1) * np.clip((lung.dome_y_mm + 60 - plane.y) / 60, 0, 1)
    )


def draw_chest(rng: Rng, healthy: Thorax, view: str) -> Chest:
    """Draw everything around the lungs of a healthy chest; findings come later and leave it as it is."""
    build = draw_build(rng, healthy, view)
    bones = tuple(draw_bones(rng, healthy, view))
    soft = (*draw_soft(rng, healthy), *draw_leads(rng, view))
    vessels = tuple(draw_vessels(rng, healthy))
    bubble = draw_bubble(rng, healthy)
    return Chest(
        healthy,
        build,
        bones,
        soft,
        vessels,
        bubble,
        healthy.left.dome_y_mm,
        float(rng.uniform(0.8, 1.2)),
        float(rng.uniform(6, 14)),
        (),
    )
