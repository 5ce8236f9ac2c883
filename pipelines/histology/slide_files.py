"""The files of a slide: the map as a picture, outlines for a viewer, a table of patches, the stains."""

import json
from dataclasses import dataclass
from pathlib import Path

from pipelines.histology.geojson import Annotation, write_geojson
from pipelines.histology.heat_map import HeatMap, Region
from pipelines.histology.outlines import outlines
from pipelines.histology.patch_table import slide_table
from pipelines.histology.settings import StainSettings
from pipelines.histology.stain import Stains
from pipelines.regions import Mask
from pipelines.results import OutputFile

_TUMOR_COLOUR, _TISSUE_COLOUR, _INK_COLOUR = (200, 0, 0), (0, 140, 60), (230, 180, 0)
_DECIMALS = 4


@dataclass(frozen=True, eq=False)
class SlideFiles:
    """What was found on a slide, ready to be written.

    Attributes:
        heat_map: The map.
        regions: All that count as tumour, ranked.
        looked: (rows, columns), cells whose own patch was looked at.
        mpp: Micrometres per pixel of the slide's finest level, (x, y).
        stains: As they were estimated; None where colours were taken as they are.
        stain_settings: To what they were brought.
    """

    heat_map: HeatMap
    regions: tuple[Region, ...]
    looked: Mask
    mpp: tuple[float, float]
    stains: Stains | None
    stain_settings: StainSettings

    def files(self) -> tuple[OutputFile, ...]:
        """What is written, and how."""
        return (
            OutputFile("heatmap", "heatmap.tif", self.heat_map.write),
            OutputFile("regions", "regions.geojson", self.write_regions),
            OutputFile("patches", "patches.csv", slide_table(self.heat_map, self.looked).write),
            OutputFile("stain", "stain.json", self.write_stain),
        )

    def write_regions(self, path: Path) -> None:
        """Tissue, pen marks and regions of tumour, these last and so on top."""
        tissue = self.heat_map.tissue
        around = (
            ("Tissue", _TISSUE_COLOUR, tissue.mask, tissue.area_mm2),
            ("Pen marks", _INK_COLOUR, tissue.ink, tissue.ink_mm2),
        )
        annotations = [
            Annotation(
                name,
                name,
                colour,
                [part.scaled(tissue.mpp, tissue.mpp) for part in outlines(mask)],
                {"Area mm^2": round(area_mm2, _DECIMALS)},
            )
            for name, colour, mask, area_mm2 in around
            if mask.any()
        ]
        annotations += [
            Annotation(
                f"Tumor {rank}",
                "Tumor",
                _TUMOR_COLOUR,
                self.heat_map.outline(region),
                {
                    "Area mm^2": round(region.area_mm2, _DECIMALS),
                    "Peak probability": round(region.peak, _DECIMALS),
                    "Mean probability": round(region.mean, _DECIMALS),
                },
            )
            for rank, region in enumerate(self.regions, start=1)
        ]
        write_geojson(annotations, self.mpp, path)

    def write_stain(self, path: Path) -> None:
        """How the slide is stained, and to what its colours were brought."""
        reference = self.stain_settings.reference
        told = {
            "method": self.stain_settings.method if self.stains is not None else "none",
            "glass": self.heat_map.tissue.light.round(1).tolist(),
            "estimated": None
            if self.stains is None
            else {
                "hematoxylin": self.stains.vectors[0].round(_DECIMALS).tolist(),
                "eosin": self.stains.vectors[1].round(_DECIMALS).tolist(),
                "concentrations": self.stains.concentrations.round(_DECIMALS).tolist(),
            },
            "reference": None if self.stains is None else reference.model_dump(mode="json"),
        }
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
