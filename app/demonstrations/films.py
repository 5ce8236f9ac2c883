"""Findings on chest films that were planted by formula."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from rich.table import Table

from app.demonstrations.shown import Demonstration, Found, table
from app.drawing import TRUTH
from app.picture_sheet import Outline, Tile, box, write_picture_sheet
from datasets.io.dicom_film import FilmOptions, options_for, write_film
from datasets.phantoms import FilmPhantom, film_phantom

_EDGE_PX = 512


@dataclass(frozen=True)
class DemoFilm:
    """A film that no training has seen, and how it is stored.

    Attributes:
        seed: Of the phantom.
        findings: What is planted.
        stored: As a picture, or as DICOM with white or black as its lowest value.
    """

    seed: int
    findings: tuple[str, ...]
    stored: str = "png"

    @property
    def name(self) -> str:
        """What it is called in files and tables."""
        return f"film-{self.seed}"

    def phantom(self) -> FilmPhantom:
        """The film's formula."""
        return film_phantom(self.seed, findings=self.findings)


FILMS = (
    DemoFilm(20_001, ()),
    DemoFilm(20_002, ("effusion",)),
    DemoFilm(20_003, ("pneumothorax",), "MONOCHROME1"),
    DemoFilm(20_004, ("cardiomegaly",), "MONOCHROME2"),
    DemoFilm(20_005, ("nodule",)),
    DemoFilm(20_006, ("effusion", "mass")),
)


def films(chosen: Sequence[DemoFilm] = FILMS) -> Demonstration:
    """The chest film task on some films."""
    return Demonstration(
        task="chest_xray",
        told="chest films, PNG and DICOM: fourteen findings",
        make=lambda folder: [_store(film, folder) for film in chosen],
        show=partial(_show, tuple(chosen)),
        explained="grad_cam",
    )


def _store(film: DemoFilm, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    image = film.phantom().image(_EDGE_PX)
    if film.stored == "png":
        path = folder / f"{film.name}.png"
        Picture.fromarray(_pixels(film)).save(path, format="PNG")
        return path
    plain = FilmOptions(study=film.name, monochrome1=film.stored == "MONOCHROME1")
    return write_film(image, folder / f"{film.name}.dcm", options_for(image, plain))


def _pixels(film: DemoFilm) -> NDArray[np.uint8]:
    """(rows, columns)."""
    pixels: NDArray[np.uint8] = film.phantom().image(_EDGE_PX).array[0, :, :, 0].T
    return pixels


def _show(chosen: tuple[DemoFilm, ...], found: Sequence[Found], sheet: Path) -> Table:
    made = table("Films: found beside planted", "film", "stored as", "planted", "called", "missed", "beyond")
    tiles = []
    for film, one in zip(chosen, found, strict=True):
        planted = sorted(film.findings)
        called = {f["label"]: f["probability"] for f in one.document["findings"] if f["positive"]}
        missed, beyond = set(planted) - set(called), set(called) - set(planted)
        told = ", ".join(planted) or "none"
        made.add_row(film.name, film.stored, told, str(len(called)), str(len(missed)), str(len(beyond)))
        ranked = sorted(called.items(), key=lambda item: -item[1])
        said = "   ".join(f"{name} {p:.2f}" for name, p in ranked[:4]) or "nothing called"
        tiles.append(Tile(f"{film.name}   planted: {told}", said, _pixels(film), _boxes(film)))
    write_picture_sheet(tiles, sheet, per_row=3, legend="white dashes: planted   below the title: called")
    return made


def _boxes(film: DemoFilm) -> tuple[Outline, ...]:
    phantom = film.phantom()
    spacing_mm = phantom.image(_EDGE_PX).grid.spacing_mm
    return tuple(
        Outline(box(*(edge / spacing_mm[axis % 2] for axis, edge in enumerate(corners))), TRUTH, dashed=True, name=name)
        for name in sorted(film.findings)
        for corners in phantom.boxes(name)
    )
