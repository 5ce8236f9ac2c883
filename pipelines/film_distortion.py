"""Films as they might have been taken instead: what somebody who learns from few must be shown of many."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_FAINTEST = 1e-4  # A power of zero has no slope anywhere.


@dataclass(frozen=True)
class FilmDistortion:
    """How far films are distorted; standard deviations of normal draws but for the chances and what is named highest.

    Attributes:
        kept: Chance that a film is shown as it is, but for its side.
        mirrored: Chance that left and right are swapped, as in CheXNet (Rajpurkar et al., 2017).
        turn_rad: Rotation.
        shear: Of the rows, in widths per height.
        size: Of the logarithm of the magnification, both axes.
        aspect: Of the logarithm of the magnification, each axis by itself.
        shift: In half edges of the picture.
        gamma: Of the logarithm of the exponent of grey values.
        contrast: Of the logarithm of the factor about the mean.
        brightness: In [0, 1] of the display range.
        shading: Highest amplitude of uneven exposure, in the display range.
        blur: Share of the mean of 3 x 3 pixels that replaces a pixel; below zero the film is sharpened.
        noise: Highest standard deviation of noise, in the display range.
        covered: Chance that a rectangle is hidden: Zhong et al., "Random Erasing Data Augmentation" (AAAI 2020).
    """

    kept: float = 0.25
    mirrored: float = 0.5
    turn_rad: float = 0.1
    shear: float = 0.06
    size: float = 0.1
    aspect: float = 0.06
    shift: float = 0.10
    gamma: float = 0.25
    contrast: float = 0.2
    brightness: float = 0.06
    shading: float = 0.06
    blur: float = 0.5
    noise: float = 0.025
    covered: float = 0.3

    def apply(self, films: Tensor, rng: np.random.Generator) -> Tensor:
        """Distort films, each in its own way.

        Args:
            films: (N, 1, H, W) float32 in [0, 1] of the display range, at least 8 pixels high and wide.
            rng: Changed by what is drawn from it.

        Returns:
            (N, 1, H, W) in [0, 1].
        """
        draws = _Draws(len(films), rng)
        mirrored = torch.where(draws.chance(self.mirrored), films.flip(-1), films)
        changed = self._taken(self._placed(mirrored, draws), draws)
        return _covered(torch.where(draws.chance(self.kept), mirrored, changed), self.covered, rng)

    def _placed(self, films: Tensor, draws: "_Draws") -> Tensor:
        """Another place of the patient before the plate; beyond the edge of a film is what lies at it."""
        turn, shear = draws.normal(self.turn_rad), draws.normal(self.shear)
        size = draws.normal(self.size)
        wide, high = torch.exp(size + draws.normal(self.aspect)), torch.exp(size + draws.normal(self.aspect))
        cos, sin = torch.cos(turn), torch.sin(turn)
        # Of half edges: from where in the new film to where in the old, x before y.
        rows = [
            cos * wide,
            shear - sin * high,
            draws.normal(self.shift),
            sin * wide,
            cos * high,
            draws.normal(self.shift),
        ]
        affine = torch.cat(rows, dim=1).reshape(-1, 2, 3)  # (N, 2, 3)
        grid = functional.affine_grid(affine, list(films.shape), align_corners=False)
        return functional.grid_sample(films, grid, padding_mode="border", align_corners=False)

    def _taken(self, films: Tensor, draws: "_Draws") -> Tensor:
        """Another exposure, another plate, another development."""
        films = films.clamp(_FAINTEST, 1.0) ** torch.exp(draws.normal(self.gamma))
        mean = films.mean(dim=(2, 3), keepdim=True)
        films = (films - mean) * torch.exp(draws.normal(self.contrast)) + mean + draws.normal(self.brightness)
        uneven = functional.interpolate(draws.noise(4, 4), films.shape[2:], mode="bicubic", align_corners=False)
        films = films + uneven * draws.up_to(self.shading)
        near = functional.avg_pool2d(functional.pad(films, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        films = films + (near - films) * draws.normal(self.blur).clamp(-1.0, 1.0)
        return (films + draws.noise(*films.shape[2:]) * draws.up_to(self.noise)).clamp(0.0, 1.0)


class _Draws:
    """Random numbers, one per film: (N, 1, 1, 1)."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._count, self._rng = count, rng

    def normal(self, deviation: float) -> Tensor:
        return self.noise(1, 1) * deviation

    def up_to(self, highest: float) -> Tensor:
        return torch.from_numpy(self._rng.uniform(0.0, highest, (self._count, 1, 1, 1)).astype(np.float32))

    def chance(self, share: float) -> Tensor:
        return self.up_to(1.0) < share

    def noise(self, height: int, width: int) -> Tensor:
        """(N, 1, height, width)."""
        return torch.from_numpy(self._rng.standard_normal((self._count, 1, height, width), dtype=np.float32))


def _covered(films: Tensor, chance: float, rng: np.random.Generator) -> Tensor:
    """Hide a rectangle of an eighth to a third of either edge, under any grey."""
    height, width = films.shape[2:]
    shown = films.clone()
    for at in np.flatnonzero(rng.random(len(films)) < chance):
        high, wide = int(rng.integers(height // 8, height // 3)), int(rng.integers(width // 8, width // 3))
        top, left = int(rng.integers(height - high)), int(rng.integers(width - wide))
        shown[at, :, top : top + high, left : left + wide] = float(rng.random())
    return shown
