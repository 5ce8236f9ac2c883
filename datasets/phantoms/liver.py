"""The liver of a phantom: a lobed shape whose volume is a formula."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datasets.phantoms.shapes import Bounds, Field, Values, Vector, out_of, sphere_points

_SURFACE_POINTS = 1500


@dataclass(frozen=True, eq=False)
class Lobes:
    """A ball cut by a plane, stretched, thinned towards one side and bent by shears.

    A point u of the unit ball with cut . u <= depth goes to the local point

        x = a ux,   y = b uy + Y(ux),   z = c (1 + tx ux + ty uy) uz + Z(ux, uy)

    with Y = sway0 ux^2 + sway1 s and Z = bend0 ux^2 + bend1 uy^2 + bend2 ux uy + bend3 s, s = sin(wave ux + phase), and
    from there by a rotation and a shift to the patient. The shears Y and Z move whole lines along themselves and so
    change no volume; what is left of the Jacobian, a b c (1 + tx ux + ty uy), is linear, so the volume follows from the
    volume and the first moment of a ball without a cap that starts at depth h (n the unit normal of the cut):

        V = a b c (4 pi / 3 - pi (1 - h)^2 (2 + h) / 3 - (tx nx + ty ny) pi (1 - h^2)^2 / 4)

    Attributes:
        centre_mm: RAS.
        rotation: 3x3, local to patient.
        radii_mm: a, b, c.
        cut: Unit normal n in the ball.
        depth: h, -1..1.
        thinning: tx, ty; their norm stays below 1.
        sway_mm: sway0, sway1.
        bend_mm: bend0 to bend3.
        wave: wave and phase in radians.
    """

    centre_mm: Vector
    rotation: NDArray[np.float64]
    radii_mm: Vector
    cut: Vector
    depth: float
    thinning: tuple[float, float] = (0.0, 0.0)
    sway_mm: tuple[float, float] = (0.0, 0.0)
    bend_mm: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    wave: tuple[float, float] = (1.0, 0.0)

    @property
    def volume_ml(self) -> float:
        """The formula above."""
        h = self.depth
        cap, moment = np.pi * (1 - h) ** 2 * (2 + h) / 3, np.pi * (1 - h * h) ** 2 / 4
        lean = self.thinning[0] * self.cut[0] + self.thinning[1] * self.cut[1]
        return float(np.prod(self.radii_mm) * (4 * np.pi / 3 - cap - lean * moment) / 1000)

    @cached_property
    def surface(self) -> NDArray[np.float64]:
        """Points (n, 3) on the surface, RAS mm, the cut face included."""
        points, normal = sphere_points(_SURFACE_POINTS), np.asarray(self.cut)
        beyond = np.maximum(points @ normal - self.depth, 0.0)
        return self.place(points - beyond[:, None] * normal)

    @cached_property
    def bounds_mm(self) -> Bounds:
        """A box around the surface points, with room for what lies between them."""
        return self.surface.min(axis=0) - 6.0, self.surface.max(axis=0) + 6.0

    def place(self, ball: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map points (n, 3) of the ball to RAS mm."""
        ux, uy, uz = ball.T
        a, b, c = self.radii_mm
        thick = c * (1 + self.thinning[0] * ux + self.thinning[1] * uy)
        local = np.stack((a * ux, b * uy + self._sway(ux)[0], thick * uz + self._lift(ux, uy)[0]), axis=1)
        return np.asarray(local @ self.rotation.T + np.asarray(self.centre_mm))

    def fields(self, x: Values, y: Values, z: Values) -> list[Field]:
        """The ball's (|u|^2 - 1) / 2 and the cut's n . u - h, u being the point taken back into the ball."""
        a, b, c = self.radii_mm
        p = out_of(self.rotation.T, x - self.centre_mm[0], y - self.centre_mm[1], z - self.centre_mm[2])
        ux = p[0] * (1 / a)
        sway, sway_x = self._sway(ux)
        uy = (p[1] - sway) * (1 / b)
        # Far outside the ball the thinning could turn the shape inside out; nothing there is inside anyway.
        thin = 1 / np.maximum(1 + self.thinning[0] * ux + self.thinning[1] * uy, 0.05)
        lift, lift_x, lift_y = self._lift(ux, uy)
        uz = (p[2] - lift) * thin * (1 / c)
        # Change of uz with ux and uy, then the chain down to the local axes.
        by_ux = -thin * (lift_x * (1 / c) + uz * self.thinning[0])
        by_uy = -thin * (lift_y * (1 / c) + uz * self.thinning[1])
        tilt = sway_x * (-1 / b)

        def local(gx: Values, gy: Values, gz: Values) -> tuple[Values, Values, Values]:
            along_y = gy + gz * by_uy
            along_x = gx + gz * by_ux + along_y * tilt
            return out_of(self.rotation, along_x * (1 / a), along_y * (1 / b), gz * thin * (1 / c))

        nx, ny, nz = (np.asarray(n, x.dtype) for n in self.cut)
        ball = (ux * ux + uy * uy + uz * uz - 1) * 0.5
        return [(ball, local(ux, uy, uz)), (nx * ux + ny * uy + nz * uz - self.depth, local(nx, ny, nz))]

    def _sway(self, ux: Values) -> tuple[Values, Values]:
        s0, s1 = self.sway_mm
        angle = ux * self.wave[0] + self.wave[1]
        return s0 * ux * ux + s1 * np.sin(angle), 2 * s0 * ux + (s1 * self.wave[0]) * np.cos(angle)

    def _lift(self, ux: Values, uy: Values) -> tuple[Values, Values, Values]:
        b0, b1, b2, b3 = self.bend_mm
        angle = ux * self.wave[0] + self.wave[1]
        lift = ux * (b0 * ux + b2 * uy) + b1 * uy * uy + b3 * np.sin(angle)
        return lift, 2 * b0 * ux + b2 * uy + (b3 * self.wave[0]) * np.cos(angle), 2 * b1 * uy + b2 * ux
