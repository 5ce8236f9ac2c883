"""From a study's images and its result to what a page shows: pixels in the order of the patient, layers over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image as Picture

from app.services.view import DType, HeatLayer, Place, View, ViewLabel, Window
from datasets.dicom_source import DicomSource
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.nifti import read_nifti
from datasets.resampling import reorient
from datasets.study import Loaded
from pipelines.explain.card import MEANING
from pipelines.results import Explanation, Finding, Location, Result, SlideLocation

DISPLAY = "LPS"
# Usual settings of radiology; the file's own come before them.
_CT_WINDOWS = (
    Window(name="Abdomen", centre=40.0, width=400.0),
    Window(name="Liver", centre=60.0, width=160.0),
    Window(name="Lung", centre=-600.0, width=1500.0),
    Window(name="Bone", centre=480.0, width=2500.0),
)
_KEPT: dict[str, DType] = {"uint8": "uint8", "int16": "int16", "uint16": "uint16"}
_FULL = 255
_TAILS = (0.5, 99.5)
_LONGEST_NAME = 40
_MOST_OWN_WINDOWS = 4

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Stored:
    """Values as they are kept: value = slope * number + intercept."""

    numbers: NDArray[np.generic]
    dtype: DType
    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, eq=False)
class Made:
    """A view and its pixels.

    Attributes:
        view: The document.
        numbers: (slices, rows, columns), or with red, green and blue behind.
        labels: uint8 (slices, rows, columns); None where there is no segmentation.
        heats: The same for each of the view's maps; None where one does not lie on the view.
    """

    view: View
    numbers: NDArray[np.generic]
    labels: Bytes | None
    heats: tuple[Bytes | None, ...]


def shown(loaded: Loaded, result: Result, folder: Path, film: str = "") -> Made:
    """A volume, a film or a picture as it is shown.

    Args:
        loaded: The image that was scored.
        result: What was said of it; its files lie in the folder.
        folder: The study's own, as `score` wrote it.
        film: Which of several films the image is: the source of its `ViewRecord`; "" where there is one.

    Raises:
        InputRefused: A file of the result cannot be read.
        ValueError: One lies on another grid than the image.
    """
    image = in_display_order(loaded.image)
    colour = image.channels == 3
    stored = Stored(np.ascontiguousarray(image.array.transpose(3, 2, 1, 0)), "uint8") if colour else _stored(image)
    labels = _labels(result, folder, image)
    pairs = [_heat(number, one, folder, image, film) for number, one in enumerate(result.explanations)]
    grid = image.grid if image.affine is not None else None
    volume = image.shape[2] > 1
    view = View(
        kind="colour" if colour else "volume" if volume else "film",
        shape=image.shape,
        spacing_mm=grid.spacing_mm if grid else None,
        directions=_directions(grid) if grid else None,
        origin_mm=_origin_mm(grid) if grid else None,
        dtype=stored.dtype,
        slope=stored.slope,
        intercept=stored.intercept,
        unit="HU" if image.intensity is Intensity.HOUNSFIELD else "",
        windows=() if colour else tuple(_windows(image, loaded)),
        labels=_view_labels(result) if labels is not None else (),
        editable=labels is not None and grid is not None,
        heats=tuple(layer for layer, _ in pairs),
        places=tuple(places_of(result, grid)),
        result_sha256=result.result_digest,
    )
    return Made(view, stored.numbers, labels, tuple(pixels for _, pixels in pairs))


def in_display_order(image: Image) -> Image:
    """A volume with its axes towards left, back and head; a picture as it lies."""
    return reorient(image, DISPLAY) if image.affine is not None and image.shape[2] > 1 else image


def slide_heats(result: Result) -> tuple[HeatLayer, ...]:
    """The network's own map of a slide, which lies over all of it; none where the result has none."""
    if "heatmap" not in result.outputs:
        return ()
    label = result.findings[0].label if result.findings else result.task
    return (HeatLayer(number=0, label=label, method="probability of patches"),)


def places_of(result: Result, grid: Grid | None) -> Iterator[Place]:
    """Where findings lie: voxels of the grid, or micrometres of a slide."""
    for number, finding in enumerate(result.findings):
        yield Place(finding=number, label=finding.label, positive=finding.positive, at=_at(finding, grid))


def _at(finding: Finding, grid: Grid | None) -> tuple[float, ...] | None:
    where = finding.location
    if isinstance(where, SlideLocation):
        return where.centroid_um
    if isinstance(where, Location) and grid is not None:
        voxel = np.linalg.inv(grid.affine) @ (*where.centroid_mm, 1.0)
        return tuple(round(float(value), 2) for value in voxel[:3])
    return None


def _directions(grid: Grid) -> tuple[tuple[float, float, float], ...]:
    columns = grid.affine[:3, :3] / np.asarray(grid.spacing_mm)
    lps = columns * np.array([[-1.0], [-1.0], [1.0]])
    return tuple((float(x), float(y), float(z)) for x, y, z in np.round(lps.T, 6))


