"""Agreement beyond chance (Cohen, 1960), and with distant classes counting more (Cohen, 1968)."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.metrics.confusion import Confusion

Weighting = Literal["plain", "quadratic"]


def cohen_kappa(confusion: Confusion, weighting: Weighting = "plain") -> NDArray[np.float64]:
    """One less the disagreement over that which chance gives with the same shares of the classes.

    Args:
        confusion: (…, classes, classes), row: the true class, column: the called one; of ordered classes in order.
        weighting: "plain": every disagreement counts the same; "quadratic": by the square of the distance of the
            classes.

    Returns:
        (…,) at most 1; NaN where all cases are of one class and called so, or there are none: chance agrees as well.
    """
    classes = confusion.shape[-1]
    places = np.arange(classes)
    apart = np.abs(places[:, None] - places[None, :]).astype(np.float64)
    weights = (apart > 0).astype(np.float64) if weighting == "plain" else np.square(apart)
    total = confusion.sum((-2, -1))
    chance = confusion.sum(-1)[..., :, None] * confusion.sum(-2)[..., None, :]
    expected = (weights * chance).sum((-2, -1))
    seen = (weights * confusion).sum((-2, -1)) * total
    share = np.divide(seen, expected, out=np.full(np.shape(seen), np.nan), where=np.asarray(expected) > 0)
    kappa: NDArray[np.float64] = 1.0 - share
    return kappa
