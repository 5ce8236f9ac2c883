"""Labelled patches of stained tissue by the rule of PatchCamelyon, out of many slides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.errors import ConfigError
from datasets.phantoms.patient import Rng
from datasets.phantoms.slide import SlidePhantom, slide_phantom

# 96 px at 10x, labelled by the 32 px in the middle (Veeling et al., MICCAI 2018).
SIZE_PX, CENTRE_PX, MPP = 96, 32, 0.97
_SLIDE_UM = (4000.0, 3000.0)
_PER_SLIDE = 4
_TRIES = 200


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches and what is known about them.

    Attributes:
        pixels: uint8 (count, size, size, 3), red, green, blue.
        labels: uint8 (count,), 1 where the centre of any of the central 32 x 32 pixels lies in tumour.
        slides: int64 (count,), seeds of the slides they are from, for splits by slide.
        corners_um: float64 (count, 2), upper left corners (x, y) on those slides.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    slides: NDArray[np.int64]
    corners_um: NDArray[np.float64]


def slide_patches(count: int, seed: int, *, mpp: float = MPP, size_px: int = SIZE_PX) -> Patches:
    """Draw patches, every second one with tumour, four from a slide.

    Args:
        count: Number of patches; 0 gives empty arrays.
        seed: Non-negative; the slides of one seed are not those of another.
        mpp: Edge of a pixel in um.
        size_px: Edge of a patch, at least 32.

    Returns:
        In an order without meaning: labels alternate, so that every run of patches is balanced.

    Raises:
        ConfigError: The patches are smaller than what labels them.
    """
    if size_px < CENTRE_PX or count < 0:
        raise ConfigError(f"at least {CENTRE_PX} px, 0 patches", f"{size_px} px, {count} patches", "ask for more")
    patches = Patches(
        np.empty((count, size_px, size_px, 3), dtype=np.uint8),
        np.arange(count).astype(np.uint8) % 2,
        (seed * 1_000_003 + np.arange(count) // _PER_SLIDE).astype(np.int64),
        np.empty((count, 2)),
    )
    slide, current = slide_phantom(0, _SLIDE_UM), -1
    for number, slide_seed in enumerate(patches.slides.tolist()):
        if slide_seed != current:
            slide, current = slide_phantom(slide_seed, _SLIDE_UM), slide_seed
        rng = np.random.default_rng((seed, 40, number))
        x, y = _corner(slide, rng, bool(patches.labels[number]), mpp, size_px)
        patches.corners_um[number] = x, y
        patches.pixels[number] = slide.read(x, y, size_px, size_px, mpp)
    return patches


def patch_label(slide: SlidePhantom, x_um: float, y_um: float, *, mpp: float = MPP, size_px: int = SIZE_PX) -> int:
    """The label of a patch: 1 where the centre of any of its central 32 x 32 pixels lies in tumour, else 0.

    Args:
        slide: Where it is from.
        x_um: Its left edge.
        y_um: Its upper edge.
        mpp: Edge of a pixel in um.
        size_px: Edge of the patch.
    """
    middle = (np.arange(CENTRE_PX) + (size_px - CENTRE_PX) // 2 + 0.5) * mpp
    columns, rows = np.asarray(x_um + middle, dtype=np.float64), np.asarray(y_um + middle, dtype=np.float64)
    return int(slide.is_tumor(columns[None, :], rows[:, None]).any())


def _corner(slide: SlidePhantom, rng: Rng, tumor: bool, mpp: float, size_px: int) -> tuple[float, float]:
    """A corner of a patch with the label asked for, its middle on tissue."""
    half, shift = size_px * mpp / 2, CENTRE_PX * mpp / 2
    regions = slide.tumor_regions if tumor else slide.tissue_regions
    areas = np.array([region.area_um2 for region in regions])
    for _ in range(_TRIES):
        region = regions[int(rng.choice(len(regions), p=areas / areas.sum()))]
        offset = region.reach_um * rng.uniform(-1, 1, 2)
        x, y = region.centre_um[0] + offset[0], region.centre_um[1] + offset[1]
        if not region.contains(np.array([x]), np.array([y]))[0]:
            continue
        if tumor:
            # The tumour may be anywhere in the central square, also at its rim.
            x, y = np.array((x, y)) + rng.uniform(-shift, shift, 2)
        if patch_label(slide, x - half, y - half, mpp=mpp, size_px=size_px) == tumor:
            return float(x - half), float(y - half)
    raise ConfigError("room for a patch", f"none in {_TRIES} tries on slide {slide.seed}", "use another seed")
