"""Stability: whether an explanation outlives noise that nobody would see.

Alvarez-Melis, Jaakkola, "On the Robustness of Interpretability Methods", 2018 (arXiv 1806.08049): images alike should
have explanations alike. Measured as the mean rank correlation of the map that is shown with the method's maps of noisy
copies. So it tells, too, a map that is not what the method says of the network at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipelines.explain.method import Method
from pipelines.explain.similarity import rank_correlation
from pipelines.explain.targets import Target


@dataclass(frozen=True)
class Noise:
    """How much noise there is.

    Attributes:
        copies: Noisy copies.
        share: Deviation as a share of the image's range.
        seed: Of the noise.
    """

    copies: int
    share: float = 0.01
    seed: int = 7


def maps_under_noise(
    method: Method, network: nn.Module, inputs: Tensor, targets: Sequence[Target], plan: Noise
) -> list[Tensor]:
    """What a method says of noisy copies.

    Args:
        method: What explains.
        network: In evaluation mode, with the layers it was built of.
        inputs: (N, C, *size).
        targets: Settled by the images as they are.
        plan: How much noise.

    Returns:
        Maps (N, T, *size) of each copy.
    """
    low, high = inputs.flatten(1).amin(dim=1), inputs.flatten(1).amax(dim=1)
    spread = (plan.share * (high - low)).reshape(-1, *[1] * (inputs.ndim - 1))
    asked, found = method.quickest(network), []
    for copy in range(plan.copies):
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + copy)
        noise = torch.randn(inputs.shape[1:], generator=generator).to(inputs)  # The same for all images of a batch.
        found.append(method.explain(asked, inputs + spread * noise, targets))
    return found


def stability(shown: Tensor, noisy: Sequence[Tensor], cell: int) -> Tensor:
    """Mean rank correlation of maps (N, T, *size) with those of noisy copies: (N, T), from -1 to 1."""
    flat = shown.flatten(0, 1)
    found = [rank_correlation(maps.flatten(0, 1), flat, cell) for maps in noisy]
    return torch.stack(found).mean(dim=0).reshape(shown.shape[:2])
