"""Files of images and label maps, whatever their kind: a series from its header, a label map on demand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Array, Image, Intensity
from datasets.io.file_studies import file_studies, stem
from datasets.io.nifti import SUFFIXES as NIFTI_SUFFIXES
from datasets.io.nifti import read_header, read_nifti
from datasets.io.picture import SUFFIXES as PICTURE_SUFFIXES
from datasets.io.picture import read_picture_header
from datasets.layouts._nifti_channels import ChannelReader, ChannelsHeader, read_channels_header
from datasets.layouts._other_volumes import (
    ITK_SUFFIXES,
    TIFF_SUFFIXES,
    read_itk,
    read_itk_header,
    read_tiff,
    read_tiff_header,
)
from datasets.layouts._values import check_whole, held
from datasets.study import Series

__all__ = ["IMAGE_SUFFIXES", "LABEL_SUFFIXES", "LabelFile", "check_label_header", "image_series", "stem", "visible"]

# A label map in a lossy format is none: values would be made up along every boundary.
LABEL_SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES, ".png", *TIFF_SUFFIXES)
IMAGE_SUFFIXES = (*LABEL_SUFFIXES, ".jpg", ".jpeg")

_CT = "ct"
_PICTURE_BROKEN = (OSError, SyntaxError, ValueError, IndexError, EOFError, Pillow.DecompressionBombError)


def visible(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Files of a folder with one of the endings, by name; hidden ones ("._x.nii.gz" of a Mac) are passed over."""
    endings = tuple(suffixes)
    return sorted(f for f in folder.iterdir() if not f.name.startswith(".") and f.name.lower().endswith(endings))


def image_series(path: Path, uid: str, names: Sequence[str] = ()) -> tuple[Series, ...]:
    """The series in a file: one, or one for every channel of a NIfTI with a fourth axis.

    Args:
        path: An image; its ending says its kind.
        uid: Of the series; further channels count "_0001", "_0002" behind it.
        names: What the dataset calls the channels in this file, "CT" or "FLAIR"; none where it does not say. "CT", and
            nothing at all, mean Hounsfield units, as `datasets.io.discover` takes NIfTI files; any other name grey.

    Raises:
        InputRefused: What the header shows already.
    """
    first = names[0] if names else ""
    lowered = path.name.lower()
    if lowered.endswith(NIFTI_SUFFIXES):
        return _nifti_series(path, uid, names)
    if lowered.endswith(PICTURE_SUFFIXES):
        (study,) = file_studies(path, str(path))
        if study.refusal is not None:
            raise study.refusal
        return (replace(study.series[0], uid=uid, name=first),)
    if lowered.endswith(ITK_SUFFIXES):
        read = partial(read_itk, path, _intensity(first))
        description = lowered.rpartition(".")[2].upper()
        return (_named(Series(uid, "", description, 0, read_itk_header(path), (), None, read), first),)
    if lowered.endswith(TIFF_SUFFIXES):
        header = read_tiff_header(path)
        images = header.shape[0] if len(header.shape) == 3 and not header.is_colour else 1
        read = partial(read_tiff, path, _intensity(first) if header.grid else Intensity.GREY)
        return (_named(Series(uid, "", "TIFF", images, header.grid, header.repairs, None, read), first),)
    raise _unknown_kind(path)


