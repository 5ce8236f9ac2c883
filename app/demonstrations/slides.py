"""Tumour on a stained slide whose regions are known by formula."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from app.demonstrations.shown import Demonstration, Found, table
from app.drawing import TRUTH
from app.picture_sheet import FOUND, Outline, Tile, write_picture_sheet
from datasets.io.slide_tiff import PyramidOptions, write_pyramid_tiff
from datasets.phantoms import SlidePhantom, slide_phantom

SEEDS = (20_001, 20_002)
_SIZE_UM = (2400.0, 1800.0)
_MPP, _SHOWN_MPP = 0.5, 4.0


def slides(seeds: Sequence[int] = SEEDS, size_um: tuple[float, float] = _SIZE_UM) -> Demonstration:
    """The histopathology task on some slides."""
    return Demonstration(
        task="histopathology",
        told="stained slides: where the tumour is, and how much",
        make=lambda folder: [_store(seed, size_um, folder) for seed in seeds],
        show=partial(_show, tuple(seeds), size_um),
    )


def _phantom(seed: int, size_um: tuple[float, float]) -> SlidePhantom:
    return slide_phantom(seed, size_um)


def _store(seed: int, size_um: tuple[float, float], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"slide-{seed}.svs"
    return write_pyramid_tiff(_phantom(seed, size_um), path, _MPP, PyramidOptions(aperio=True))


def _show(seeds: tuple[int, ...], size_um: tuple[float, float], found: Sequence[Found], sheet: Path) -> Table:
    made = table("Slides: found beside truth", "slide", "tissue\nmm2", "tumour\nmm2", "\ntruth", "\nregions")
    tiles = []
    for seed, one in zip(seeds, found, strict=True):
        phantom = _phantom(seed, size_um)
        tissue, tumor = one.quantities["tissue", "area"], one.quantities["tumor", "area"]
        regions = [f for f in one.document["findings"] if f["positive"]]
        made.add_row(
            one.study,
            f"{tissue:.2f}",
            f"{tumor:.2f}",
            f"{phantom.tumor_area_mm2:.2f}",
            str(len(regions)),
        )
        columns, rows = (int(np.ceil(edge / _SHOWN_MPP)) for edge in size_um)
        truths = [Outline(r.outline_um(200) / _SHOWN_MPP, TRUTH, dashed=True) for r in phantom.tumor_regions]
        title = f"{one.study}   tumour {tumor:.2f} mm2 (truth {phantom.tumor_area_mm2:.2f})"
        subtitle = f"tissue {tissue:.2f} mm2, the holes of fat left out"
        lines = (*(Outline(line, FOUND) for line in _found(one.folder)), *truths)
        tiles.append(Tile(title, subtitle, phantom.read(0.0, 0.0, columns, rows, _SHOWN_MPP), lines))
    write_picture_sheet(tiles, sheet, per_row=2, legend="orange: found   white dashes: truth")
    return made


def _found(folder: Path) -> list[NDArray[np.float64]]:
    """Outlines of tumour in regions.geojson, in pixels of the picture shown."""
    document = json.loads((folder / "regions.geojson").read_text(encoding="utf-8"))
    lines = []
    for feature in document["features"]:
        if feature["properties"].get("classification", {}).get("name", "").lower() == "tumor":
            lines += [np.asarray(ring, dtype=np.float64) * _MPP / _SHOWN_MPP for ring in _rings(feature["geometry"])]
    return lines


def _rings(geometry: dict[str, Any]) -> list[Any]:
    if geometry["type"] == "MultiPolygon":
        return [ring for polygon in geometry["coordinates"] for ring in polygon]
    return list(geometry["coordinates"])
