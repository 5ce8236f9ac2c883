"""Outlines as GeoJSON that QuPath opens: coordinates are pixels of the slide's finest level, y down."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.histology.outlines import Polygon

_DECIMALS = 2


@dataclass(frozen=True, eq=False)
class Annotation:
    """One outline with its name.

    Attributes:
        name: What a person reads.
        classification: QuPath's class, such as "Tumor".
        colour: Red, green, blue.
        polygons: In micrometres; at least one.
        measurements: Numbers by name, the unit in the name.
    """

    name: str
    classification: str
    colour: tuple[int, int, int]
    polygons: Sequence[Polygon]
    measurements: Mapping[str, float] = field(default_factory=dict)

    def feature(self, mpp: tuple[float, float]) -> dict[str, Any]:
        """As a GeoJSON Feature.

        Args:
            mpp: Micrometres per pixel of the slide's finest level, (x, y).
        """
        shapes = [_coordinates(polygon.scaled(1 / mpp[0], 1 / mpp[1])) for polygon in self.polygons]
        single = len(shapes) == 1
        return {
            "type": "Feature",
            "geometry": {
                "type": "Polygon" if single else "MultiPolygon",
                "coordinates": shapes[0] if single else shapes,
            },
            "properties": {
                "objectType": "annotation",
                "name": self.name,
                "classification": {"name": self.classification, "color": list(self.colour)},
                "isLocked": False,
                "measurements": dict(self.measurements),
            },
        }


def write_geojson(annotations: Sequence[Annotation], mpp: tuple[float, float], path: Path) -> None:
    """Write annotations as a FeatureCollection; none gives an empty one.

    Args:
        annotations: In the order in which they are drawn.
        mpp: Micrometres per pixel of the slide's finest level, (x, y).
        path: The file.
    """
    features = [annotation.feature(mpp) for annotation in annotations]
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _coordinates(polygon: Polygon) -> list[list[list[float]]]:
    return [ring.round(_DECIMALS).tolist() for ring in (polygon.exterior, *polygon.holes)]