@dataclass(frozen=True)
class LabelFile:
    """Reads a label map; picklable.

    Attributes:
        path: The file.
        from_255: Whether a map with no other value than 0 and 255 is one of 0 and 1, as painting programs save masks.
    """

    path: Path
    from_255: bool = False

    def __call__(self) -> Image:
        """The label map, (1, I, J, K) of integers, on its own grid.

        Raises:
            InputRefused: The file is damaged, or its values are not whole numbers.
        """
        image = _label_image(self.path)
        check_whole(image.array, str(self.path))
        if self.from_255 and image.array.max() == 255 and bool(np.isin(image.array, (0, 255)).all()):
            return image.like((image.array // 255).astype(np.uint8))
        return image


def check_label_header(path: Path) -> None:
    """Refuse what the header of a label map shows to be unusable.

    Raises:
        InputRefused: As the readers of its kind.
    """
    lowered = path.name.lower()
    if lowered.endswith(NIFTI_SUFFIXES):
        read_header(path)
    elif lowered.endswith(".png"):
        read_picture_header(path)
    elif lowered.endswith(ITK_SUFFIXES):
        read_itk_header(path)
    elif lowered.endswith(TIFF_SUFFIXES):
        read_tiff_header(path)
    else:
        raise _unknown_kind(path)


def _nifti_series(path: Path, uid: str, names: Sequence[str]) -> tuple[Series, ...]:
    first = names[0] if names else ""
    try:
        header = read_header(path)
    except InputRefused as refusal:
        if refusal.code is not RefusalCode.UNSUPPORTED_DIMENSIONS:
            raise
        return _channel_series(path, uid, names, read_channels_header(path))
    read = partial(read_nifti, path, _intensity(first))
    images = header.grid.shape[2]
    return (_named(Series(uid, "", "NIfTI", images, header.grid, header.repairs, None, read), first),)


def _channel_series(path: Path, uid: str, names: Sequence[str], header: ChannelsHeader) -> tuple[Series, ...]:
    told = tuple(names) if len(names) == header.channels else ("",) * header.channels
    series = []
    for number, name in enumerate(told):
        # Several volumes in one file are no CT with its Hounsfield units unless somebody says so.
        read = ChannelReader(path, number, Intensity.GREY if not name else _intensity(name))
        what = f"NIfTI, channel {number + 1} of {header.channels}"
        one = Series(f"{uid}_{number:04d}", "", what, header.grid.shape[2], header.grid, header.repairs, None, read)
        series.append(_named(one, name))
    return tuple(series)


def _named(series: Series, name: str) -> Series:
    images = series.images or (series.grid.shape[2] if series.grid else 1)
    return replace(series, name=name, images=images, modality="CT" if name.strip().lower() == _CT else "")


def _intensity(name: str) -> Intensity:
    return Intensity.HOUNSFIELD if name.strip().lower() in ("", _CT) else Intensity.GREY


def _label_image(path: Path) -> Image:
    lowered = path.name.lower()
    if lowered.endswith(NIFTI_SUFFIXES):
        return read_nifti(path, Intensity.LABEL).image
    if lowered.endswith(ITK_SUFFIXES):
        return read_itk(path, Intensity.LABEL).image
    if lowered.endswith(TIFF_SUFFIXES):
        image = read_tiff(path, Intensity.LABEL).image
        return image if image.channels == 1 else Image(_grey(image.array, path), Intensity.LABEL, image.affine)
    if lowered.endswith(".png"):
        return _label_picture(path)
    raise _unknown_kind(path)


def _label_picture(path: Path) -> Image:
    """Numbers as they are stored: of a palette the indices, of colours that are greys one of them."""
    read_picture_header(path)
    try:
        with Pillow.open(path, formats=("PNG",)) as picture:
            values: Array = np.asarray(picture)
            has_alpha = picture.mode in ("LA", "RGBA", "PA")
    except _PICTURE_BROKEN as error:
        raise InputRefused(
            RefusalCode.TRUNCATED_FILE, "a whole PNG picture", f"{type(error).__name__} in {path}", "copy it again"
        ) from error
    planes = values[..., np.newaxis] if values.ndim == 2 else values
    planes = np.ascontiguousarray(planes[..., :-1] if has_alpha else planes)
    array = _grey(planes.transpose(2, 1, 0)[..., np.newaxis], path)
    return Image(held(array, Intensity.LABEL, str(path)), Intensity.LABEL)


def _grey(array: Array, path: Path) -> Array:
    """One channel of several (C, I, J, K) that are equal."""
    if not bool((array == array[:1]).all()):
        raise InputRefused(
            RefusalCode.UNREADABLE_FILE, "one number per pixel", f"colours in {path}", "write labels as grey values"
        )
    return array[:1]


def _unknown_kind(path: Path) -> InputRefused:
    return InputRefused(
        RefusalCode.UNREADABLE_FILE,
        f"a file that ends in one of {', '.join(IMAGE_SUFFIXES)}; label maps not in JPEG, which changes their values",
        str(path),
        "convert it",
    )
