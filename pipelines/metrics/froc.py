"""Free-response ROC: how many lesions are found against how many are invented per image, over all thresholds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# 1/8 to 8 per image (LUNA16: Setio et al., MedIA 2017).
USUAL_RATES: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Froc:
    """A curve, from the strictest threshold to none.

    Attributes:
        thresholds: (M,) lesions count from this score on; the first is infinite.
        false_per_image: (M,) invented lesions per image, rises from 0.
        sensitivity: (M,) share of the lesions found, rises from 0.
    """

    thresholds: Values
    false_per_image: Values
    sensitivity: Values

    def at(self, rate: float) -> float:
        """Sensitivity at a number of invented lesions per image; straight between points, flat behind the last."""
        return float(np.interp(rate, self.false_per_image, self.sensitivity))

    def average(self, rates: Sequence[float] = USUAL_RATES) -> float:
        """Mean sensitivity at several rates: the score of LUNA16 (CAMELYON16 leaves the lowest rate out)."""
        return float(np.mean([self.at(rate) for rate in rates]))


def froc(found: Values, invented: Values, lesions: int, images: int) -> Froc | None:
    """Draw the curve.

    Args:
        found: (F,) of every lesion that was found, the highest score of a prediction that found it; further
            predictions of the same lesion count neither way.
        invented: (G,) score of every prediction that found none.
        lesions: How many there are, found or not.
        images: How many were looked at, with and without lesions.

    Returns:
        None where there are no lesions, or no images: sensitivity is of nothing then.

    Raises:
        ValueError: More were found than there are, or a score is not a number.
    """
    if found.size > lesions:
        raise ValueError(f"expected at most {lesions} lesions found; got {found.size}")
    scores = np.concatenate([found, invented])
    if np.isnan(scores).any():
        raise ValueError("expected a score for every prediction; got NaN")
    if lesions == 0 or images == 0:
        return None
    thresholds = np.unique(scores)[::-1]
    hits = found.size - np.searchsorted(np.sort(found), thresholds, side="left")
    alarms = invented.size - np.searchsorted(np.sort(invented), thresholds, side="left")
    return Froc(
        thresholds=np.concatenate([[np.inf], thresholds]),
        false_per_image=np.concatenate([[0.0], alarms / images]),
        sensitivity=np.concatenate([[0.0], hits / lesions]),
    )
