"""What one fix does to the files of a case: each reads a file of the copy and writes it anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from datasets.audit.gathering import files_of
from datasets.audit.geometry import COPY_GRID, REORIENT
from datasets.audit.intensities import INVERT, SUBTRACT
from datasets.audit.placement import FLIP
from datasets.audit.values import RENUMBER, ROUND
from datasets.errors import ConfigError
from datasets.example import Example, InstanceTruth, MaskTruth
from datasets.image import Array, Image, Intensity
from datasets.io.atomic import atomic_path
from datasets.io.nifti import SUFFIXES, read_nifti, write_nifti
from datasets.io.picture import read_picture
from datasets.resampling import reorient

_PNG = (".png",)
_OFFSET_HU = 1024


@dataclass(frozen=True)
class Files:
    """Where the files of a case lie in the copy.

    Attributes:
        image: Of its first series; None where it is no file of its own.
        others: Of its further series.
        labels: Its label map; None where it has none of its own.
        names: What values mean.
    """

    image: Path | None
    others: tuple[Path, ...]
    labels: Path | None
    names: Mapping[int, str]


def files_in_copy(example: Example, root: Path, out: Path) -> Files:
    """The files of an example, in the copy.

    Args:
        example: Read from the original.
        root: The original dataset's folder.
        out: The copy's.
    """
    truth = example.truth
    labels = truth.read if isinstance(truth, MaskTruth | InstanceTruth) else None
    images = [_copied(files_of(series.read), root, out) for series in example.study.series]
    names = truth.names if isinstance(truth, MaskTruth) else {}
    others = tuple(dict.fromkeys(path for path in images[1:] if path is not None and path != images[0]))
    return Files(images[0] if images else None, others, _copied(files_of(labels), root, out), names)


def mend(fix: str, files: Files) -> str:
    """Apply a fix to a case of the copy.

    Returns:
        What was done, in words.

    Raises:
        ConfigError: The case's files are not of a kind this fix can write.
        InputRefused: A file cannot be read.
    """
    if fix.startswith(FLIP):
        return _flip(files, tuple("ijk".index(axis) for axis in fix.removeprefix(FLIP)))
    known: dict[str, Callable[[Files], str]] = {
        COPY_GRID: _copy_grid,
        REORIENT: _reorient,
        ROUND: _round,
        RENUMBER: _renumber,
        SUBTRACT: _subtract,
        INVERT: _invert,
    }
    if fix not in known:
        raise ConfigError(f"a fix such as {', '.join(known)}", repr(fix), "choose one that the audit names")
    return known[fix](files)


def _copied(files: tuple[Path, ...], root: Path, out: Path) -> Path | None:
    if len(files) != 1 or not files[0].is_relative_to(root):
        return None
    return out / files[0].relative_to(root)


def _copy_grid(files: Files) -> str:
    path, labels = _read_labels(files, SUFFIXES)
    grid = _read_image(files).grid
    write_nifti(Image(labels.array, labels.intensity, grid.affine), path)
    return "the labels got the image's header"


def _reorient(files: Files) -> str:
    path, labels = _read_labels(files, SUFFIXES)
    grid = _read_image(files).grid
    turned = reorient(labels, grid.orientation)
    if not grid.matches(turned.grid, 0.05 * min(grid.spacing_mm)):
        raise ConfigError("labels in the image's places", "labels elsewhere", "export them again")
    write_nifti(Image(turned.array, turned.intensity, grid.affine), path)
    return f"the labels were stored with axes {grid.orientation}"


def _flip(files: Files, axes: tuple[int, ...]) -> str:
    _relabel(files, lambda array: np.flip(array, tuple(axis + 1 for axis in axes)))
    return f"the labels were mirrored along {' and '.join('ijk'[axis] for axis in axes)}"


def _round(files: Files) -> str:
    _relabel(files, lambda array: (array >= 0.5).astype(np.uint8))
    return "values from 0.5 on became 1, others 0"


def _renumber(files: Files) -> str:
    if len(files.names) != 1:
        raise ConfigError("one label", f"{len(files.names)}", "relabel by hand")
    (value,) = files.names
    _relabel(files, lambda array: np.where(array != 0, value, 0).astype(np.int32))
    return f"all that was not 0 became {value}"


def _subtract(files: Files) -> str:
    if files.image is None or not files.image.name.endswith(SUFFIXES):
        raise ConfigError("an image in NIfTI", f"{files.image and files.image.name}", "convert the source again")
    image = _read_image(files)
    write_nifti(image.like(_as_signed(image.array) - _OFFSET_HU), files.image)
    return f"{_OFFSET_HU} was subtracted from the image"


def _invert(files: Files) -> str:
    if files.image is None or files.image.suffix.lower() not in _PNG:
        raise ConfigError("a picture in PNG", f"{files.image and files.image.name}", "export the film again")
    array = read_picture(files.image).image.array
    # What a picture of this depth can hold, not what this one does: inverting twice gives it back.
    _write_png(files.image, np.iinfo(array.dtype).max - array)
    return "black and white were exchanged"


def _relabel(files: Files, change: Callable[[Array], Array]) -> None:
    path, labels = _read_labels(files, (*SUFFIXES, *_PNG))
    array = change(labels.array)
    if path.name.endswith(SUFFIXES):
        write_nifti(Image(array, Intensity.LABEL, labels.affine), path)
    else:
        _write_png(path, array.astype(labels.array.dtype))


def _read_labels(files: Files, suffixes: tuple[str, ...]) -> tuple[Path, Image]:
    path = files.labels
    if path is None or not path.name.lower().endswith(suffixes):
        got = "labels that are no file of their own" if path is None else path.name
        raise ConfigError(f"labels in a file ({', '.join(suffixes)})", got, "put the case right by hand")
    image = read_nifti(path, Intensity.LABEL) if path.name.endswith(SUFFIXES) else read_picture(path)
    return path, image.image


def _read_image(files: Files) -> Image:
    if files.image is None or not files.image.name.endswith(SUFFIXES):
        got = "an image that is no file of its own" if files.image is None else files.image.name
        raise ConfigError("an image in NIfTI", got, "put the case right by hand")
    return read_nifti(files.image).image


def _as_signed(array: Array) -> Array:
    return array if array.dtype.kind == "f" else array.astype(np.int32)


def _write_png(path: Path, array: Array) -> None:
    """Write (C, I, J, 1) of uint8 or uint16."""
    rows = np.ascontiguousarray(array[..., 0].transpose(2, 1, 0))
    with atomic_path(path) as temporary:
        Pillow.fromarray(rows[..., 0] if rows.shape[2] == 1 else rows).save(temporary, format="PNG")
