"""Confidence intervals by resampling patients: studies of one patient are alike and stay together.

The bootstrap draws patients with replacement, as many as there are, and counts all their studies as often as they were
drawn (Field and Welsh, "Bootstrapping clustered data", JRSS B 2007). Which interval is made of the samples was chosen
by how often it holds the truth; docs/evaluation.md has the table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import t as student

from pipelines.evaluation.statistics import Ratio, Statistic, Values

Method = Literal["chosen", "percentile", "bca"]
Bounds = tuple[float, float]
UNBOUNDED: Bounds = (-np.inf, np.inf)
SHARE: Bounds = (0.0, 1.0)

# With fewer patients an interval says little; they are marked.
FEW_PATIENTS = 10
_LARGEST_BLOCK = 4_000_000  # Weights held at once.
_LEAST_SHARE = 0.9  # Of the samples in which a figure must be defined.
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Resampling:
    """How intervals are made.

    Attributes:
        replicates: Bootstrap samples.
        confidence: Of the interval.
        seed: Of the draws.
        method: "chosen": studentised for means and other ratios of sums, BCa for everything else; "percentile" and
            "bca" for all, to compare with.
    """

    replicates: int = 2000
    confidence: float = 0.95
    seed: int = 0
    method: Method = "chosen"

    @property
    def tail(self) -> float:
        """Share of the samples beyond each end."""
        return (1.0 - self.confidence) / 2.0


@dataclass(frozen=True)
class Interval:
    """A figure and where it lies.

    Attributes:
        value: Of all cases; None where undefined.
        low: Lower end; None where there are fewer than two patients, or the figure is often undefined.
        high: Upper end.
    """

    value: float | None
    low: float | None
    high: float | None


class Patients:
    """Cases by patient, and the samples that are drawn of them: the same ones for every figure.

    Args:
        of_case: The patient of each case.
        resampling: How many are drawn.
    """

    def __init__(self, of_case: Sequence[str], resampling: Resampling) -> None:
        names, self._of_case = np.unique(np.asarray(of_case, dtype=np.str_), return_inverse=True)
        self.count = int(names.size)
        self.cases = len(of_case)
        self.resampling = resampling

    def sums(self, values: Values) -> Values:
        """(cases,) values added up by patient, (count,)."""
        added: Values = np.bincount(self._of_case, values, minlength=self.count).astype(np.float64)
        return added

    def interval(self, statistic: Statistic, bounds: Bounds = UNBOUNDED) -> Interval:
        """A figure with its interval.

        Args:
            statistic: Of as many cases as there are here.
            bounds: Between which values it can lie.
        """
        value = float(statistic(np.ones((1, self.cases)))[0]) if self.cases else np.nan
        if np.isnan(value):
            return Interval(None, None, None)
        if self.count < 2:
            return Interval(value, None, None)
        ends = self._ends(statistic, value)
        if ends is None:
            return Interval(value, None, None)
        low, high = ends
        if high - low < _NO_SPREAD and bounds == SHARE:
            low, high = self._beside_the_bound(value)
        return Interval(value, float(max(low, bounds[0])), float(min(high, bounds[1])))

    def samples(self, statistic: Statistic) -> Values:
        """The figure in every bootstrap sample, (replicates,); NaN where it is undefined."""
        return np.concatenate([statistic(weights[:, self._of_case]) for weights in self._drawn()])

    def _ends(self, statistic: Statistic, value: float) -> tuple[float, float] | None:
        if isinstance(statistic, Ratio) and self.resampling.method == "chosen":
            ends = self._studentised(statistic, value)
            if ends is not None:
                return ends
        drawn = self.samples(statistic)
        known = drawn[~np.isnan(drawn)]
        if known.size < _LEAST_SHARE * drawn.size:
            return None
        corrected = self.resampling.method != "percentile"
        low, high = np.quantile(known, self._levels(known, value, self._left_out(statistic) if corrected else None))
        return float(low), float(high)

    def _studentised(self, ratio: Ratio, value: float) -> tuple[float, float] | None:
        """Ends from (sample - value) / standard error: Davison and Hinkley, "Bootstrap Methods", 1997, section 5.2.

        The standard error of a ratio of sums over patients is the linearised one (Cochran, "Sampling Techniques").
        None where many samples are all of one value, which have no spread to divide by.
        """
        parts, wholes = self.sums(ratio.parts), self.sums(ratio.wholes)
        drawn = []
        for weights in self._drawn():
            figure = Ratio(parts, wholes)(weights)
            drawn.append((figure - value) / _standard_error(weights, figure, parts, wholes))
        together = np.concatenate(drawn)
        known = together[np.isfinite(together)]
        if known.size < _LEAST_SHARE * together.size:
            return None
        error = float(_standard_error(np.ones((1, self.count)), np.array([value]), parts, wholes)[0])
        below, above = np.quantile(known, [self.resampling.tail, 1.0 - self.resampling.tail])
        return value - float(above) * error, value - float(below) * error

    def _beside_the_bound(self, value: float) -> Bounds:
        """All patients give 0, or all 1: what could still be true, as Clopper and Pearson (1934) have it.

        Of a share whose mean is m, all of n patients are at 1 with a probability of at most m**n.
        """
        reach = float(self.resampling.tail ** (1.0 / self.count))
        if value >= 1.0:
            return reach, 1.0
        return (0.0, 1.0 - reach) if value <= 0.0 else (value, value)

    def _drawn(self) -> Iterator[Values]:
        """How often each patient is drawn, (block, count)."""
        rng = np.random.default_rng([self.resampling.seed, self.count, self.cases])
        block = max(1, _LARGEST_BLOCK // max(self.cases, 1))
        even = np.full(self.count, 1.0 / self.count)
        for start in range(0, self.resampling.replicates, block):
            size = min(block, self.resampling.replicates - start)
            yield rng.multinomial(self.count, even, size=size).astype(np.float64)

    def _left_out(self, statistic: Statistic) -> Values:
        """The figure without each patient in turn, where it is defined."""
        figures = []
        block = max(1, _LARGEST_BLOCK // self.cases)
        for start in range(0, self.count, block):
            patients = np.arange(start, min(start + block, self.count))
            figures.append(statistic((self._of_case[None, :] != patients[:, None]).astype(np.float64)))
        all_of_them = np.concatenate(figures)
        return all_of_them[~np.isnan(all_of_them)]

    def _levels(self, drawn: Values, value: float, left_out: Values | None) -> NDArray[np.float64]:
        """Which quantiles of the samples are the ends: BCa (Efron, JASA 1987), or plain ones.

        The tails are those of Student's t with the spread of a small sample, as Hesterberg ("What Teachers Should Know
        About the Bootstrap", The American Statistician 2015) widens them.
        """
        free = self.count - 1
        reach = float(np.sqrt(self.count / free) * student.ppf(1.0 - self.resampling.tail, free))
        z = np.array([-reach, reach])
        if left_out is None or left_out.size < 2:
            return np.asarray(ndtr(z))
        below = (np.count_nonzero(drawn < value) + 0.5 * np.count_nonzero(drawn == value)) / drawn.size
        bias = float(ndtri(np.clip(below, 1.0 / (drawn.size + 1), drawn.size / (drawn.size + 1))))
        off = left_out.mean() - left_out
        spread = float(np.square(off).sum()) ** 1.5
        skewness = float((off**3).sum()) / (6.0 * spread) if spread > 0.0 else 0.0
        return np.asarray(ndtr(bias + (bias + z) / (1.0 - skewness * (bias + z))))


def _standard_error(weights: Values, figures: Values, parts: Values, wholes: Values) -> Values:
    """Of ratios (B,) in samples of patients drawn (B, patients) times; NaN where there is no spread."""
    patients = weights.sum(-1)
    squares = weights @ np.square(parts) - 2.0 * figures * (weights @ (parts * wholes))
    squares = squares + np.square(figures) * (weights @ np.square(wholes))
    total = weights @ wholes
    size = np.maximum(np.square(total), _NO_SPREAD)
    variance = np.where(squares > _NO_SPREAD * size, squares, np.nan) * patients / np.maximum(patients - 1.0, 1.0)
    error: Values = np.sqrt(variance / size)
    return error
