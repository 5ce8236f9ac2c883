"""Label maps from DICOM objects, on the grid of the series they were drawn on."""

from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from datasets.box import bounding_box
from datasets.codes import RefusalCode
from datasets.dicom_source import Plane
from datasets.errors import InputRefused
from datasets.geometry import Grid, lps_from_ras, ras_from_lps
from datasets.image import Image, Intensity
from datasets.io.dicom.instance import lenient
from datasets.io.dicom_seg_reader import read_dicom_seg
from datasets.io.rtstruct import read_rtstruct, roi_mask
from datasets.layouts._overlaps import painted, region
from datasets.plane_sampling import labels_on_planes

# Voxels by which a segmentation may stick out of its image: rounding, and what rectifying a tilted series moves.
_BEYOND_VOXELS = 1.5
_MOST_SEGMENTS = 255


@dataclass(frozen=True, eq=False)
class Segmentations:
    """Reads the label map of DICOM SEG objects that do not overlap; picklable.

    Attributes:
        paths: The objects. Segments count on from object to object, in the order of their numbers.
        grid: Of the series.
    """

    paths: tuple[Path, ...]
    grid: Grid

    def __call__(self) -> Image:
        """The label map, (1, I, J, K) uint8, on the series' grid.

        Segments of one object that overlap are painted as `_overlaps.painted` says.

        Raises:
            InputRefused: An object is damaged or lies elsewhere (`different_grids`), or regions overlap.
        """
        merged = np.zeros(self.grid.shape[::-1], np.uint8)
        before = 0
        for path in self.paths:
            with lenient():
                labels, segments = _segments(path)
            if before + segments > _MOST_SEGMENTS:
                raise _refused(f"at most {_MOST_SEGMENTS} segments", f"{before + segments} up to {path.name}")
            frames = _on_grid(labels, self.grid, path)
            shared = int(np.count_nonzero((merged > 0) & (frames > 0)))
            if shared:
                raise _refused("objects that do not overlap", f"{shared} voxels of {path.name} in others as well")
            merged[frames > 0] = frames[frames > 0] + np.uint8(before)
            before += segments
        return Image.from_slices(merged, Intensity.LABEL, self.grid.affine)


@dataclass(frozen=True, eq=False)
class Structures:
    """Reads the label map of an RT Structure Set; picklable.

    Attributes:
        path: The object. Regions with closed outlines count from 1 in the order of their numbers.
        grid: Of the series.
    """

    path: Path
    grid: Grid

    def __call__(self) -> Image:
        """The label map, (1, I, J, K) of uint8 or uint16, on the series' grid.

        Raises:
            InputRefused: The object is damaged, outlines lie beside the slices, or regions overlap.
        """
        rois = read_rtstruct(self.path).rois
        found = (region(value, roi.name, roi_mask(roi, self.grid)) for value, roi in enumerate(rois, start=1))
        i, j, k = self.grid.shape
        labels = painted([one for one in found if one is not None], (k, j, i))
        return Image.from_slices(labels, Intensity.LABEL, self.grid.affine)


def _segments(path: Path) -> tuple[Image, int]:
    """The label map of an object on its own grid, and the number of its segments."""
    content = read_dicom_seg(path)
    segments = len(content.label_set.labels)
    if segments > _MOST_SEGMENTS:
        raise _refused(f"at most {_MOST_SEGMENTS} segments", f"{segments} in {path.name}")
    if not content.overlap_voxels:
        return content.labels, segments
    # Which segment lies on top must not depend on their numbers: each is read as a mask of its own.
    try:
        theirs = hd.seg.segread(str(path))
        numbers = sorted(int(number) for number in theirs.segment_numbers)
        volumes = [theirs.get_volume(segment_numbers=[number]) for number in numbers]
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise _refused("segments that can be told apart", f"{type(error).__name__} in {path.name}") from error
    found = [
        region(value, name, np.asarray(volume.array[..., 0]) > 0)
        for (value, name), volume in zip(enumerate(content.label_set.names, start=1), volumes, strict=True)
    ]
    i, j, k = volumes[0].array.shape[:3]
    labels = painted([one for one in found if one is not None], (i, j, k))
    affine = ras_from_lps(volumes[0].affine)
    # Their axes are (slice, row, column); ours count the other way round.
    return Image.from_slices(labels, Intensity.LABEL, affine[:, [2, 1, 0, 3]]), segments


def _on_grid(labels: Image, grid: Grid, path: Path) -> NDArray[np.uint8]:
    """A label map on a series' grid, (K, J, I)."""
    box = bounding_box(labels.array[0])
    if box is not None:
        corners = np.array(np.meshgrid(*[(part.start, part.stop - 1) for part in box])).reshape(3, -1).T
        index = grid.indices(labels.grid.points_mm(corners))
        beyond = float(np.max([-index.min(axis=0), index.max(axis=0) - (np.asarray(grid.shape) - 1)]))
        if beyond > _BEYOND_VOXELS:
            raise _refused("segments within their image", f"{path.name}, which lies {beyond:.1f} voxels beside it")
    return labels_on_planes(labels, _planes(grid))


def _planes(grid: Grid) -> list[Plane]:
    """The slices of a grid as frames."""
    lps = Grid(grid.shape, lps_from_ras(grid.affine))
    columns, rows, slices = grid.shape
    return [
        Plane(
            instance=k,
            frame=1,
            position_mm=lps.points_mm((0, 0, k)),
            along_row=lps.direction[:, 0],
            along_column=lps.direction[:, 1],
            spacing_mm=(lps.spacing_mm[1], lps.spacing_mm[0]),
            size=(rows, columns),
        )
        for k in range(slices)
    ]


def _refused(expected: str, got: str) -> InputRefused:
    return InputRefused(
        RefusalCode.DIFFERENT_GRIDS,
        expected,
        got,
        "check that the objects belong to this series, and export them again",
    )
