"""What is said about the regions of a heat map."""

from collections.abc import Sequence

import numpy as np

from pipelines.histology.heat_map import HeatMap, Region
from pipelines.results import Finding, Quantity, SlideLocation

LABEL = "tumor"
SQUARE_MM = "mm2"


def region_findings(heat_map: HeatMap, regions: Sequence[Region], *, calibrated: bool) -> tuple[Finding, ...]:
    """One finding per region, ranked; its probability is the highest of the map in it.

    Args:
        heat_map: The map.
        regions: As `HeatMap.regions` gives them, or the first of these.
        calibrated: Whether the map holds calibrated probabilities.

    Returns:
        Without regions a single negative finding: the highest probability of a cell that is not positive, and where it
        is. Cells of regions that were too small to count do not come into it.
    """
    if not regions:
        row, column = heat_map.highest_negative
        x, y = heat_map.grid.centres_um(np.array([(row, column)]))[0].tolist()
        return (
            Finding(
                label=LABEL,
                probability=round(float(heat_map.probability[row, column]), 4),
                raw_probability=round(float(heat_map.raw[row, column]), 4),
                threshold=heat_map.threshold,
                positive=False,
                calibrated=calibrated,
                location=SlideLocation(centroid_um=(x, y), component=1),
            ),
        )
    return tuple(
        Finding(
            label=LABEL,
            probability=round(region.peak, 4),
            raw_probability=round(region.raw_peak, 4),
            threshold=heat_map.threshold,
            positive=True,
            calibrated=calibrated,
            location=SlideLocation(centroid_um=region.centroid_um, component=rank),
            quantities=(
                Quantity(name="area", value=region.area_mm2, unit=SQUARE_MM),
                Quantity(name="peak_probability", value=region.peak, unit="1"),
                Quantity(name="mean_probability", value=region.mean, unit="1"),
            ),
        )
        for rank, region in enumerate(regions, start=1)
    )


def slide_quantities(heat_map: HeatMap, regions: Sequence[Region], patches: int) -> tuple[Quantity, ...]:
    """Measurements of the whole slide.

    Args:
        heat_map: The map.
        regions: All that count as tumour.
        patches: Number of patches that were looked at.

    Returns:
        Areas of tissue and of tumour (tissue in positive cells), tumour's share of the tissue, numbers of regions and
        of patches.
    """
    tissue, tumor = heat_map.tissue.area_mm2, sum(region.area_mm2 for region in regions)
    return (
        Quantity(name="area", label="tissue", value=tissue, unit=SQUARE_MM),
        Quantity(name="area", label=LABEL, value=tumor, unit=SQUARE_MM),
        Quantity(name="share", label=LABEL, value=tumor / tissue if tissue else None, unit="1"),
        Quantity(name="count", label=LABEL, value=float(len(regions)), unit="1"),
        Quantity(name="count", label="patch", value=float(patches), unit="1"),
    )
