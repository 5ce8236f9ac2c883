"""How alike two maps are: by the order in which they put places, since no unit is common to two methods or networks."""

import torch
from scipy.stats import rankdata
from torch import Tensor

from pipelines.explain.deletion import cell_means


def rank_correlation(first: Tensor, second: Tensor, cell: int) -> Tensor:
    """Spearman's rank correlation of the means over cells; equal values share their rank.

    Args:
        first: Maps (N, *size).
        second: Maps (N, *size), one for each of the first.
        cell: Edge of a cell in pixels.

    Returns:
        (N,), from -1 to 1; 0 where a map is the same everywhere, which tells nothing of any other.
    """
    ranks = [
        torch.from_numpy(rankdata(cell_means(maps.double().cpu(), cell).flatten(start_dim=1).numpy(), axis=1))
        for maps in (first, second)
    ]
    a, b = (one - one.mean(dim=1, keepdim=True) for one in ranks)
    spread = (a.square().sum(dim=1) * b.square().sum(dim=1)).sqrt()
    return torch.where(spread > 0, (a * b).sum(dim=1) / spread.clamp(min=1e-12), 0.0)
