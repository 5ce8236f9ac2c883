"""What is kept of an explanation: the map on the image's grid, a picture of it, a DICOM object, and its record."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from datasets.image import Image, Intensity
from datasets.io.dicom_heat_map import HeatMapDescription, write_dicom_heat_map
from datasets.io.nifti import write_nifti
from datasets.resampling import reorient
from pipelines.examination import Field, Seen
from pipelines.explain.card import MEANING, ScoreCard
from pipelines.explain.method import Method
from pipelines.explain.overlay import Caption, overlay
from pipelines.report import making_of
from pipelines.results import Explanation, Finding, ModelId, OutputFile
from pipelines.task import Task

_CANONICAL = "LPS"
_CT_WINDOW_HU = (-160.0, 240.0)
_TAILS = (0.5, 99.5)
_FULL = 255
_UM_PER_CM = 1e4
# Of PNGs, of which a film gets dozens: half the time of the usual 6 for a file that is 7 % larger.
_COMPRESSION = 4


@dataclass(frozen=True, eq=False)
class Explained:
    """One map of one label by one method.

    Attributes:
        method: With its settings.
        label: Of the task.
        about: What of it is meant: "" all, else "lesion 2".
        heat: float32 (1, I, J, K) on the grid of the image that was read.
        seen: Which image that is.
        card: How far it is to be believed; None where it was not judged.
        film: Which of several films of the study, from 1; None where there is one.
        finding: What the task said about the label.
    """

    method: Method
    label: str
    about: str
    heat: Image
    seen: Seen
    card: ScoreCard | None
    film: int | None = None
    finding: Finding | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why it is not to be believed, in words."""
        return tuple(MEANING[reason] for reason in self.card.reasons) if self.card else ()

    @property
    def shown(self) -> Image:
        """The map as it is drawn: of a method whose zero means nothing, from its lowest value on."""
        if not self.method.from_lowest:
            return self.heat
        return Image(self.heat.array - self.heat.array.min(), self.heat.intensity, self.heat.affine)

    @property
    def stem(self) -> str:
        """Of its files' names."""
        parts = [self.label, self.about, f"film {self.film}" if self.film else "", self.method.method_name()]
        return "-".join(["explanation", *(re.sub(r"[^A-Za-z0-9_]", "_", part) for part in parts if part)])

    @property
    def is_picture(self) -> bool:
        """Whether it explains one picture and not a volume."""
        return self.heat.shape[2] == 1

    @property
    def file(self) -> str:
        """Name of the file the record names first: the picture of a picture, the map of a volume."""
        return f"{self.stem}.png" if self.is_picture else f"{self.stem}.nii.gz"


def record_of(one: Explained) -> Explanation:
    """An explanation as `result.json` tells it."""
    files = {"map": f"{one.stem}.tif" if one.is_picture else f"{one.stem}.nii.gz", "picture": f"{one.stem}.png"}
    if _fits_dicom(one):
        files["dicom"] = f"{one.stem}.dcm"
    at_um, um_per_px = (one.seen.at_um, one.seen.mpp) if isinstance(one.seen, Field) else (None, None)
    return Explanation(
        label=one.label,
        method=one.method.method_name(),
        file=one.file,
        about=one.about,
        source=one.seen.source if one.film else "",
        at_um=None if at_um is None else (round(at_um[0], 3), round(at_um[1], 3)),
        um_per_px=um_per_px,
        files=files,
        score_card=one.card,
    )


def files_of(one: Explained, task: Task, model: ModelId) -> Iterator[OutputFile]:
    """The files of an explanation, for the study's folder."""
    if one.is_picture:
        yield _file(f"{one.stem}.tif", lambda path: _write_tiff(one, path))
    else:
        yield _file(f"{one.stem}.nii.gz", lambda path: _write_nifti(one.heat, path))
    yield _file(f"{one.stem}.png", lambda path: _write_picture(one, path))
    if _fits_dicom(one):
        yield _file(f"{one.stem}.dcm", lambda path: _write_dicom(one, task, model, path))


def _file(name: str, write: Callable[[Path], None]) -> OutputFile:
    return OutputFile(name.partition(".")[0] + "_" + name.rpartition(".")[2], name, write)


def _fits_dicom(one: Explained) -> bool:
    source = one.seen.dicom
    placed = one.heat.affine is not None or (source is not None and len(source.planes) == 1)
    return source is not None and placed and not source.misnamed


def _write_nifti(heat: Image, path: Path) -> None:
    # The name that is lent for writing says nothing of what is written.
    whole = path.with_name(f"{path.name}.nii.gz")
    write_nifti(heat, whole)
    whole.replace(path)


