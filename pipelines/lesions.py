"""What is said about an organ and the lesions in it, once both are masks: measurements and reasons for distrust.

Masks and values are (I, J, K) in LPS order: i grows towards the patient's left, j towards the back, k towards the head.
"""

import numpy as np
from numpy.typing import NDArray

from datasets.box import bounding_box
from datasets.geometry import Grid
from pipelines.measurements import axial_diameters, mean_value, volume_ml
from pipelines.regions import Mask
from pipelines.results import FlagCode, QualityFlag, Quantity, flag
from pipelines.sliding_window import Statistics

HOUNSFIELD_UCUM = "[hnsf'U]"
_EDGES = (("right", "left"), ("front", "back"), ("low", "high"))
# Below this share, pieces that are not connected to the organ are noise nobody needs to hear of.
_SHARE_WORTH_TELLING = 0.05


def measure_lesion(mask: Mask, values: NDArray[np.generic], grid: Grid) -> tuple[Quantity, ...]:
    """Measure one lesion.

    Args:
        mask: Its voxels (I, J, K); not empty.
        values: The scan (I, J, K) in HU.
        grid: The grid of both, K the axial slices.

    Returns:
        Volume, mean attenuation and the two RECIST diameters.
    """
    measured = [
        Quantity(name="volume", value=volume_ml(mask, grid), unit="ml"),
        Quantity(name="mean_attenuation", value=mean_value(mask, values), unit=HOUNSFIELD_UCUM),
    ]
    diameters = axial_diameters(mask, grid)
    if diameters is not None:
        measured.append(Quantity(name="longest_axial_diameter", value=diameters.longest_mm, unit="mm"))
        measured.append(Quantity(name="perpendicular_diameter", value=diameters.perpendicular_mm, unit="mm"))
    return tuple(measured)


def organ_flags(organ: Mask, dropped: int, name: str) -> tuple[QualityFlag, ...]:
    """Why the mask of an organ should be read with care.

    Args:
        organ: Its voxels (I, J, K) in LPS order; may be empty.
        dropped: Voxels that were dropped because they were not connected to its largest part.
        name: What to call it in messages.
    """
    box = bounding_box(organ)
    if box is None:
        return (flag(FlagCode.EMPTY_RESULT, "error", f"no {name} was found in this study"),)
    flags = []
    edges = [
        side
        for part, size, sides in zip(box, organ.shape, _EDGES, strict=True)
        for side, touches in zip(sides, (part.start == 0, part.stop == size), strict=True)
        if touches
    ]
    if edges:
        message = f"the {name} reaches the {', '.join(edges)} edge of the scan: its volume is a lower bound"
        flags.append(flag(FlagCode.TOUCHES_BORDER, "warning", message))
    share = dropped / (dropped + np.count_nonzero(organ))
    if share > _SHARE_WORTH_TELLING:
        message = f"{share:.0%} of what looked like {name} was not connected to its largest part and was dropped"
        flags.append(flag(FlagCode.FRAGMENTS_DROPPED, "warning", message))
    return tuple(flags)


def stream_flags(statistics: Statistics) -> tuple[QualityFlag, ...]:
    """What a reader should know of how the network was run."""
    flags = []
    if statistics.windows_skipped:
        message = f"{statistics.windows_skipped} of {statistics.windows_total} windows hold only air and were skipped"
        flags.append(flag(FlagCode.AIR_SKIPPED, "info", message))
    if statistics.batch_halved:
        message = f"memory ran out {statistics.batch_halved} times; the batch is now {statistics.batch}"
        flags.append(flag(FlagCode.BATCH_HALVED, "info", message))
    return tuple(flags)
