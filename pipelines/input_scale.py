"""The one way from what is shown to the scale that weights expect: films, patches, volumes, trained or scored."""

import torch
from torch import Tensor

from networks.configs import Input


def on_scale(shown: Tensor, expected: Input) -> Tensor:
    """Pictures in [0, 1], black to white, on the scale that weights expect.

    Args:
        shown: (N, C, …), any number of axes; none of a batch gives none.
        expected: A property of the weights; one mean and deviation for all channels, or one for each.

    Returns:
        The same shape.
    """
    ranged = expected.low + (expected.high - expected.low) * shown
    each = (1, -1, *(1,) * (shown.ndim - 2))
    if expected.mean:
        ranged = ranged - torch.tensor(expected.mean).to(ranged).reshape(each)
    if expected.std:
        ranged = ranged / torch.tensor(expected.std).to(ranged).reshape(each)
    return ranged
