"""What a network says of held back patches, as a picture: outlines of truth and answer side by side."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw
from skimage.segmentation import find_boundaries
from torch import Tensor

from datasets.io.atomic import atomic_path

_MOST, _EDGE_PX, _GAP_PX = 6, 192, 4
_LINE_PX = 12  # Of the font pillow brings.
# Okabe and Ito's colours, told apart by all eyes: sky blue, orange, bluish green, yellow, vermillion.
_COLOURS = np.array([(86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0)], dtype=np.uint8)


@dataclass(frozen=True)
class Captions:
    """What stands in a picture.

    Attributes:
        outputs: Names of a classifier's outputs; empty for networks that label voxels.
        independent: Whether every output of a classifier is a sigmoid of its own.
    """

    outputs: tuple[str, ...] = ()
    independent: bool = False


def write_picture(patches: tuple[Tensor, Tensor], said: Tensor, path: Path, captions: Captions) -> None:
    """Rows of image, truth and answer; for classifiers the image with a bar of its probabilities.

    Args:
        patches: Inputs (N, C, *size) and what is wanted of them.
        said: Logits of the same patches, in evaluation mode.
        path: A PNG.
        captions: What is written beside.
    """
    inputs, wanted = patches
    rows = []
    for number in range(min(_MOST, inputs.shape[0])):
        grey = _grey(inputs[number])
        if said.ndim == 2:
            rows.append(np.concatenate([grey, _bars(said[number], wanted[number], grey.shape[0], captions)], axis=1))
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


def _bars(logits: Tensor, wanted: Tensor, height: int, captions: Captions) -> NDArray[np.uint8]:
    """A bar per output, as long as its probability: orange where it is true, blue where not, grey where unknown."""
    alone = captions.independent or logits.shape[0] == 1
    shares = torch.sigmoid(logits) if alone else torch.softmax(logits, dim=0)
    drawn = Pillow.new("RGB", (_EDGE_PX, height), (255, 255, 255))
    pen, step = ImageDraw.Draw(drawn), height / len(shares)
    for number, (share, true) in enumerate(zip(shares.tolist(), wanted.tolist(), strict=True)):
        colour = (150, 150, 150) if np.isnan(true) else tuple(_COLOURS[1 if true > 0.5 else 0].tolist())
        top, bottom = round(number * step), round((number + 1) * step) - 2
        pen.rectangle((0, top, max(1, round(share * _EDGE_PX)), max(top, bottom)), fill=colour)
        if step >= _LINE_PX:
            name = captions.outputs[number] if number < len(captions.outputs) else f"output {number + 1}"
            pen.text((4, top + 1), f"{name} {share:.2f}", fill=(0, 0, 0))
    return np.asarray(drawn)
