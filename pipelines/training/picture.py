"""What a network says of held back patches, as a picture: outlines of truth and answer side by side."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage.segmentation import find_boundaries
from torch import Tensor

from datasets.io.atomic import atomic_path

_MOST, _EDGE_PX, _GAP_PX = 6, 192, 4
# Okabe and Ito's colours, told apart by all eyes: sky blue, orange, bluish green, yellow, vermillion.
_COLOURS = np.array([(86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0)], dtype=np.uint8)


def write_picture(patches: tuple[Tensor, Tensor], said: Tensor, path: Path, *, independent: bool) -> None:
    """Rows of image, truth and answer; for classifiers the image with a bar of its probabilities.

    Args:
        patches: Inputs (N, C, *size) and what is wanted of them.
        said: Logits of the same patches, in evaluation mode.
        path: A PNG.
        independent: Whether every output of a classifier is a sigmoid of its own.
    """
    inputs, wanted = patches
    rows = []
    for number in range(min(_MOST, inputs.shape[0])):
        grey = _grey(inputs[number])
        if said.ndim == 2:
            rows.append(
                np.concatenate([grey, _bars(_shares(said[number], independent), wanted[number], grey.shape[0])], axis=1)
            )
        else:
            truth, answer = _middle(wanted[number]), _middle(_labels(said[number]))
            rows.append(np.concatenate([grey, _outlined(grey, truth), _outlined(grey, answer)], axis=1))
    gap = np.full((_GAP_PX, rows[0].shape[1], 3), 255, dtype=np.uint8)
    sheet = np.concatenate([part for row in rows for part in (row, gap)][:-1], axis=0)
    with atomic_path(path) as temporary:
        Pillow.fromarray(sheet).save(temporary, format="PNG")


def _grey(pixels: Tensor) -> NDArray[np.uint8]:
    """(C, H, W) or the middle slice of (C, D, H, W), between its own black and white, (edge, edge, 3)."""
    plane = pixels[:, pixels.shape[1] // 2] if pixels.ndim == 4 else pixels
    shown = plane if plane.shape[0] == 3 else plane[plane.shape[0] // 2][None].expand(3, -1, -1)
    low, high = float(shown.min()), float(shown.max())
    scaled = ((shown - low) / max(high - low, 1e-6) * 255.0).round().to(torch.uint8)
    return np.asarray(_sized(Pillow.fromarray(scaled.permute(1, 2, 0).numpy()), Pillow.Resampling.BILINEAR))


def _labels(logits: Tensor) -> Tensor:
    return logits.argmax(dim=0) if logits.shape[0] > 1 else (logits[0] > 0).long()


def _middle(labels: Tensor) -> NDArray[np.uint8]:
    """(H, W) or the middle slice of (D, H, W), at the picture's size."""
    plane = labels[labels.shape[0] // 2] if labels.ndim == 3 else labels
    return np.asarray(_sized(Pillow.fromarray(plane.to(torch.uint8).numpy()), Pillow.Resampling.NEAREST))


def _sized(picture: Pillow.Image, how: Pillow.Resampling) -> Pillow.Image:
    scale = _EDGE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, how)


def _outlined(grey: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    drawn = grey.copy()
    for label in np.unique(labels[labels > 0]):
        outline = find_boundaries(labels == label, mode="inner")  # type: ignore[no-untyped-call]
        drawn[outline] = _COLOURS[(int(label) - 1) % len(_COLOURS)]
    return drawn


def _shares(logits: Tensor, independent: bool) -> Tensor:
    return torch.sigmoid(logits) if independent or logits.shape[0] == 1 else torch.softmax(logits, dim=0)


def _bars(shares: Tensor, wanted: Tensor, height: int) -> NDArray[np.uint8]:
    """A bar per output, as long as its probability; the true ones orange, the others blue, unknown ones grey."""
    drawn = np.full((height, _EDGE_PX, 3), 255, dtype=np.uint8)
    step = height / len(shares)
    for number, (share, true) in enumerate(zip(shares.tolist(), wanted.tolist(), strict=True)):
        colour = np.array([150, 150, 150]) if np.isnan(true) else _COLOURS[1 if true > 0.5 else 0]
        top, bottom = round(number * step + step * 0.2), round(number * step + step * 0.8)
        drawn[top : max(bottom, top + 1), : max(1, round(share * _EDGE_PX))] = colour
    return drawn
