"""Random changes of patches: how they lie, and their values.

How a patch lies is one linear mapping, drawn here and applied where patches are cut. The ranges of the changes are
nnU-Net's by default, as far as it has them (Isensee et al., Nature Methods 2021, supplement).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from pipelines.training.patches import Matrix, Move, Size
from pipelines.training_settings import AugmentationSettings

Rng = np.random.Generator

_AXES = {"front_back": 0, "up_down": 1, "left_right": 2}
_FLAT = 1e-6


def draw_move(settings: AugmentationSettings, spacing: Sequence[float], rng: Rng, *, flat: bool) -> Move:
    """How a patch is turned, scaled and mirrored.

    Args:
        settings: How far.
        spacing: Of the grid along (d, h, w): a turn is one in space, not in voxels.
        rng: Draws.
        flat: Slices stay slices: no turn out of them, no scale across them.
    """
    mirror = [-1.0 if name in settings.mirror and rng.random() < 0.5 else 1.0 for name in _AXES]
    linear = np.diag(mirror)
    if rng.random() < settings.moved:
        angle = np.deg2rad(rng.uniform(-settings.rotation_deg, settings.rotation_deg))
        linear = _turn(angle, 1, 2) @ linear
        if not flat:
            for axis in (1, 2):
                linear = _turn(np.deg2rad(rng.uniform(-settings.tilt_deg, settings.tilt_deg)), 0, axis) @ linear
        low, high = np.log(settings.scale)
        # Larger things are seen through smaller steps.
        steps = np.full(3, np.exp(-rng.uniform(low, high)))
        if flat:
            steps[0] = 1.0
        linear = linear * steps
    across = np.diag(np.asarray(spacing, dtype=np.float64))
    return Move(np.linalg.inv(across) @ linear @ across)


def draw_shift(settings: AugmentationSettings, size: Size, rng: Rng, *, flat: bool) -> NDArray[np.float64]:
    """By how many voxels (d, h, w) a whole picture is shifted."""
    if not settings.shift or rng.random() >= settings.moved:
        return np.zeros(3)
    shift = rng.uniform(-settings.shift, settings.shift, 3) * np.asarray(size)
    return np.where([flat, False, False], 0.0, shift)


def change_values(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    """Another exposure, focus, detector and stain.

    Args:
        image: float32 (C, D, H, W); not written.
        settings: How far.
        rng: Draws.

    Returns:
        The same shape, within the values the patch had where a change of brightness alone would leave them; a patch of
        one value, without anything to see, comes back as it is.
    """
    low, high = float(image.min()), float(image.max())
    if high - low < _FLAT:
        return image
    for change in (_inverted, _gamma, _brightness, _contrast, _hue, _blurred, _coarse, _noisy):
        image = change(image, settings, rng)
    return image.contiguous()


def _turn(angle: float, first: int, second: int) -> Matrix:
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def _inverted(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    if not settings.inverted or rng.random() >= settings.inverted:
        return image
    return image.max() + image.min() - image


def _gamma(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    if not _drawn(settings.gamma, settings, rng):
        return image
    low, high = image.min(), image.max()
    share = ((image - low) / (high - low)).clamp_(0.0, 1.0)
    return share ** float(np.exp(rng.uniform(-settings.gamma, settings.gamma))) * (high - low) + low


def _brightness(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    if not _drawn(settings.brightness, settings, rng):
        return image
    low = image.min()
    return (image - low) * float(1.0 + rng.uniform(-settings.brightness, settings.brightness)) + low


def _contrast(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    if not _drawn(settings.contrast, settings, rng):
        return image
    low, high, mean = image.min(), image.max(), image.mean()
    factor = float(1.0 + rng.uniform(-settings.contrast, settings.contrast))
    return ((image - mean) * factor + mean).clamp(min=low, max=high)


def _hue(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    # A grey picture stays grey: its channels are one.
    if image.shape[0] != 3 or not _drawn(settings.hue, settings, rng) or bool((image[0] == image[1]).all()):
        return image
    factors = rng.uniform(1.0 - settings.hue, 1.0 + settings.hue, (3, 1, 1, 1))
    low = image.min()
    return (image - low) * torch.from_numpy(factors.astype(np.float32)) + low


def _blurred(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    if not _drawn(settings.blur_px, settings, rng):
        return image
    sigma = float(rng.uniform(0.3, 1.0)) * settings.blur_px
    # Within slices: they are as far apart as the scanner made them, whatever the focus.
    return torch.from_numpy(gaussian_filter(image.numpy(), (0.0, 0.0, sigma, sigma)))


def _coarse(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    if not _drawn(settings.coarse, settings, rng):
        return image
    share = 1.0 - rng.uniform(0.0, settings.coarse)
    height, width = (max(1, round(extent * share)) for extent in image.shape[2:])
    small = functional.interpolate(image, (height, width), mode="nearest")
    return functional.interpolate(small, image.shape[2:], mode="bilinear", align_corners=False)


def _noisy(image: Tensor, settings: AugmentationSettings, rng: Rng) -> Tensor:
    if not _drawn(settings.noise, settings, rng):
        return image
    sigma = float(rng.uniform(0.0, settings.noise)) * float(image.std())
    grey = image.shape[0] == 3 and bool((image[0] == image[1]).all())
    shape = (1, *image.shape[1:]) if grey else tuple(image.shape)
    return image + torch.from_numpy(rng.normal(0.0, sigma, shape).astype(np.float32))


def _drawn(most: float, settings: AugmentationSettings, rng: Rng) -> bool:
    return most > 0.0 and bool(rng.random() < settings.each)
