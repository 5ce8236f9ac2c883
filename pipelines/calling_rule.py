"""By which rule it is chosen from which probability on a finding is called."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datasets.errors import ConfigError
from pipelines.metrics.operating_point import youden_point


@dataclass(frozen=True)
class Rule:
    """How an operating point is chosen.

    Attributes:
        kind: youden: sensitivity plus specificity is largest; sensitivity, specificity: the other is as high as it can
            be while this one is at least `least`.
        least: In (0, 1].
    """

    kind: Literal["youden", "sensitivity", "specificity"] = "youden"
    least: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Of "youden", "sensitivity=0.95" or "specificity=0.9".

        Raises:
            ConfigError: It is none of them.
        """
        kind, _, number = text.partition("=")
        if kind == "youden" and not number:
            return cls()
        try:
            least = float(number)
        except ValueError:
            least = 0.0
        if kind == "sensitivity" and 0.0 < least <= 1.0:
            return cls("sensitivity", least)
        if kind == "specificity" and 0.0 < least <= 1.0:
            return cls("specificity", least)
        raise ConfigError("--rule youden, sensitivity=0.95 or specificity=0.95", repr(text), "correct it")

    def point(self, scores: NDArray[np.float64], truths: NDArray[np.bool_]) -> float:
        """The point on probabilities (N,) with and without the finding; both are there."""
        if self.kind == "youden":
            return youden_point(scores, truths)
        # Called from a point on: the lowest score that is called, over the highest that is not.
        values = np.unique(scores)
        middles = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2.0])
        if self.kind == "sensitivity":
            found = [float(np.mean(scores[truths] >= point)) for point in middles]
            return float(middles[np.flatnonzero(np.asarray(found) >= self.least)[-1]])
        passed = np.asarray([float(np.mean(scores[~truths] < point)) for point in middles])
        enough = np.flatnonzero(passed >= self.least)
        return float(middles[enough[0]]) if enough.size else float(np.nextafter(values[-1], np.inf))

    def __str__(self) -> str:
        return self.kind if self.kind == "youden" else f"{self.kind} >= {self.least:g}"
