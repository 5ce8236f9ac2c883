"""NIfTI files with several volumes on one grid (BRATS in the Medical Segmentation Decathlon), read volume by volume.

Geometry follows the rules of `datasets.io.nifti_header`; the header is handed to it as that of a single volume.
"""

import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from datasets.codes import RefusalCode, Repair
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.nifti_header import parse_header, truncated, unreadable
from datasets.layouts._values import held
from datasets.study import Loaded

_BROKEN = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error)
_MOST_CHANNELS = 64


@dataclass(frozen=True)
class ChannelsHeader:
    """What a file of several volumes says.

    Attributes:
        grid: Of each volume.
        channels: Number of volumes, at least 2.
        repairs: What about the geometry was decided.
    """

    grid: Grid
    channels: int
    repairs: tuple[Repair, ...]


@dataclass(frozen=True)
class ChannelReader:
    """Reads one volume of such a file; picklable.

    Attributes:
        path: The file.
        channel: Which volume, from 0.
        intensity: What its numbers mean.
    """

    path: Path
    channel: int
    intensity: Intensity

    def __call__(self) -> Loaded:
        """The volume as (1, I, J, K).

        Raises:
            InputRefused: As `read_channels_header`, and `truncated_file`, `not_finite`.
        """
        header, image = _opened(self.path)
        index = (slice(None), slice(None), slice(None), *np.unravel_index(self.channel, image.shape[3:]))
        try:
            values = np.asarray(image.dataobj[index])
        except _BROKEN as error:
            raise truncated(self.path, f"{type(error).__name__}: {error}") from error
        slices = np.ascontiguousarray(held(values, self.intensity, str(self.path)).transpose(2, 1, 0))
        return Loaded(Image.from_slices(slices, self.intensity, header.grid.affine), header.repairs)


def read_channels_header(path: Path) -> ChannelsHeader:
    """Read the header of a NIfTI file whose fourth (or, as ITK writes vectors, fifth) axis counts channels.

    Raises:
        InputRefused: `unreadable_file`, `unsupported_dimensions` (no or too many channels, more axes),
            `missing_orientation`, `no_spacing`.
    """
    return _opened(path)[0]


def _opened(path: Path) -> tuple[ChannelsHeader, Any]:
    try:
        image: Any = nib.load(path)
        header = image.header.copy()
        shape = tuple(int(n) for n in image.shape)
        header.set_data_shape(shape[:3])
        block = header.binaryblock
    except _BROKEN as error:
        raise unreadable(path, f"{type(error).__name__}: {error}") from error
    channels = math.prod(shape[3:])
    if sum(n > 1 for n in shape[3:]) != 1 or not 2 <= channels <= _MOST_CHANNELS:
        raise InputRefused(
            RefusalCode.UNSUPPORTED_DIMENSIONS,
            f"volumes on one grid, at most {_MOST_CHANNELS} of them",
            f"the shape {shape} in {path}",
            "write one file per channel",
        )
    single = parse_header(io.BytesIO(block), path)
    return ChannelsHeader(single.grid, channels, single.repairs), image
