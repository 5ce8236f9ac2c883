"""How many micrometres a pixel of a TIFF spans, where the file says so on purpose."""

import re
from math import isfinite

from tifffile import TiffFile, TiffPage

# Resolution tags tell how large to print a picture, unless they make sense under a microscope: 1270 dpi and more.
_COARSEST_MPP, _FINEST_MPP = 20.0, 0.01
_UM_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0, 4: 1_000.0, 5: 1.0}
_MICROMETRES = ("µm", "μm", "um", "micron", "microns", "\\u00b5m")
_UM_PER_UNIT = {**dict.fromkeys(_MICROMETRES, 1.0), "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_MPP_OF_APERIO = re.compile(r"\bMPP\s*=\s*([0-9.eE+-]+)")
_PIXELS_OF_OME = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_UNIT_OF_IMAGEJ = re.compile(r"^unit=(.*)$", re.MULTILINE)


def mpp_of(file: TiffFile, finest: TiffPage) -> tuple[float, float] | None:
    """Micrometres per pixel (x, y) of the finest level, or None where unknown.

    Asked in turn: what the scanner's software wrote (Aperio), OME's physical sizes, ImageJ's unit, resolution tags with
    a unit. A resolution for printing, such as 72 dpi, counts as unknown.
    """
    described = finest.description or ""
    if file.is_svs and (stated := _MPP_OF_APERIO.search(described)):
        return _sensible(stated[1], stated[1])
    if file.is_ome and (own := _of_ome(file.ome_metadata or "")):
        return own
    if file.is_imagej and (unit := _UNIT_OF_IMAGEJ.search(described)):
        um = _UM_PER_UNIT.get(unit[1].strip())
        return None if um is None else _by_resolution(finest, um)
    um = _UM_PER_RESOLUTION_UNIT.get(int(finest.tags.valueof("ResolutionUnit", 2)))
    return None if um is None else _by_resolution(finest, um)


def _of_ome(document: str) -> tuple[float, float] | None:
    element = _PIXELS_OF_OME.search(document)
    if element is None:
        return None
    sizes = []
    for axis in "XY":
        size = re.search(rf'\bPhysicalSize{axis}="([^"]*)"', element[0])
        unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]*)"', element[0])
        um = _UM_PER_UNIT.get(unit[1] if unit else "µm")
        number = None if size is None else _number(size[1])
        if number is None or um is None:
            return None
        sizes.append(number * um)
    return _sensible(sizes[0], sizes[1])


def _by_resolution(page: TiffPage, um_per_unit: float) -> tuple[float, float] | None:
    sizes = []
    for name in ("XResolution", "YResolution"):
        value = page.tags.valueof(name)
        try:
            sizes.append(um_per_unit * value[1] / value[0])
        except (TypeError, IndexError, ZeroDivisionError):
            return None
    return _sensible(sizes[0], sizes[1])


def _sensible(x: float | str, y: float | str) -> tuple[float, float] | None:
    numbers = (_number(x), _number(y))
    if numbers[0] is None or numbers[1] is None:
        return None
    return (numbers[0], numbers[1]) if all(_FINEST_MPP <= n <= _COARSEST_MPP for n in numbers if n) else None


def _number(value: float | str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if isfinite(number) and number > 0 else None
