"""What a call means where somebody works: predictive values at the prevalence of the site, by Bayes' rule.

Sensitivity and specificity are those that the card of the weights tells of held-out data at the operating point; they
carry over to another site only as far as its patients and scanners are alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """How often a call is right, on held-out data.

    Attributes:
        sensitivity: Share of those with the finding that are called.
        specificity: Share of those without it that are not.
        own: Whether it is of this label alone, and not the mean over labels.
    """

    sensitivity: float
    specificity: float
    own: bool


@dataclass(frozen=True)
class PredictiveValues:
    """What a call, and no call, say at some prevalence.

    Attributes:
        positive: Share of those called that have the finding.
        negative: Share of those not called that have it not.
    """

    positive: float
    negative: float


def accuracy_of(held_out: Mapping[str, float], label: str, labels: int) -> Accuracy | None:
    """What a card tells of a label; None where it tells nothing of it.

    Args:
        held_out: Figures of the card by name.
        label: Whose.
        labels: How many labels the weights have: a figure without a label is theirs where there is one.
    """
    named = (f"_{label}", *([""] if labels == 1 else ["_mean"]))
    for ending in named:
        both = held_out.get(f"sensitivity{ending}"), held_out.get(f"specificity{ending}")
        if both[0] is not None and both[1] is not None:
            return Accuracy(both[0], both[1], own=ending != "_mean")
    return None


def predictive_values(accuracy: Accuracy, prevalence: float) -> PredictiveValues | None:
    """Predictive values; None where nothing would be called, or everything.

    Args:
        accuracy: At the operating point.
        prevalence: Share of those looked at that have the finding, above 0 and below 1.

    Raises:
        ValueError: The prevalence is no such share.
    """
    if not 0.0 < prevalence < 1.0:
        raise ValueError(f"expected a prevalence above 0 and below 1, got {prevalence}")
    true_positive = accuracy.sensitivity * prevalence
    false_positive = (1.0 - accuracy.specificity) * (1.0 - prevalence)
    true_negative = accuracy.specificity * (1.0 - prevalence)
    false_negative = (1.0 - accuracy.sensitivity) * prevalence
    called, not_called = true_positive + false_positive, true_negative + false_negative
    if called <= 0.0 or not_called <= 0.0:
        return None
    return PredictiveValues(true_positive / called, true_negative / not_called)
