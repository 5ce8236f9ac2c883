"""What training changes about stained patches: lenses, stains, turns and shifts.

Multi-lens distortion is the augmentation of DRU-Net (Oskouei et al., "Segmentation of Non-Small Cell Lung Carcinomas:
Introducing DRU-Net and Multi-Lens Distortion", J. Imaging 11(5):166, 2025, arXiv 2406.14287): several lenses of random
place, radius and strength are laid on a patch one after the other, each magnifying or shrinking what lies under it.

Deviations from the authors' code:

* at the share u of its radius a lens works with (1 - u^2)^2 of its strength, with 1 - u there: straight lines then
  break at the rim and in the middle of a lens, and here they bend;
* pixels are interpolated linearly, once for all lenses, where the authors take the nearest for each;
* a strength at which pictures would fold is refused.

All functions take float tensors (N, C, H, W) and change nothing in place. What is random is drawn by a NumPy generator
into plain values first, so that the same values can be given to a picture and to its label map.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.histology.settings import StainReference
from pipelines.histology.stain import Stains

# A point at the share u of a lens's radius shows what lies at u (1 - s (1 - u^2)^2). That rises with u, so that nothing
# folds, for s between these two: its slope 1 - s (1 - u^2)(1 - 5 u^2) is 1 - s at u = 0 and 1 + 0.8 s at u^2 = 3/5.
WEAKEST, STRONGEST = -1.25, 1.0
_DARKEST = 1 / 255
# In which a square can lie.
_WAYS = 8


@dataclass(frozen=True, eq=False)
class Lenses:
    """Lenses on each picture of a batch, applied one after the other.

    Attributes:
        centres_px: (N, lenses, 2), x then y, 0 being the middle of the first pixel.
        radii_px: (N, lenses).
        strengths: (N, lenses); above 0 a lens magnifies, what is in its middle 1 / (1 - strength) times; below
            0 it shrinks; 0 changes nothing.

    Raises:
        ValueError: A strength at which the picture would fold, or a radius that is none.
    """

    centres_px: Tensor
    radii_px: Tensor
    strengths: Tensor

    def __post_init__(self) -> None:
        if bool(((self.strengths <= WEAKEST) | (self.strengths >= STRONGEST)).any()):
            raise ValueError(f"expected strengths between {WEAKEST} and {STRONGEST}, beyond which pictures fold")
        if bool((self.radii_px <= 0).any()):
            raise ValueError("expected radii above 0")

    def sources_px(self, points_px: Tensor) -> Tensor:
        """Where in the picture lies what is shown at some points.

        Args:
            points_px: (N, …, 2), x then y.

        Returns:
            The same shape; points under no lens are where they were.
        """
        between = (1,) * (points_px.ndim - 2)
        for lens in range(self.radii_px.shape[1]):
            centre = self.centres_px[:, lens].reshape(-1, *between, 2)
            radius, strength = (
                values[:, lens].reshape(-1, *between, 1).to(points_px) for values in (self.radii_px, self.strengths)
            )
            offset = points_px - centre.to(points_px)
            inwards = (1 - offset.square().sum(-1, keepdim=True) / radius.square()).clamp(min=0)
            points_px = torch.where(inwards > 0, points_px - offset * strength * inwards.square(), points_px)
        return points_px


@dataclass(frozen=True)
class LensKind:
    """What lenses are drawn; by default as in the authors' training, for patches of 96 pixels in place of 256.

    Attributes:
        count: Fewest and most on a picture.
        radii_px: Smallest and largest.
        strength: Largest, of either sign.
    """

    count: tuple[int, int] = (0, 4)
    radii_px: tuple[float, float] = (15.0, 27.0)
    strength: float = 0.4


def draw_lenses(rng: np.random.Generator, pictures: int, size_px: tuple[int, int], kind: LensKind) -> Lenses:
    """Draw lenses for a batch.

    Args:
        rng: Where from.
        pictures: Number of pictures.
        size_px: Their (rows, columns); middles of lenses lie anywhere in them.
        kind: How many and how strong.
    """
    most = kind.count[1]
    centres = rng.uniform((0.0, 0.0), (size_px[1] - 1.0, size_px[0] - 1.0), (pictures, most, 2))
    radii = rng.uniform(*kind.radii_px, (pictures, most))
    there = np.arange(most) < rng.integers(kind.count[0], most + 1, (pictures, 1))
    strengths = np.where(there, rng.uniform(-kind.strength, kind.strength, (pictures, most)), 0.0)
    return Lenses(*(torch.from_numpy(values).float() for values in (centres, radii, strengths)))


def through_lenses(pictures: Tensor, lenses: Lenses) -> Tensor:
    """Pictures (N, C, H, W) as they look through lenses; what is under none is untouched, bit by bit.

    Between pixels it is interpolated linearly; beyond its edges a picture goes on as in a mirror.
    """
    height, width = pictures.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    here = torch.stack([columns, rows], dim=-1).to(pictures).expand(len(pictures), -1, -1, -1)  # (N, H, W, 2)
    there = lenses.sources_px(here)
    # grid_sample counts from -1 at the outer edge of the first pixel to 1 at that of the last.
    grid = (2 * there + 1) / torch.tensor([width, height]).to(pictures) - 1
    shown = functional.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    moved = (there != here).any(dim=-1)[:, None]  # (N, 1, H, W)
    return torch.where(moved, shown, pictures)


def restained(pictures: Tensor, factors: Tensor) -> Tensor:
    """Pictures with more or less of each stain, whose colours are those of Macenko's reference.

    Args:
        pictures: (N, 3, H, W), RGB in [0, 1].
        factors: (N, 2), of hematoxylin and of eosin; 1 leaves a stain as it is.

    Returns:
        The same shape, in [0, 1]. What no mixture of the two stains explains is left as it is, and so is bare glass.
    """
    stains = torch.from_numpy(Stains.of(StainReference()).vectors).to(pictures)  # (2, 3)
    density = -pictures.clamp(min=_DARKEST).log10()  # (N, 3, H, W)
    amounts = torch.einsum("nchw,cs->nshw", density, torch.linalg.pinv(stains))
    # Noise on glass reads as a little less than nothing of a stain.
    more = amounts.clamp(min=0) * (factors.to(pictures) - 1)[:, :, None, None]
    changed = pictures * 10 ** -torch.einsum("nshw,sc->nchw", more, stains)
    return changed.clamp(0, 1)


def turned(pictures: Tensor, turns: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Tensor:
    """Pictures (N, C, S, S) in one of the eight ways a square can lie.

    Args:
        pictures: Square ones.
        turns: (N,), 0 to 7: quarter turns counter-clockwise, of the mirrored picture from 4 on.
    """
    lying = [
        torch.rot90(picture.flip(-1) if turn >= _WAYS // 2 else picture, int(turn) % (_WAYS // 2), (-2, -1))
        for picture, turn in zip(pictures, turns, strict=True)
    ]
    return torch.stack(lying) if lying else pictures


def shifted(pictures: Tensor, shifts_px: np.ndarray[tuple[int, int], np.dtype[np.int64]]) -> Tensor:
    """Pictures (N, C, H, W) moved by whole pixels; at the edges they go on as in a mirror.

    Args:
        pictures: Larger than the largest shift.
        shifts_px: (N, 2), rightwards and downwards.
    """
    if not len(shifts_px) or not (most := int(np.abs(shifts_px).max())):
        return pictures
    height, width = pictures.shape[2:]
    padded = functional.pad(pictures, (most,) * 4, mode="reflect")
    return torch.stack(
        [
            picture[:, most - y : most - y + height, most - x : most - x + width]
            for picture, (x, y) in zip(padded, shifts_px.tolist(), strict=True)
        ]
    )


@dataclass(frozen=True)
class Variation:
    """How differently a patch may be seen.

    Attributes:
        lenses: On it.
        restaining: Largest change of either stain, as a share.
        shift_px: Farthest it is moved, along either axis; 4 as in PCam's training.
    """

    lenses: LensKind = LensKind()
    restaining: float = 0.25
    shift_px: int = 4


def varied(pictures: Tensor, rng: np.random.Generator, variation: Variation) -> Tensor:
    """Patches (N, 3, S, S) in [0, 1], each moved, turned, seen through lenses and stained otherwise; the same shape."""
    count, size = len(pictures), (pictures.shape[2], pictures.shape[3])
    moved = shifted(pictures, rng.integers(-variation.shift_px, variation.shift_px + 1, (count, 2)))
    lying = turned(moved, rng.integers(0, _WAYS, count))
    seen = through_lenses(lying, draw_lenses(rng, count, size, variation.lenses))
    factors = rng.uniform(1 - variation.restaining, 1 + variation.restaining, (count, 2))
    return restained(seen, torch.from_numpy(factors))
