"""GeoJSON as QuPath reads it: https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html"""

import json

import numpy as np
import pytest

from pipelines.histology.geojson import Annotation, write_geojson
from pipelines.histology.outlines import outlines, ring_area

RING = np.ones((6, 8), dtype=bool)
RING[2:4, 3:5] = False


def written(tmp_path, mask, mpp):
    annotation = Annotation("Tumor 1", "Tumor", (200, 0, 0), outlines(mask), {"Area mm^2": 0.5})
    write_geojson([annotation], mpp, tmp_path / "regions.geojson")
    return json.loads((tmp_path / "regions.geojson").read_text(encoding="utf-8"))


def test_coordinates_are_pixels_of_the_finest_level(tmp_path) -> None:
    document = written(tmp_path, RING, (0.5, 0.25))
    assert document["type"] == "FeatureCollection"
    [feature] = document["features"]
    assert feature["type"] == "Feature"
    assert feature["properties"] == {
        "objectType": "annotation",
        "name": "Tumor 1",
        "classification": {"name": "Tumor", "color": [200, 0, 0]},
        "isLocked": False,
        "measurements": {"Area mm^2": 0.5},
    }
    assert feature["geometry"]["type"] == "Polygon"
    outer, hole = (np.array(ring) for ring in feature["geometry"]["coordinates"])
    # 8 um across are 16 pixels of 0.5 um, 6 um down are 24 of 0.25 um.
    assert (outer.min(axis=0).tolist(), outer.max(axis=0).tolist()) == ([0, 0], [16, 24])
    assert (hole.min(axis=0).tolist(), hole.max(axis=0).tolist()) == ([6, 8], [10, 16])
    # RFC 7946: rings are closed, outer ones run counterclockwise, holes clockwise.
    assert (outer[0] == outer[-1]).all()
    assert ring_area(outer) + ring_area(hole) == pytest.approx(RING.sum() / (0.5 * 0.25))
    assert ring_area(outer) > 0 > ring_area(hole)


def test_several_parts_are_one_annotation(tmp_path) -> None:
    mask = np.array([[True, False, True]])
    [feature] = written(tmp_path, mask, (1.0, 1.0))["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert [np.array(part[0]).min(axis=0).tolist() for part in feature["geometry"]["coordinates"]] == [[0, 0], [2, 0]]


def test_nothing_is_an_empty_collection(tmp_path) -> None:
    write_geojson([], (1.0, 1.0), tmp_path / "regions.geojson")
    assert json.loads((tmp_path / "regions.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
