"""Whether a map accounts for all that the score changed by.

Sundararajan, Taly, Yan, "Axiomatic Attribution for Deep Networks", ICML 2017 (arXiv 1703.01365), proposition 1.
"""

import torch
from torch import Tensor

# Of a score that hardly changes no share can be told.
_LEAST = 1e-6


def completeness_error(maps: Tensor, rise: Tensor) -> Tensor:
    """By how much the sum of a map misses the change of the score, as a share of that change.

    Args:
        maps: (N, T, *size).
        rise: (N, T), score of the image less score of the baseline.

    Returns:
        (N, T), 0 for a map that is complete. Of a change that is next to nothing: in units of a millionth.
    """
    total = maps.flatten(start_dim=2).double().sum(dim=2)
    expected = rise.double()
    return ((total - expected).abs() / torch.clamp(expected.abs(), min=_LEAST)).to(maps.dtype)
