"""NIfTI files for tests: written by nibabel, and broken at chosen places of the header."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from datasets.errors import InputRefused
from datasets.io.nifti import read_nifti

# The second line: where fields stand in the header.
OBLIQUE = np.array([[0.78, 0.1, 0.2, -40.0], [-0.09, 0.8, 0.3, 12.5], [-0.05, -0.15, 2.9, 700.0], [0, 0, 0, 1.0]])
DIM, DATATYPE, PIXDIM, VOX_OFFSET, MAGIC, XYZT = 40, 70, 76, 108, 344, 123


def ramp(dtype: Any, shape: tuple[int, ...] = (5, 4, 3)) -> Any:
    """Every voxel another number."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def save(path: Path, array: Any, affine: Any = OBLIQUE, **header: Any) -> Path:
    image = nib.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    for key, value in header.items():
        image.header[key] = value
    nib.save(image, path)
    return path


def refused(path: Path) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        read_nifti(path)
    assert str(path) in caught.value.got
    return caught.value


def patched(path: Path, offset: int, content: bytes) -> Path:
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(content)] = content
    path.write_bytes(raw)
    return path