def _origin_mm(grid: Grid) -> tuple[float, float, float]:
    left, back, head = (float(value) for value in grid.affine[:3, 3] * (-1.0, -1.0, 1.0))
    return left, back, head


def _stored(image: Image) -> Stored:
    values = np.ascontiguousarray(image.slices())
    if (kept := _KEPT.get(values.dtype.name)) is not None:
        return Stored(values, kept)
    low, high = float(values.min()), float(values.max())
    whole = bool(np.issubdtype(values.dtype, np.integer))
    if whole and np.iinfo(np.int16).min <= low and high <= np.iinfo(np.int16).max:
        return Stored(values.astype(np.int16), "int16")
    steps = float(np.iinfo(np.uint16).max)
    slope = (high - low) / steps or 1.0
    numbers = np.rint((values.astype(np.float64) - low) / slope).astype(np.uint16)
    return Stored(numbers, "uint16", slope, low)


def _windows(image: Image, loaded: Loaded) -> Iterator[Window]:
    if loaded.source is not None and image.intensity is Intensity.HOUNSFIELD:
        yield from _own_windows(loaded.source)
    if image.intensity is Intensity.HOUNSFIELD:
        yield from _CT_WINDOWS
        return
    values = image.slices()
    ends = {"Percentiles 0.5 to 99.5": tuple(np.percentile(values, _TAILS)), "All values": (values.min(), values.max())}
    if image.shown is not None:
        ends = {"As stored": image.shown} | ends
    for name, (low, high) in ends.items():
        yield Window(name=name, centre=(float(low) + float(high)) / 2, width=max(float(high) - float(low), 1e-6))


def _own_windows(source: DicomSource) -> Iterator[Window]:
    header = source.datasets[len(source.datasets) // 2]
    numbers = [np.atleast_1d(np.asarray(header.get(name), dtype=object)) for name in ("WindowCenter", "WindowWidth")]
    names = [str(name) for name in np.atleast_1d(np.asarray(header.get("WindowCenterWidthExplanation"), dtype=object))]
    for at, (centre, width) in enumerate(zip(*numbers, strict=False)):
        try:
            window = float(centre), float(width)
        except (TypeError, ValueError):
            continue
        if at < _MOST_OWN_WINDOWS and np.isfinite(window).all() and window[1] >= 1.0:
            own = names[at][:_LONGEST_NAME] if at < len(names) and names[at] not in ("", "None") else ""
            yield Window(name=f"File: {own}" if own else "File", centre=window[0], width=window[1])


def _view_labels(result: Result) -> tuple[ViewLabel, ...]:
    return tuple(ViewLabel(index=label.index, name=label.name, colour=label.colour) for label in result.label_set)


def _labels(result: Result, folder: Path, image: Image) -> Bytes | None:
    name = result.outputs.get("segmentation")
    if name is None:
        return None
    path = folder / Path(name).name
    if path.suffix == ".png":
        with Picture.open(path) as picture:
            return _on(image, np.asarray(picture, dtype=np.uint8)[np.newaxis], path)
    labels = in_display_order(read_nifti(path, Intensity.LABEL).image)
    return _on(image, labels.slices().astype(np.uint8), path)


def _heat(number: int, one: Explanation, folder: Path, image: Image, film: str) -> tuple[HeatLayer, Bytes | None]:
    """A map as bytes: from 0, or from its lowest value where it has none above, to its greatest."""
    lies_here = one.at_um is None and one.source in ("", film)
    pixels, maximum = None, 1.0
    if lies_here:
        path = folder / Path(one.files.get("map", one.file)).name
        values = _map(path)
        maximum = max(float(values.max(initial=0.0)), 1e-12)
        pixels = _on(image, np.rint(_FULL * np.clip(values / maximum, 0.0, 1.0)).astype(np.uint8), path)
    card = one.score_card
    return (
        HeatLayer(
            number=number,
            label=one.label,
            method=one.method,
            about=one.about,
            verdict=card.verdict if card else "not_judged",
            why=tuple(MEANING[reason] for reason in card.reasons) if card else (),
            maximum=maximum,
            maps=lies_here,
        ),
        pixels,
    )


def _map(path: Path) -> NDArray[np.float32]:
    """(slices, rows, columns) in the order of the view."""
    if path.suffix == ".tif":
        return np.asarray(tifffile.imread(path), dtype=np.float32)[np.newaxis]
    heat = in_display_order(read_nifti(path, Intensity.PROBABILITY).image)
    return heat.slices().astype(np.float32)


def _on(image: Image, layer: Bytes, path: Path) -> Bytes:
    columns, rows, slices = image.shape
    if layer.shape != (slices, rows, columns):
        raise ValueError(f"expected {path.name} of {slices} x {rows} x {columns}; got {layer.shape}")
    return np.ascontiguousarray(layer)
