"""Views of cases: made once from the scan and the result, kept in a folder of the installation, and edited masks.

A view is made by a worker as soon as a case comes in, or when somebody opens a case that has none. Masks are named
after what is in them, so that saving twice is saving once and nothing is ever half there.
"""

import hashlib
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip

from app.services.intake import read_result
from app.services.source import opened_sources
from app.services.view import IMAGE, LABELS, VERSION, VIEW, PreparedView, View, heat_name
from app.services.view_making import Made, in_display_order, places_of, shown, slide_heats
from app.store.records import Case, Record
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from datasets.io.atomic import atomic_path, write_text
from datasets.io.nifti import read_nifti, write_nifti
from datasets.resampling import reorient
from datasets.study import Series
from pipelines.results import Result, digest_of_labels

PACKED = ".gz"
_LEVEL = 1


class SavedMask(Record):
    """An edited mask as it was kept.

    Attributes:
        mask: By which it is asked for: file name in the folder of masks, its case's id first.
        sha256: Of its voxels in the order (k, j, i) of the input image.
        changed_voxels: How many differ from the network's.
        volumes_ml: Of each label, by name.
    """

    mask: str
    sha256: str
    changed_voxels: int
    volumes_ml: dict[str, float]


class MaskRefused(Exception):
    """What was sent is no mask of this case; the argument says why."""


