"""What is shown of a film: its own window or table, or else all that its bits can hold; more is always brighter.

PS3.3 C.11: stored values go through the modality's scale or table, then through window or table of interest (VOI), and
only then are black and white exchanged, where the film is MONOCHROME1 or its presentation LUT INVERSE. What comes out
keeps the modality's values where nothing but a straight window is between: they are mirrored, and the window with them.
"""

import numpy as np
from scipy.special import expit

from datasets.io.dicom.frames import Frame
from datasets.io.dicom.instance import PARSE_ERRORS, Instance
from datasets.io.dicom.lookup_table import lookup_table
from datasets.io.dicom.pixels import Pixels, modality_values, stored_range

Range = tuple[float, float]

# Of numbers in headers: larger ones are damage.
_LARGEST = 1e9


def displayed(stored: Pixels, frame: Frame) -> tuple[Pixels, Range | None]:
    """Values as they are to be shown, and the ends of what is shown.

    Args:
        stored: (rows, columns) stored grey values.
        frame: The film. Of several windows or tables the first counts, and a table more than a window.

    Returns:
        The values, more being brighter; and the value that is black and the one that is white. None where nobody knows:
        pixels of floating point without a window.
    """
    instance = frame.instance
    values = modality_values(stored, frame)
    ends = _ends(frame)
    table = lookup_table(instance, "VOILUTSequence", signed=ends is None or ends[0] < 0)
    window = None if table is not None else _window(instance)
    if table is not None:
        values, ends = table(values), (0.0, float(table.white))
    elif window is not None and instance.text("VOILUTFunction").upper() == "SIGMOID":
        centre, width = window
        values, ends, window = expit(4.0 * (values - centre) / width), (0.0, 1.0), None
    elif window is not None:
        window = _edges(*window, instance)
    shown = window or ends
    if not is_inverted(instance):
        return values, shown
    mirror = ends[0] + ends[1] if ends is not None else 0.0
    whole = np.issubdtype(values.dtype, np.integer) and mirror.is_integer()
    return (int(mirror) if whole else mirror) - values, shown and (mirror - shown[1], mirror - shown[0])


def is_inverted(instance: Instance) -> bool:
    """Whether a film's lowest values are to be shown white."""
    return (
        instance.text("PhotometricInterpretation") == "MONOCHROME1"
        or instance.text("PresentationLUTShape").upper() == "INVERSE"
    )


def _ends(frame: Frame) -> Range | None:
    """What the smallest and the largest value that the bits can hold stand for, the smaller one first."""
    stored = stored_range(frame.instance)
    if stored is None:
        return None
    table = lookup_table(frame.instance, "ModalityLUTSequence", signed=stored[0] < 0)
    if table is not None:
        # Its entries need not rise; what it can give is what stands in it.
        return 0.0, float(table.white)
    low, high = sorted(float(end) for end in modality_values(np.asarray([stored], dtype=np.int64), frame)[0])
    return (low, high) if low < high else None


def _window(instance: Instance) -> Range | None:
    """Centre and width of the film's first window; None without one that can be used."""
    centre, width = _first(instance, "WindowCenter"), _first(instance, "WindowWidth")
    return None if centre is None or width is None or width <= 0.0 else (centre, width)


def _edges(centre: float, width: float, instance: Instance) -> Range | None:
    """The values that a straight window shows black and white; None for one that is a step."""
    if instance.text("VOILUTFunction").upper() != "LINEAR_EXACT":
        # C.11.2.1.2.1: whole numbers count from the middles of values, and a width of 1 is a step.
        centre, width = centre - 0.5, width - 1.0
    return (centre - width / 2.0, centre + width / 2.0) if width > 0.0 else None


def _first(instance: Instance, keyword: str) -> float | None:
    """The first of an attribute's numbers; None where absent or unreadable."""
    try:
        value = instance.header.get(keyword)
        number = float(value if isinstance(value, str | int | float) else value[0])
    except (*PARSE_ERRORS, IndexError):
        return None
    return number if abs(number) < _LARGEST else None
