"""Where a map points, beside what is known to be there.

These figures judge network and map together: a network that decides by something else has faithful maps that point
elsewhere. So they stand in the score card, and do not decide whether a map is faithful.

Pointing game: Zhang, Lin, Brandt, Shen, Sclaroff, "Top-down Neural Attention by Excitation Backprop", ECCV 2016 (arXiv
1608.00507). Mass and rank accuracy: Arras, Osman, Samek, "CLEVR-XAI: A benchmark dataset for the ground truth
evaluation of neural network explanations", Information Fusion 81, 2022 (arXiv 2003.07258), equations 3 to 5.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.explain.baselines import blurred


@dataclass(frozen=True)
class Localisation:
    """Figures of one map.

    Attributes:
        pointing_game: Whether its largest value lies in the mask, or as near as allowed.
        mass_accuracy: Share of what is positive of it that lies in the mask.
        rank_accuracy: Share of the mask that is among as many largest values as the mask has pixels.
    """

    pointing_game: bool
    mass_accuracy: float
    rank_accuracy: float


def localise(heat: Tensor, mask: Tensor, *, tolerance_px: float = 0.0, smooth_px: float = 0.0) -> Localisation | None:
    """Compare a map with a mask.

    Args:
        heat: (*size), more is more important.
        mask: (*size), boolean.
        tolerance_px: How far from the mask the largest value may lie; 15 in the paper, on pictures of 500 pixels.
        smooth_px: Deviation of a Gaussian for the pointing game, so that no single pixel of a gradient decides.

    Returns:
        The figures; None where the mask is empty, since nothing can be found there.

    Raises:
        ValueError: The shapes differ.
    """
    if heat.shape != mask.shape:
        raise ValueError(f"expected a mask {tuple(heat.shape)} like the map, got {tuple(mask.shape)}; resample it")
    inside = mask.bool().flatten()
    count = int(inside.sum())
    if count == 0:
        return None
    values = heat.double().flatten()
    positive = values.clamp(min=0)
    total = float(positive.sum())
    largest = torch.topk(values, count).indices
    smooth = blurred(heat.double()[None, None], smooth_px)[0, 0] if smooth_px > 0 else heat.double()
    return Localisation(
        pointing_game=_distance(int(smooth.flatten().argmax()), mask) <= tolerance_px,
        mass_accuracy=float(positive[inside].sum()) / total if total > 0 else 0.0,
        rank_accuracy=float(inside[largest].double().mean()),
    )


def _distance(at: int, mask: Tensor) -> float:
    """How far a pixel, by its number, is from the nearest of a mask."""
    place = torch.stack(torch.unravel_index(torch.tensor(at), mask.shape))
    return float((mask.bool().nonzero() - place).double().square().sum(dim=1).min().sqrt())