@dataclass(frozen=True)
class Viewing:
    """The views and masks of an installation.

    Attributes:
        folder: Of its own; made when missing.
    """

    folder: Path

    @property
    def masks(self) -> Path:
        """Where edited masks lie, as NIfTI on the grid of the input."""
        return self.folder / "masks"

    def prepared(self, case: Case) -> PreparedView | None:
        """The view of a case's latest result; None where none was made."""
        folder = self._of(case)
        try:
            view = View.model_validate_json((folder / VIEW).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return PreparedView(folder, view)

    def prepare(self, case: Case) -> PreparedView:
        """Make the view of a case, or find it made.

        Raises:
            InputRefused: What was scored is gone or cannot be read any more, or the result cannot.
        """
        if (found := self.prepared(case)) is not None:
            return found
        folder = self._of(case)
        result, _ = read_result(Path(case.folder))
        with opened_sources(result) as series:
            view = self._make(result, series[0], Path(case.folder), folder)
        # Last, so that where it stands the rest stands too.
        write_text(folder / VIEW, view.model_dump_json() + "\n")
        return PreparedView(folder, view)

    def save_mask(self, case: Case, packed: bytes) -> SavedMask:
        """Keep an edited mask.

        Args:
            case: With a view that can be edited.
            packed: gzip of uint8 in the order of the view, slices slowest.

        Raises:
            MaskRefused: It is none of this case.
            InputRefused: The result cannot be read any more.
        """
        prepared = self.prepared(case)
        if prepared is None or not prepared.view.editable:
            raise MaskRefused("this case has no mask that can be edited")
        result, _ = read_result(Path(case.folder))
        shape = (*prepared.view.shape[::-1],)
        edited = _unpacked(packed, shape)
        counts = np.bincount(edited.ravel(), minlength=len(result.label_set) + 1)
        if len(counts) > len(result.label_set) + 1:
            raise MaskRefused(f"expected labels up to {len(result.label_set)}; got {len(counts) - 1}")
        before = prepared.labels()
        changed = int(np.count_nonzero(edited != before)) if before is not None else int(counts[1:].sum())
        mask = _on_input(edited, result)
        sha256 = digest_of_labels(mask)
        path = self.masks / _mask_name(case, mask, sha256)
        if not path.exists():
            write_nifti(mask, path)
        voxel_ml = mask.grid.voxel_volume_ml
        volumes = {label.name: float(counts[label.index]) * voxel_ml for label in result.label_set}
        return SavedMask(mask=path.name, sha256=sha256, changed_voxels=changed, volumes_ml=volumes)

    def mask_of(self, case: Case, name: str) -> Path:
        """An edited mask in the order of the case's view, packed like its labels.

        Raises:
            MaskRefused: There is none of that name, or it is another case's.
        """
        prepared, path = self.prepared(case), self.masks / name
        if prepared is None or not _named(case, name) or not path.is_file():
            raise MaskRefused("no such mask")
        packed = prepared.folder / f"mask-{name}{PACKED}"
        if not packed.exists():
            pixels = in_display_order(read_nifti(path, Intensity.LABEL).image).slices()
            if pixels.shape != prepared.view.shape[::-1]:
                raise MaskRefused("the mask is another case's")
            _write_packed(packed, np.ascontiguousarray(pixels, dtype=np.uint8))
        return packed

    def _of(self, case: Case) -> Path:
        # Of the result that is shown: what a later one says has a view of its own.
        name = hashlib.sha256(f"{VERSION} {case.study_uid} {case.task} {case.result_sha256}".encode()).hexdigest()[:32]
        return self.folder / "views" / name

    def _make(self, result: Result, series: Series, study: Path, folder: Path) -> View:
        if result.slide is not None:
            return View(
                kind="slide",
                shape=(*result.slide.size_px, 1),
                heats=slide_heats(result),
                places=tuple(places_of(result, None)),
                result_sha256=result.result_digest,
                mpp=result.slide.mpp,
            )
        try:
            made = shown(series.load(), result, study, series.uid)
        except ValueError as error:
            raise InputRefused(
                RefusalCode.UNREADABLE_FILE, "files of a result that fit its image", str(error), "score the study again"
            ) from error
        _write(made, folder)
        return made.view


def _mask_name(case: Case, mask: Image, sha256: str) -> str:
    """Of the case that it is of, and of all that is in it: the same voxels may lie elsewhere in another scan."""
    where = hashlib.sha256(f"{mask.grid.shape} {mask.grid.affine.tolist()} {sha256}".encode()).hexdigest()
    return f"{case.id}-{where[:32]}.nii.gz"


def _named(case: Case, name: str) -> bool:
    return re.fullmatch(rf"{re.escape(case.id)}-[0-9a-f]{{32}}\.nii\.gz", name) is not None


def _write(made: Made, folder: Path) -> None:
    _write_raw(folder / IMAGE, made.numbers)
    if made.labels is not None:
        _write_raw(folder / LABELS, made.labels)
        _write_packed(folder / f"{LABELS}{PACKED}", made.labels)
    for number, heat in enumerate(made.heats):
        if heat is not None:
            _write_raw(folder / heat_name(number), heat)
            _write_packed(folder / f"{heat_name(number)}{PACKED}", heat)


def _write_raw(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    little = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    _write_file(path, lambda temporary: little.tofile(temporary))


def _write_packed(path: Path, pixels: np.ndarray[Any, Any]) -> None:
    packed = igzip.compress(np.ascontiguousarray(pixels).data, compresslevel=_LEVEL)
    _write_file(path, lambda temporary: temporary.write_bytes(packed))


def _write_file(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        write(temporary)


def _unpacked(packed: bytes, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    expected, pieces = int(np.prod(shape)), bytearray()
    decompressor = zlib.decompressobj(wbits=31)
    with suppress(zlib.error):
        # One byte more than there may be, whatever the sender claims to have packed.
        pieces += decompressor.decompress(packed, expected + 1)
    if len(pieces) != expected:
        raise MaskRefused(f"expected {expected} packed voxels; got {'more' if len(pieces) > expected else len(pieces)}")
    return np.frombuffer(bytes(pieces), np.uint8).reshape(shape)


def _on_input(edited: np.ndarray[Any, np.dtype[np.uint8]], result: Result) -> Image:
    """A mask of the view on the grid of the input, voxel by voxel."""
    if result.grid is None:
        raise MaskRefused("the spacing of this image is unknown")
    affine = np.asarray(result.grid.affine, dtype=np.float64)
    blank = Image(np.zeros((1, *result.grid.shape), np.uint8), Intensity.LABEL, affine)
    # A picture is shown as it lies.
    view = in_display_order(blank)
    on_view = view.like(edited.transpose(2, 1, 0))
    back = reorient(on_view, blank.grid.orientation) if view is not blank else on_view
    return Image(np.ascontiguousarray(back.array), Intensity.LABEL, affine)
