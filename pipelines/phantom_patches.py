"""Patches of phantom slides with their truth, for training and for checks, cut from blocks drawn beforehand."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.phantoms import SlidePhantom, slide_phantom
from datasets.phantoms.slide_patches import CENTRE_PX, MPP, SIZE_PX
from pipelines.histology.light import Pixels
from pipelines.histology.settings import StainReference, StainSettings
from pipelines.histology.stain import StainNormaliser, Stains, estimate_stains

# Patches of a block lie anywhere in it.
_BLOCK_PX, _BLOCKS = 288, 10
_SIZE_UM = (5000.0, 4000.0)
_ARTIFACTS = ("pen", "fold", "blur", "bubble")
_SHARE_SPOILT = 0.3
# Where blocks lie: about the outline of a tumour, in one, and the rest anywhere in tissue.
_ON_OUTLINES, _IN_TUMORS = 4, 2
_TRIES = 200
_MARGIN_PX = (SIZE_PX - CENTRE_PX) // 2


@dataclass(frozen=True, eq=False)
class Blocks:
    """Parts of a slide, all of one size.

    Attributes:
        plain: (B, P, P, 3) uint8, RGB at 0.97 um per pixel.
        normalised: The same with the slide's stains brought to the reference.
        tumor: (B, P, P), whether the middle of a pixel lies in tumour.
    """

    plain: Pixels
    normalised: Pixels
    tumor: NDArray[np.bool_]


def drawn_slide(seed: int, size_um: tuple[float, float] = _SIZE_UM) -> SlidePhantom:
    """The phantom slide of a seed; some are spoilt by a pen, a fold, a blur or a bubble."""
    rng = np.random.default_rng((seed, 8))
    spoilt = rng.random() < _SHARE_SPOILT
    return slide_phantom(seed, size_um, artifacts=(str(rng.choice(_ARTIFACTS)),) if spoilt else ())


def draw_blocks(seed: int) -> Blocks:
    """Draw parts of one slide where there is something to learn."""
    torch.set_num_threads(1)  # A process of its own, one of several.
    rng, slide = np.random.default_rng((seed, 9)), drawn_slide(seed)
    edge_um = _BLOCK_PX * MPP
    plain = np.empty((_BLOCKS, _BLOCK_PX, _BLOCK_PX, 3), np.uint8)
    tumor = np.empty(plain.shape[:3], np.bool_)
    within = (np.arange(_BLOCK_PX) + 0.5) * MPP
    for number, (x_um, y_um) in enumerate(_places(slide, rng)):
        left, top = x_um - edge_um / 2, y_um - edge_um / 2
        plain[number] = slide.read(left, top, _BLOCK_PX, _BLOCK_PX, MPP)
        columns_um, rows_um = (np.asarray(edge + within, dtype=np.float64) for edge in (left, top))
        tumor[number] = slide.is_tumor(columns_um[np.newaxis, :], rows_um[:, np.newaxis])
    return Blocks(plain, normalised(plain, slide), tumor)


def normalised(plain: Pixels, slide: SlidePhantom) -> Pixels:
    """Blocks with their stains as the reference has them, as estimated from the blocks; as they are where none is."""
    settings = StainSettings()
    stains = estimate_stains(plain.reshape(-1, 3)[::7], slide.stain.glass.astype(np.float64), settings)
    return plain if stains is None else StainNormaliser.of(stains, Stains.of(StainReference()))(plain)


def _places(slide: SlidePhantom, rng: np.random.Generator) -> Iterable[tuple[float, float]]:
    """Middles of the blocks of a slide, (x, y) in um."""
    tumors = slide.tumor_regions
    on_outlines = _ON_OUTLINES if tumors else 0
    for _ in range(on_outlines):
        outline = tumors[int(rng.integers(len(tumors)))].outline_um(64)
        x, y = outline[int(rng.integers(64))]
        yield float(x), float(y)
    in_tumors = _IN_TUMORS if tumors else 0
    for number in range(_BLOCKS - on_outlines):
        wanted = slide.is_tumor if number < in_tumors else slide.is_tissue
        for _ in range(_TRIES):
            x, y = rng.uniform((0.0, 0.0), slide.size_um)
            if wanted(np.array([x]), np.array([y]))[0]:
                break
        yield float(x), float(y)


@dataclass(frozen=True, eq=False)
class CutPatches:
    """Patches and what is known of them.

    Attributes:
        pixels: (N, 96, 96, 3) uint8.
        tumor: (N,), whether there is tumour in the central 32 x 32 pixels.
    """

    pixels: Pixels
    tumor: NDArray[np.bool_]


def cut_patches(
    slides: Sequence[Blocks], count: int, rng: np.random.Generator, share_normalised: float = 0.5
) -> CutPatches:
    """Cut patches anywhere in the blocks of random slides, half of them with tumour in the middle.

    Args:
        slides: What to cut.
        count: How many.
        rng: Where places come from, which do not depend on the share.
        share_normalised: Of patches with normalised stains; the others are as they were scanned.
    """
    pixels = np.empty((count, SIZE_PX, SIZE_PX, 3), np.uint8)
    truths = np.arange(count) % 2 == 0
    for number in range(count):
        for _ in range(_TRIES):
            blocks = slides[int(rng.integers(len(slides)))]
            at = int(rng.integers(len(blocks.tumor)))
            top, left = (int(value) for value in rng.integers(0, _BLOCK_PX - SIZE_PX + 1, 2))
            middle = blocks.tumor[at, top + _MARGIN_PX :, left + _MARGIN_PX :][:CENTRE_PX, :CENTRE_PX]
            found = bool(middle.any())
            if found == truths[number]:
                break
        truths[number] = found
        source = blocks.normalised if rng.random() < share_normalised else blocks.plain
        pixels[number] = source[at, top : top + SIZE_PX, left : left + SIZE_PX]
    return CutPatches(pixels, truths)


def draw_slides(seeds: Iterable[int]) -> list[Blocks]:
    """Blocks of many slides, on all cores."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        return list(pool.map(draw_blocks, seeds))
