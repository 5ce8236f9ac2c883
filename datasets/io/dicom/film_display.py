"""Which values of a film are shown black and white: its own window or table, or else all that its bits can hold.

PS3.3 C.11.2 (VOI LUT): the window applies to the values of the modality, before black and white are exchanged for
MONOCHROME1. The reader exchanges them first, so that more is always brighter; the window is mirrored with them.
"""

import numpy as np
from pydicom.pixels.processing import apply_voi_lut

from datasets.io.dicom.frames import Frame
from datasets.io.dicom.instance import Instance
from datasets.io.dicom.pixels import Pixels, modality_values, stored_range

Range = tuple[float, float]

_LINEAR = ("", "LINEAR")


def displayed(values: Pixels, frame: Frame) -> tuple[Pixels, Range | None]:
    """Values as they are to be shown, and the ends of what is shown.

    Args:
        values: (rows, columns) of the modality, black and white exchanged where the film is MONOCHROME1.
        frame: The film. Of several windows or tables the first counts, and a table more than a window.

    Returns:
        The values, through the film's table or sigmoid where it has one; and the value that is black and the one that
        is white. None where nobody knows: pixels of floating point without a window.
    """
    instance = frame.instance
    ends = _ends(frame)
    if _is_curved(instance):
        return _through_curve(values, instance, ends)
    window = _window(instance)
    if window is None:
        return values, ends
    if not _is_inverted(instance):
        return values, window
    if ends is None:
        return values, (-window[1], -window[0])
    mirror = ends[0] + ends[1]
    return values, (mirror - window[1], mirror - window[0])


def _is_inverted(instance: Instance) -> bool:
    return instance.text("PhotometricInterpretation") == "MONOCHROME1"


def _is_curved(instance: Instance) -> bool:
    return "VOILUTSequence" in instance.header or instance.text("VOILUTFunction").upper() == "SIGMOID"


def _ends(frame: Frame) -> Range | None:
    """What the smallest and the largest value that the bits can hold stand for, the smaller one first."""
    stored = stored_range(frame.instance)
    if stored is None:
        return None
    table = frame.instance.header.get("ModalityLUTSequence")
    if table:
        # Its entries need not rise; what it can give is what stands in it.
        return 0.0, float(2 ** (int(table[0].LUTDescriptor[2]) or 16) - 1)
    low, high = sorted(float(end) for end in modality_values(np.asarray([stored], dtype=np.int64), frame)[0])
    return (low, high) if low < high else None


def _window(instance: Instance) -> Range | None:
    """Black and white of the film's first window; None without one that can be used."""
    centre, width = _first(instance, "WindowCenter"), _first(instance, "WindowWidth")
    if centre is None or width is None:
        return None
    if instance.text("VOILUTFunction").upper() in _LINEAR:
        # C.11.2.1.2.1: whole numbers count from the middles of values, and a width of 1 is a step.
        centre, width = centre - 0.5, width - 1.0
    return (centre - width / 2.0, centre + width / 2.0) if width > 0.0 else None


def _first(instance: Instance, keyword: str) -> float | None:
    element = instance.header.get(keyword)
    if element is None or element == "":
        return None
    several = element if hasattr(element, "__iter__") and not isinstance(element, str) else [element]
    numbers = list(several)
    try:
        return float(numbers[0]) if numbers else None
    except (TypeError, ValueError):
        return None


def _through_curve(values: Pixels, instance: Instance, ends: Range | None) -> tuple[Pixels, Range | None]:
    mirror = ends[0] + ends[1] if ends is not None else 0.0
    measured = mirror - values if _is_inverted(instance) else values
    curved = np.asarray(apply_voi_lut(np.asarray(measured).round().astype(np.int32), instance.header))
    span = _curve_ends(instance, ends)
    if _is_inverted(instance):
        curved = span[0] + span[1] - curved.astype(np.float64)
    return curved, span


def _curve_ends(instance: Instance, ends: Range | None) -> Range:
    tables = instance.header.get("VOILUTSequence")
    if tables:
        bits = int(tables[0].LUTDescriptor[2])
        return 0.0, float(2 ** (bits or 16) - 1)
    # A sigmoid spans what the bits can hold.
    return ends if ends is not None else (0.0, float(2 ** instance.count("BitsStored", 16) - 1))
