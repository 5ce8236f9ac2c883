"""Chest films whose truth is known by formula: what is on them, where, and how large.

A film is a description in millimetres: thicknesses of water along the beam, added up layer by layer, then turned into
grey values as a film curve does, bright where much is in the way. It is sampled when asked for, at any size, and shows
the same picture at each. Boxes and masks follow from the shapes that were planted, not from the pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from datasets.labels import CHEST_XRAY_14
from datasets.phantoms.film_findings import draw_names, plant
from datasets.phantoms.film_frontal import Chest, draw_chest
from datasets.phantoms.film_lateral import Profile, draw_profile
from datasets.phantoms.film_planted import Planted
from datasets.phantoms.film_regions import Region
from datasets.phantoms.film_shapes import Box, Plane, Point, Rng, Stroke, Values
from datasets.phantoms.film_thorax import Thorax, draw_thorax

View = Literal["PA", "AP", "LL"]
VIEWS: tuple[View, ...] = ("PA", "AP", "LL")
SIZE_PX = 512
_MARKER_MM = 16.0


@dataclass(frozen=True)
class Exposure:
    """How thickness becomes grey.

    Attributes:
        length_mm: Thickness that leaves 1/e of the beam.
        gamma: Steepness of the film.
        grey: (darkest, brightest) share of the range that is used.
        noise: Standard deviation of the noise of a pixel of 1 mm, as a share of the range.
        shutters_mm: Black borders: left, top, right, bottom.
        marker_mm: Middle of the letter that tells the patient's left, from the film's corner; None without one.
    """

    length_mm: float
    gamma: float
    grey: tuple[float, float]
    noise: float
    shutters_mm: Box
    marker_mm: Point | None


@dataclass(frozen=True, eq=False)
class FilmPhantom:
    """A chest film; see `film_phantom`.

    Attributes:
        seed: What it was drawn from.
        view: "PA" (the patient faces the detector), "AP" or "LL" (from the side).
        field_mm: Width and height of the film.
        centre_mm: Where on the film, from its upper left corner, the middle of the chest is.
        patient: What is shown.
        exposure: How it is shown.
    """

    seed: int
    view: View
    field_mm: Point
    centre_mm: Point
    patient: Chest | Profile
    exposure: Exposure

    @property
    def labels(self) -> frozenset[str]:
        """Names of the findings that were planted."""
        return frozenset(finding.name for finding in self.findings)

    @property
    def findings(self) -> tuple[Planted, ...]:
        """What was planted, in the order of `CHEST_XRAY_14` and in patient mm."""
        return self.patient.findings if isinstance(self.patient, Chest) else ()

    @property
    def thorax(self) -> Thorax:
        """The chest with lungs and heart.

        Raises:
            ConfigError: The film was taken from the side.
        """
        if not isinstance(self.patient, Chest):
            raise ConfigError("a film from the front", f"view {self.view}", "ask a PA or AP phantom")
        return self.patient.thorax

    @property
    def cardiothoracic_ratio(self) -> float:
        """Width of the heart over the inner width of the chest, by formula: above 0.5 only with cardiomegaly.

        Raises:
            ConfigError: The film was taken from the side.
        """
        return self.thorax.cardiothoracic_ratio

    def boxes(self, name: str) -> tuple[Box, ...]:
        """Boxes of a finding: (left, top, right, bottom) in mm from the film's upper left corner.

        Tight around what was planted, whole even where something else hides a part of it, and clipped to the film.
        Divided by the spacing they are pixels, the first of which reaches from 0 to 1. Empty without the finding.
        """
        (dx, dy), (width, height) = self.centre_mm, self.field_mm
        return tuple(
            (max(left + dx, 0.0), max(top + dy, 0.0), min(right + dx, width), min(bottom + dy, height))
            for region in self._regions(name)
            for left, top, right, bottom in (region.box,)
        )

    def mask(self, name: str, size_px: int = SIZE_PX) -> Image:
        """What a finding takes up, by pixel centres: uint8 (1, columns, rows, 1) of 0 and 1."""
        plane = self._plane(size_px)
        mask = np.zeros(plane.shape, np.uint8)
        for region in self._regions(name):
            window, near = plane.part(region.box)
            mask[window] |= region.depth(near.x, near.y) >= 0
        return Image.from_slices(mask[np.newaxis], Intensity.LABEL, self._affine(plane))

    def image(self, size_px: int = SIZE_PX, *, bits: int = 8, noise: bool = True) -> Image:
        """Take the film.

        Args:
            size_px: Pixels along the longer side; pixels are square.
            bits: Of the grey values: uint8 up to 8, uint16 up to 16.
            noise: Whether to add noise; its realisation depends on the size, nothing else does.

        Returns:
            (1, columns, rows, 1) of 0 (black) to 2^bits - 1 (white), bright where much is in the way, with the
            spacing in its affine and no place or direction, as films have.

        Raises:
            ConfigError: Sizes below 16 pixels, or bits outside 2..16.
        """
        if size_px < 16 or not 2 <= bits <= 16:
            got = f"size_px={size_px}, bits={bits}"
            raise ConfigError("at least 16 pixels and 2 to 16 bits", got, "ask for a larger film or other bits")
        plane, most = self._plane(size_px), (1 << bits) - 1
        grey = self._developed(plane, noise=noise)
        values = np.rint(grey * np.float32(most)).astype(np.uint8 if bits <= 8 else np.uint16)
        shown = None if bits in {8, 16} else (0.0, float(most))
        film = Image.from_slices(values[np.newaxis], Intensity.GREY, self._affine(plane))
        return film if shown is None else replace(film, shown=shown)

    def _developed(self, plane: Plane, *, noise: bool) -> Values:
        """Grey from 0 to 1, (rows, columns) float32."""
        look = self.exposure
        thick = self.patient.thickness(plane)
        grey = (1 - np.exp(thick * np.float32(-1 / look.length_mm))) ** np.float32(look.gamma)
        if noise:
            rng = np.random.default_rng((self.seed, 60))
            grain = rng.standard_normal(plane.shape, dtype=np.float32)
            # Pixels that are larger gather more quanta; behind much tissue few are left.
            sigma = np.float32(look.noise / max(plane.step_mm, 0.15))
            grey = grey + sigma * grain * np.sqrt(np.clip(grey, 0, 1))
        dark, bright = look.grey
        return self._framed(np.clip(dark + (bright - dark) * grey, 0, 1), plane)

    def _framed(self, grey: Values, plane: Plane) -> Values:
        """With shutters and the marker."""
        (dx, dy), (width, height) = self.centre_mm, self.field_mm
        left, top, right, bottom = self.exposure.shutters_mm
        x, y = plane.x + np.float32(dx), plane.y + np.float32(dy)
        open_x = np.minimum(x - left, width - right - x) if left or right else np.full_like(x, 1e3)
        open_y = np.minimum(y - top, height - bottom - y) if top or bottom else np.full_like(y, 1e3)
        grey = grey * plane.soft(open_x, 0.5) * plane.soft(open_y, 0.5)
        if self.exposure.marker_mm is None:
            return np.asarray(grey)
        letter = np.zeros(plane.shape, np.float32)
        (u, v), size = self.exposure.marker_mm, _MARKER_MM
        corner = (u - dx - 0.3 * size, v - dy + 0.5 * size)
        for end in ((corner[0], corner[1] - size), (corner[0] + 0.62 * size, corner[1])):
            Stroke(corner, end, 0.0, (1.5, 1.5)).add(letter, plane, 1.6)
        return np.asarray(grey + np.clip(letter, 0, 1) * (1 - grey))

    def _plane(self, size_px: int) -> Plane:
        step = max(self.field_mm) / size_px
        columns, rows = (max(1, round(side / step)) for side in self.field_mm)
        x = (np.arange(columns) + 0.5) * step - self.centre_mm[0]
        y = (np.arange(rows) + 0.5) * step - self.centre_mm[1]
        return Plane(x.astype(np.float32)[None], y.astype(np.float32)[:, None], step)

    def _affine(self, plane: Plane) -> Values:
        return np.diag([plane.step_mm, plane.step_mm, 1.0, 1.0])

    def _regions(self, name: str) -> tuple[Region, ...]:
        if name not in CHEST_XRAY_14:
            raise ConfigError(f"one of {', '.join(CHEST_XRAY_14)}", repr(name), "ask for one of these")
        return tuple(region for finding in self.findings if finding.name == name for region in finding.regions)


def film_phantom(seed: int, findings: Sequence[str] | None = None, view: View = "PA") -> FilmPhantom:
    """Draw a chest film; the same seed gives the same patient.

    Varied: size and build, every bone and vessel, exposure, steepness, noise, shutters, the letter L, wires on patients
    in bed. Findings leave everything else as it is, so films of one seed with and without one show what it does.

    Args:
        seed: Non-negative.
        findings: Names of `CHEST_XRAY_14`; () for a healthy chest; when None, up to four are drawn, or none.
        view: "PA", "AP", or "LL" from the side, on which no finding can be planted.

    Raises:
        ConfigError: A name or view is none of these, or findings were asked for on a film from the side.
    """
    if view not in VIEWS:
        raise ConfigError(f"a view of {', '.join(VIEWS)}", repr(view), "ask for one of these")
    unknown = sorted(set(findings or ()) - set(CHEST_XRAY_14))
    if unknown:
        raise ConfigError(f"findings of {', '.join(CHEST_XRAY_14)}", ", ".join(unknown), "ask for these")
    if view == "LL" and findings:
        raise ConfigError("no findings on a film from the side", ", ".join(findings), "ask for a PA or AP film")
    # One stream per subject, so that asking for other findings leaves the patient as it is.
    body, around, room, names = (np.random.default_rng((seed, subject)) for subject in (30, 31, 32, 33))
    exposure, field, centre = _draw_exposure(room, view)
    if view == "LL":
        return FilmPhantom(seed, view, field, centre, draw_profile(around), exposure)
    healthy = draw_thorax(body)
    # As an automatic exposure does: a thick patient gets more.
    exposure = replace(exposure, length_mm=exposure.length_mm * healthy.body_mm / 225)
    chest = draw_chest(around, healthy, view)
    wanted = draw_names(names) if findings is None else tuple(findings)
    thorax, planted = plant(seed, healthy, wanted)
    return FilmPhantom(seed, view, field, centre, replace(chest, thorax=thorax, findings=planted), exposure)


def _draw_exposure(rng: Rng, view: View) -> tuple[Exposure, Point, Point]:
    """Exposure, size of the film, and where on it the middle of the chest is."""
    width = rng.uniform(325, 385)
    height = width * (1.0 if rng.random() < 0.6 else rng.uniform(0.92, 1.2))
    centre = (width / 2 + rng.uniform(-10, 10), height / 2 + rng.uniform(-8, 14))
    shutters = tuple(float(s) for s in rng.uniform(2, 9, 4)) if rng.random() < 0.35 else (0.0, 0.0, 0.0, 0.0)
    marker = (width - rng.uniform(22, 34), rng.uniform(20, 34)) if rng.random() < 0.6 else None
    bed = view == "AP"
    exposure = Exposure(
        float(rng.uniform(80, 115)) * (0.9 if bed else 1.0),
        float(rng.uniform(1.9, 3.3)) * (0.8 if bed else 1.0),
        (float(rng.uniform(0.0, 0.05)), float(rng.uniform(0.88, 1.05))),
        float(rng.uniform(0.004, 0.015)) * (1.3 if bed else 1.0),
        (shutters[0], shutters[1], shutters[2], shutters[3]),
        marker,
    )
    return exposure, (float(width), float(height)), (float(centre[0]), float(centre[1]))
