"""Patches out of whatever holds them: pictures, files of many pictures, whole slides."""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.codes import RefusalCode
from datasets.errors import ConfigError, InputRefused
from datasets.image import Intensity
from datasets.io.discover import open_inputs
from datasets.slide import Slide
from datasets.study import Series, Study, choose_series
from pipelines.histology.light import Pixels
from pipelines.histology.patch_grid import PatchGrid
from pipelines.histology.patch_stream import PatchStream
from pipelines.histology.settings import TissueSettings
from pipelines.histology.tissue import find_tissue
from pipelines.patch_features import SMALLEST_PX
from pipelines.patch_index import Place, source_name

_LOG = logging.getLogger(__name__)

# Larger ones are no patches.
LARGEST_PX = 2048
_BATCH = 64


@dataclass(frozen=True)
class Cut:
    """How patches are cut out of whole slides; pictures are taken as they are.

    Attributes:
        patch_px: Edge of a patch.
        mpp: Micrometres per pixel.
    """

    patch_px: int
    mpp: float


@dataclass(frozen=True, eq=False)
class Found:
    """Patches of one size.

    Attributes:
        pixels: (N, H, W, 3) uint8, RGB.
        places: Where each is from; without labels.
    """

    pixels: Pixels
    places: tuple[Place, ...]


def patches_of(study: Study, cut: Cut) -> Iterator[Found]:
    """All patches of a study.

    A picture is one patch, a file of many pictures that many. Of a slide all tissue is cut into patches side by side,
    without overlap.

    Raises:
        InputRefused: The study cannot be read, or shows no patches in colour. Codes: as its reader, `wrong_modality`,
            `unsupported_dimensions`, `no_spacing`, `no_tissue`.
    """
    series, source = _series(study), source_name(Path(study.source))
    if series.stack is not None:
        with series.stack() as stack:
            start = 0
            for batch in stack.batches(_BATCH):
                pixels = _checked(batch, source)
                yield Found(pixels, tuple(Place(source, index) for index in range(start, start + len(pixels))))
                start += len(pixels)
    elif _is_slide(series):
        with closing(_opened(series)) as slide:
            yield from _of_slide(slide, source, cut)
    else:
        yield Found(_picture(series, source), (Place(source),))


def patch_at(study: Study, x_um: float, y_um: float, cut: Cut) -> Found:
    """The patch of a slide about a place.

    Args:
        study: Of a slide.
        x_um: Middle of the patch, from the slide's left edge.
        y_um: From its upper edge.
        cut: How large it is.

    Raises:
        InputRefused: As `patches_of`.
        ConfigError: It is no slide, or the place lies outside of it.
    """
    series, source = _series(study), source_name(Path(study.source))
    if not _is_slide(series):
        raise ConfigError("a slide where --at says a place", f"{series.description or 'no slide'}", "leave --at out")
    with closing(_opened(series)) as slide:
        width, height = slide.size_um
        if not (0 <= x_um < width and 0 <= y_um < height):
            size = f"{width:.0f} x {height:.0f} um"
            raise ConfigError(f"a place on the slide, {size}", f"{x_um:g}, {y_um:g}", "correct --at X,Y")
        half_um = cut.patch_px * cut.mpp / 2
        place = Place(source, None, x_um - half_um, y_um - half_um)
        return Found(_read(slide, place, cut), (place,))


def reread(place: Place, cut: Cut) -> Pixels | None:
    """The pixels (H, W, 3) of a patch of an index, from its file; None where that is gone or has changed its kind."""
    try:
        with open_inputs([Path(place.source)]) as inventory:
            return _again(_series(inventory.studies[0]), place, cut)
    except InputRefused:
        return None


def is_slide(study: Study) -> bool:
    """Whether a study is a slide, of which a place must be said to ask about a single patch."""
    return any(_is_slide(series) for series in study.series)


def _series(study: Study) -> Series:
    return choose_series(study, ())[0]


def _is_slide(series: Series) -> bool:
    # A small TIFF is a picture and a slide of one level; as a patch it is a picture.
    return series.slide is not None and series.modality != ""


def _opened(series: Series) -> Slide:
    if series.slide is None:
        raise ConfigError("a slide", series.description, "give another input")
    return series.slide()


def _picture(series: Series, source: str) -> Pixels:
    image = series.load().image
    if image.intensity is not Intensity.COLOUR or image.shape[2] != 1:
        raise _no_colour(source)
    # (C, columns, rows, 1) to (1, rows, columns, C).
    return _checked(np.ascontiguousarray(image.array.transpose(3, 2, 1, 0)), source)


def _checked(pixels: Pixels, source: str) -> Pixels:
    if pixels.shape[-1] != 3 or pixels.dtype != np.uint8:
        raise _no_colour(source)
    rows, columns = pixels.shape[1:3]
    if min(rows, columns) < SMALLEST_PX or max(rows, columns) > LARGEST_PX:
        raise InputRefused(
            RefusalCode.UNSUPPORTED_DIMENSIONS,
            f"patches of {SMALLEST_PX} to {LARGEST_PX} pixels",
            f"{columns} x {rows} in {source}",
            "cut the picture into patches of the size the network was trained on",
        )
    return pixels


def _of_slide(slide: Slide, source: str, cut: Cut) -> Iterator[Found]:
    settings = TissueSettings()
    grid = PatchGrid.over(slide.size_um, cut.patch_px, cut.patch_px, cut.mpp)
    # A whole number of the overview's pixels makes a cell.
    cell = max(round(grid.cell_um / settings.mpp), 1)
    tissue = find_tissue(slide.overview(grid.cell_um / cell), settings)
    cells = np.argwhere(tissue.shares(cell, grid.rows, grid.columns) >= settings.min_share)
    if not len(cells):
        raise InputRefused(RefusalCode.NO_TISSUE, "tissue", f"none on {source}", "check the slide")
    stream = PatchStream(slide, grid, cells, _BATCH)
    for batch in stream:
        corners = batch.cells[:, ::-1] * grid.cell_um
        yield Found(batch.pixels, tuple(Place(source, None, float(x), float(y)) for x, y in corners))
    if stream.unreadable:
        _LOG.warning(
            "%d of %d patches of %s could not be read and are left out", len(stream.unreadable), len(cells), source
        )


def _again(series: Series, place: Place, cut: Cut) -> Pixels | None:
    if place.index is not None:
        return _in_stack(series, place.index)
    if place.x_um is None:
        return None if _is_slide(series) else np.asarray(_picture(series, place.source)[0])
    if not _is_slide(series):
        return None
    with closing(_opened(series)) as slide:
        return np.asarray(_read(slide, place, cut)[0])


def _read(slide: Slide, place: Place, cut: Cut) -> Pixels:
    x_um, y_um = place.x_um or 0.0, place.y_um or 0.0
    return slide.read(x_um, y_um, cut.patch_px, cut.patch_px, cut.mpp)[np.newaxis]


def _in_stack(series: Series, index: int) -> Pixels | None:
    if series.stack is None:
        return None
    with series.stack() as stack:
        for number, batch in enumerate(stack.batches(_BATCH)):
            if index < (number + 1) * _BATCH:
                at = index - number * _BATCH
                return np.asarray(batch[at]) if at < len(batch) else None
    return None


def _no_colour(source: str) -> InputRefused:
    return InputRefused(
        RefusalCode.WRONG_MODALITY,
        "patches in colour, 8 bits per channel",
        f"something else in {source}",
        "give stained patches",
    )