def _write_tiff(one: Explained, path: Path) -> None:
    """(rows, columns) float32, as the method gave it; where the size of a pixel is known, tags tell it."""
    mpp = one.seen.mpp if isinstance(one.seen, Field) else None
    size: dict[str, Any] = (
        {} if mpp is None else {"resolution": (_UM_PER_CM / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    )
    tifffile.imwrite(path, one.heat.slices()[0], compression="zlib", predictor=True, **size)


def _write_dicom(one: Explained, task: Task, model: ModelId, path: Path) -> None:
    """What speaks for the label, as shares of its strongest value: a viewer knows no values below zero."""
    assert one.seen.dicom is not None  # noqa: S101 - asked before
    positive = np.maximum(one.shown.array, 0.0)
    strongest = float(positive.max(initial=0.0))
    shares = positive / strongest if strongest > 0.0 else positive
    label = next((own for own in task.label_set.labels if own.name == one.label), one.label)
    made = making_of(model, task)
    description = HeatMapDescription(
        label=label,
        method=one.method.method_name(),
        algorithm=made.algorithm,
        version=made.version,
        weights_sha256=made.weights_sha256,
        config_digest=made.config_digest,
        caveat="; ".join((*([one.method.caveat] if one.method.caveat else []), *one.doubts)),
    )
    heat = Image(shares.astype(np.float32), Intensity.PROBABILITY, one.heat.affine)
    write_dicom_heat_map(heat, one.seen.dicom, path, description)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A slice or a film, and the map on it, as they are drawn.

    Attributes:
        picture: uint8 (rows, columns) or (rows, columns, 3).
        heat: (rows, columns).
        aspect: Height of a pixel over its width.
        at: Which axial slice of a volume, from 0.
    """

    picture: NDArray[np.uint8]
    heat: NDArray[np.float32]
    aspect: float
    at: int


def drawn(one: Explained) -> Drawn:
    """What shows most of a map: a picture as it lies, of a volume the axial slice on which the map is strongest."""
    heat, picture, aspect = one.shown, one.seen.image, 1.0
    if not one.is_picture:
        heat, picture = reorient(heat, _CANONICAL), reorient(picture, _CANONICAL)
    if heat.affine is not None:
        across_mm, down_mm = heat.grid.spacing_mm[:2]
        aspect = down_mm / across_mm
    slices = heat.slices()
    at = int(np.abs(slices).sum(axis=(1, 2)).argmax())
    return Drawn(_picture(picture, at), slices[at], aspect, at)


def _write_picture(one: Explained, path: Path) -> None:
    what = drawn(one)
    picture = overlay(what.picture, what.heat, _caption(one, what.at), what.aspect)
    picture.save(path, format="PNG", compress_level=_COMPRESSION)


def _picture(image: Image, at: int) -> NDArray[np.uint8]:
    """One slice or film as uint8 (rows, columns) or (rows, columns, 3)."""
    plane = image.array[..., at].transpose(2, 1, 0)  # (rows, columns, C)
    if image.channels == 3 and plane.dtype == np.uint8:
        return np.ascontiguousarray(plane)
    values = plane[..., 0].astype(np.float32)
    if image.intensity is Intensity.HOUNSFIELD:
        low, high = _CT_WINDOW_HU
    elif image.shown is not None:
        low, high = image.shown
    else:
        low, high = (float(value) for value in np.percentile(values, _TAILS))
    grey: NDArray[np.uint8] = np.rint(_FULL * np.clip((values - low) / max(high - low, 1e-6), 0, 1)).astype(np.uint8)
    return grey


def _caption(one: Explained, at: int) -> Caption:
    name = one.label.replace("_", " ") + (f", {one.about}" if one.about else "")
    told = []
    if one.finding is not None and one.finding.probability is not None and not one.about:
        told.append(f"probability {one.finding.probability:.3f}, called from {one.finding.threshold:.3f}")
    if not one.is_picture:
        told.append(f"axial slice {at + 1} of {one.heat.shape[2]}")
    if one.card is not None:
        card = one.card
        told.append(
            f"hiding what it shows first leaves {card.deletion_auc:.2f} (at random {card.deletion_auc_random:.2f}), "
            f"showing it first gives {card.insertion_auc:.2f} ({card.insertion_auc_random:.2f})"
        )
    if one.method.caveat:
        told.append(one.method.caveat)
    return Caption(f"{name}: {one.method.method_name()}", tuple(told), one.doubts)
