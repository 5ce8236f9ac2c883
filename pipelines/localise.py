"""Where an organ is, roughly: a small network looks at the whole scan on a coarse grid, and the task's own network,
which is large and slow, then looks at the part it points at.

H-DenseUNet's published inference takes that part from a liver mask that another, unpublished network had made, a file
beside every scan. Here nothing is needed from outside: network, weights, grid and margin stand in the task's YAML.
A box that is too large costs time, one that is too small costs a piece of the organ; hence a low threshold, a wide
margin, and a flag where the organ that is found in the end reaches the edge of the box.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from datasets.box import Box, bounding_box
from datasets.geometry import Grid
from datasets.image import Image
from pipelines.examination import Compute
from pipelines.loaded_network import LoadedNetwork, load_network
from pipelines.localise_settings import Localisation, slice_context
from pipelines.regions import Mask, components_by_size
from pipelines.results import FlagCode, QualityFlag
from pipelines.sliding_window import LogitStream, StreamOptions
from pipelines.tensors import as_tensor
from pipelines.windows import WindowSettings

# Slices per call of a 2D network; coarse ones are small.
_BATCH = 8
# Of a voxel: affines come from decimal numbers in files, and a face that meets a voxel's face does not reach into it.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Searched:
    """What is looked at closely.

    Attributes:
        image: The prepared image, or the part of it in the box.
        box: Its place in the whole prepared image; None where everything is searched.
        whole: The grid of the whole; None where no coarse look was asked for.
    """

    image: Image
    box: Box | None = None
    whole: Grid | None = None

    def flags(self, found: Image | None) -> tuple[QualityFlag, ...]:
        """What a reader should know of it.

        Args:
            found: The label map that came of it, on any grid; None for tasks without one.
        """
        if self.whole is None:
            return ()
        if self.box is None:
            message = "the coarse network found nothing of the organ; the whole scan was searched"
            return (QualityFlag(code=FlagCode.NOT_LOCALISED, severity="warning", message=message),)
        part = self.image.grid
        size = " x ".join(f"{n * step:.0f}" for n, step in zip(part.shape, part.spacing_mm, strict=True))
        centre = ", ".join(f"{at:.0f}" for at in part.points_mm((np.asarray(part.shape) - 1) / 2))
        share = np.prod(part.shape) / np.prod(self.whole.shape)
        message = f"a box of {size} mm around ({centre}) mm RAS was searched, {share:.0%} of the scan"
        told = QualityFlag(code=FlagCode.LOCALISED, severity="info", message=message)
        if found is None or not _reaches(found, self.box, self.whole):
            return (told,)
        message = "the organ reaches the edge of the box that was searched: search it all with --set localise=null"
        return told, QualityFlag(code=FlagCode.BOX_REACHED, severity="warning", message=message)


@dataclass(frozen=True)
class Localiser:
    """A coarse look with its network.

    Attributes:
        localisation: What to do.
        loaded: The coarse network.
        compute: Where it runs.
    """

    localisation: Localisation
    loaded: LoadedNetwork
    compute: Compute

    @classmethod
    def load(cls, localisation: Localisation, compute: Compute) -> "Localiser":
        """Build the coarse network and load its weights.

        Raises:
            WeightsError: The weights are not there or do not fit the network.
        """
        settings = localisation.settings
        return cls(localisation, load_network(settings.network, settings.weights, compute), compute)

    def crop(self, prepared: Image, image: Image) -> Searched:
        """Cut the organ's part out of a prepared image; all of it where no organ was seen.

        Args:
            prepared: As the task's own network takes it.
            image: The scan as it was read.
        """
        whole = prepared.grid
        box = self.box_of(image, whole)
        if box is None:
            return Searched(prepared, None, whole)
        part = Image(prepared.array[:, *box], prepared.intensity, whole.cropped(box).affine)
        return Searched(part, box, whole)

    def box_of(self, image: Image, grid: Grid) -> Box | None:
        """The part of a grid in which the organ lies, with room around it.

        Args:
            image: The scan as it was read.
            grid: Any grid over the same patient; the task's own as a rule.

        Returns:
            Starts and stops along the grid's axes, clipped to it, or None where no organ was seen on it.

        Raises:
            InputRefused: The scan cannot be prepared.
            WeightsError: The network gives NaN.
        """
        coarse = self.localisation.prepare(image)
        settings = self.localisation.settings
        organ = large_regions(self._organ(coarse), settings.min_share)
        return box_around(organ, coarse.grid, settings.margin_mm, grid)

    def _organ(self, coarse: Image) -> Mask:
        """Where the network sees the organ, (I, J, K)."""
        network = self.localisation.settings.network
        stream = LogitStream(
            as_tensor(coarse),
            self.loaded.network,
            WindowSettings((None,) * network.spatial_dims, batch=_BATCH, context=slice_context(network)),
            classes=network.out_channels,
            options=StreamOptions(device=torch.device(self.compute.device), precision=self.compute.precision),
        )
        frames = np.zeros(coarse.shape[::-1], dtype=np.bool_)
        for slab in stream:
            elsewhere = torch.softmax(slab.logits, dim=0)[0]  # (n, H, W)
            frames[slab.start : slab.stop] = (1.0 - elsewhere >= self.localisation.settings.threshold).cpu().numpy()
        return frames.transpose(2, 1, 0)


def large_regions(mask: Mask, min_share: float) -> Mask:
    """Keep the largest connected region and all that have at least this share of its voxels.

    A single bad slice can cut an organ in two, and neither part is noise. An empty mask stays empty.
    """
    numbers, _ = components_by_size(mask)
    sizes = np.bincount(numbers.ravel(), minlength=2)
    large = sizes >= min_share * sizes[1]
    large[0] = False
    return np.asarray(large[numbers] & mask)


def box_around(mask: Mask, coarse: Grid, margin_mm: ArrayLike, grid: Grid) -> Box | None:
    """The box on another grid that holds everything of a mask, and a margin.

    Args:
        mask: (I, J, K), on `coarse`.
        coarse: Where the mask lies.
        margin_mm: Room beyond the outer faces of the mask's outermost voxels, square to the faces, per axis of
            `coarse`.
        grid: Where the box is wanted. Where it lies askew, the box holds the corners of the askew one.

    Returns:
        The voxels of `grid` that the box touches, clipped to the grid; None for an empty mask, or one that lies
        wholly off the grid.
    """
    found = bounding_box(mask)
    if found is None:
        return None
    # How far an index moves per millimetre square to the faces; for perpendicular axes, one over the spacing.
    per_mm = np.linalg.norm(np.linalg.inv(coarse.affine[:3, :3]), axis=1)
    room = np.asarray(margin_mm, dtype=np.float64) * per_mm
    low = np.array([part.start for part in found]) - 0.5 - room
    high = np.array([part.stop for part in found]) - 0.5 + room
    first, last = _span(coarse, low, high, grid)
    starts = np.maximum(np.floor(first + 0.5 + _TOLERANCE).astype(int), 0)
    stops = np.minimum(np.ceil(last + 0.5 - _TOLERANCE).astype(int), grid.shape)
    if (starts >= stops).any():
        return None
    i, j, k = (slice(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True))
    return i, j, k


def _reaches(found: Image, box: Box, whole: Grid) -> bool:
    """Whether a label map comes within a voxel of a face of the box that is not an edge of the scan."""
    extent = bounding_box(found.array[0])
    if extent is None:
        return False
    low, high = np.array([(part.start - 0.5, part.stop - 0.5) for part in extent]).T
    first, last = _span(found.grid, low, high, whole)
    # Of the larger ones of both grids' voxels.
    near = np.maximum(1.0, max(found.grid.spacing_mm) / np.asarray(whole.spacing_mm))
    start, stop = np.array([(part.start, part.stop) for part in box]).T
    at_low = (start > 0) & (first + 0.5 < start + near)
    at_high = (stop < whole.shape) & (last + 0.5 > stop - near)
    return bool((at_low | at_high).any())


def _span(source: Grid, low: ArrayLike, high: ArrayLike, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smallest and largest indices in `grid` of the corners of a box given by indices in `source`."""
    corners = np.array(list(product(*np.stack((low, high), axis=1))))
    at = grid.indices(source.points_mm(corners))
    return at.min(axis=0), at.max(axis=0)
