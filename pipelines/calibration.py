"""From a network's probability to one that means what it says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

# Probabilities of 0 and 1 have no log odds.
_LEAST = 1e-12


@dataclass(frozen=True)
class Platt:
    """sigmoid(slope * log odds + intercept), after Platt (1999); as it stands it changes nothing.

    Attributes:
        slope: On the log odds; above 0, so that the order of probabilities stays.
        intercept: Added to that.

    Raises:
        ValueError: The slope is not above 0.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not self.slope > 0.0:
            raise ValueError(f"expected a slope above 0; got {self.slope}; fit the calibration again")

    def __call__(self, probability: ArrayLike) -> NDArray[np.float64]:
        """Calibrate probabilities of any shape; NaN stays NaN."""
        clipped = np.clip(np.asarray(probability, dtype=np.float64), _LEAST, 1.0 - _LEAST)
        return np.asarray(expit(self.slope * logit(clipped) + self.intercept))
