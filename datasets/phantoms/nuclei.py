"""Micrographs of cell nuclei whose outlines, number and areas are known by formula: ellipses that do not overlap."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datasets.image import Image, Intensity

Stain = Literal["fluorescence", "haematoxylin"]

_SEMI_AXES_UM = (3.5, 6.5)
# The rounder, the more like a resting nucleus; 1 is a circle.
_ASPECT = (0.65, 1.0)
_ATTEMPTS_PER_NUCLEUS = 60
_BLUR_UM = 0.35
# Beer-Lambert absorbance of haematoxylin and eosin in red, green and blue: Ruifrok and Johnston, "Quantification of
# histochemical staining by color deconvolution" (Anal Quant Cytol Histol 2001), table of standard stains.
_HAEMATOXYLIN, _EOSIN = np.array([0.65, 0.70, 0.29]), np.array([0.07, 0.99, 0.11])


@dataclass(frozen=True)
class Nucleus:
    """An ellipse.

    Attributes:
        centre_um: (x, y) right of and below the picture's top left corner.
        semi_axes_um: The longer one first.
        angle_rad: From the x axis to the longer one, towards y.
        brightness: Of the stain in it, 1 on the average.
    """

    centre_um: tuple[float, float]
    semi_axes_um: tuple[float, float]
    angle_rad: float
    brightness: float

    @property
    def area_um2(self) -> float:
        """Of the ellipse."""
        return float(np.pi) * self.semi_axes_um[0] * self.semi_axes_um[1]


@dataclass(frozen=True)
class NucleiPhantom:
    """A micrograph.

    Attributes:
        shape_px: Columns and rows.
        mpp: Micrometres per pixel.
        nuclei: Wholly inside the picture, in the order of their numbers, from 1.
        stain: Bright nuclei on dark, in grey; or dark ones on pink, in colour.
        seed: Of noise.
    """

    shape_px: tuple[int, int]
    mpp: float
    nuclei: tuple[Nucleus, ...]
    stain: Stain
    seed: int

    def instances(self) -> NDArray[np.uint16]:
        """(rows, columns): the number of the nucleus in whose ellipse a pixel's centre lies, 0 elsewhere."""
        columns, rows = self.shape_px
        numbers = np.zeros((rows, columns), dtype=np.uint16)
        for number, nucleus in enumerate(self.nuclei, start=1):
            window, inside = self._inside(nucleus)
            numbers[window][inside] = number
        return numbers

    def image(self) -> Image:
        """What a camera sees: uint8, one channel of fluorescence or three of a stained section."""
        rng = np.random.default_rng([self.seed, 1])
        columns, rows = self.shape_px
        amount = np.zeros((rows, columns), dtype=np.float32)
        for nucleus in self.nuclei:
            window, inside = self._inside(nucleus)
            amount[window][inside] = nucleus.brightness
        mottled = ndimage.gaussian_filter(rng.normal(size=amount.shape), 1.2 / self.mpp)
        amount *= 1.0 + 0.12 * mottled / max(float(mottled.std()), 1e-6)
        amount = ndimage.gaussian_filter(amount, _BLUR_UM / self.mpp)
        uneven = ndimage.gaussian_filter(rng.normal(size=amount.shape), 25.0 / self.mpp)
        uneven = uneven / max(float(np.abs(uneven).max()), 1e-6)
        planes = self._fluorescence(amount, uneven) if self.stain == "fluorescence" else self._section(amount, uneven)
        grey = np.clip(planes + rng.normal(0.0, 2.5, planes.shape), 0.0, 255.0).round().astype(np.uint8)
        affine = np.diag([self.mpp / 1000.0, self.mpp / 1000.0, 1.0, 1.0])
        kind = Intensity.GREY if len(grey) == 1 else Intensity.COLOUR
        return Image(grey[:, np.newaxis].transpose(0, 3, 2, 1), kind, affine)

    def _fluorescence(self, amount: NDArray[np.floating], uneven: NDArray[np.floating]) -> NDArray[np.float64]:
        planes: NDArray[np.float64] = (18.0 + 6.0 * uneven + 130.0 * amount)[np.newaxis]
        return planes

    def _section(self, amount: NDArray[np.floating], uneven: NDArray[np.floating]) -> NDArray[np.float64]:
        absorbance = _HAEMATOXYLIN[:, None, None] * amount + _EOSIN[:, None, None] * (0.25 + 0.08 * uneven)
        planes: NDArray[np.float64] = 245.0 * np.exp(-absorbance)
        return planes

    def _inside(self, nucleus: Nucleus) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """The window around an ellipse, and which of its pixels lie in it."""
        (x_um, y_um), reach_um = nucleus.centre_um, nucleus.semi_axes_um[0]
        starts = [max(0, int((at - reach_um) / self.mpp) - 1) for at in (y_um, x_um)]
        stops = [int((at + reach_um) / self.mpp) + 2 for at in (y_um, x_um)]
        columns, rows = self.shape_px
        window = (slice(starts[0], min(stops[0], rows)), slice(starts[1], min(stops[1], columns)))
        y, x = np.mgrid[window]
        along, across = _turned((x + 0.5) * self.mpp - x_um, (y + 0.5) * self.mpp - y_um, nucleus.angle_rad)
        long_um, short_um = nucleus.semi_axes_um
        return window, (along / long_um) ** 2 + (across / short_um) ** 2 <= 1.0


def nuclei_phantom(
    seed: int, *, count: int = 40, shape_px: tuple[int, int] = (320, 256), mpp: float = 0.5, stain: Stain | None = None
) -> NucleiPhantom:
    """A micrograph with nuclei at random places, apart from each other and from the edge.

    Args:
        seed: Two phantoms of one seed are alike.
        count: Nuclei wanted; fewer where there is no room for more. None gives an empty field.
        shape_px: Columns and rows.
        mpp: Micrometres per pixel.
        stain: Fluorescence for even seeds and haematoxylin for odd ones where it is None.
    """
    rng = np.random.default_rng([seed, 0])
    size_um = np.asarray(shape_px) * mpp
    nuclei: list[Nucleus] = []
    for _ in range(count * _ATTEMPTS_PER_NUCLEUS):
        if len(nuclei) == count:
            break
        long_um = float(rng.uniform(*_SEMI_AXES_UM))
        room = size_um - 2.0 * (long_um + mpp)
        centre = rng.uniform(0.0, 1.0, 2) * room + long_um + mpp
        nucleus = Nucleus(
            centre_um=(float(centre[0]), float(centre[1])),
            semi_axes_um=(long_um, long_um * float(rng.uniform(*_ASPECT))),
            angle_rad=float(rng.uniform(0.0, np.pi)),
            brightness=float(rng.uniform(0.75, 1.25)),
        )
        # Circles around them that do not touch: simpler than ellipses that do not, and surely apart by a pixel.
        if (room > 0.0).all() and all(_apart(nucleus, other, mpp) for other in nuclei):
            nuclei.append(nucleus)
    chosen: Stain = stain or ("fluorescence" if seed % 2 == 0 else "haematoxylin")
    return NucleiPhantom(shape_px, mpp, tuple(nuclei), chosen, seed)


def _apart(one: Nucleus, other: Nucleus, gap_um: float) -> bool:
    distance = np.hypot(one.centre_um[0] - other.centre_um[0], one.centre_um[1] - other.centre_um[1])
    return bool(distance > one.semi_axes_um[0] + other.semi_axes_um[0] + gap_um)


def _turned(
    x: NDArray[np.float64], y: NDArray[np.float64], angle_rad: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return x * cosine + y * sine, y * cosine - x * sine
