"""The score card of a map, as it stands in `result.json`: figures, and whether they speak for believing it."""

from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import Field

from pipelines.document import Document
from pipelines.settings import Settings

Figure = float | None


class Doubt(StrEnum):
    """Why a map is not faithful."""

    EMPTY_MAP = "empty_map"
    NOTHING_TO_LOSE = "nothing_to_lose"
    NO_BETTER_THAN_CHANCE = "no_better_than_chance"
    INCOMPLETE = "incomplete"
    INSENSITIVE_TO_WEIGHTS = "insensitive_to_weights"
    UNSTABLE = "unstable"


MEANING = {
    Doubt.EMPTY_MAP: "the map is the same everywhere",
    Doubt.NOTHING_TO_LOSE: "whatever is hidden of the image, the probability hardly changes, so no map can be checked",
    Doubt.NO_BETTER_THAN_CHANCE: "hiding and showing what the map calls important changes the probability hardly more "
    "than hiding and showing anything",
    Doubt.INCOMPLETE: "the map does not add up to what the score changed by",
    Doubt.INSENSITIVE_TO_WEIGHTS: "the map stays what it is when the network's weights are shuffled",
    Doubt.UNSTABLE: "the map is not what the method says of the same image with a little noise",
}


class ScoreCard(Document):
    """What speaks for and against a map; figures that were not taken are left out.

    Attributes:
        verdict: Whether any figure is beyond its threshold.
        reasons: Which.
        budget: How thoroughly it was looked at.
    """

    optional: ClassVar[frozenset[str]] = frozenset(
        {
            "completeness_error",
            "randomisation",
            "randomisation_unrelated",
            "stability",
            "pointing_game",
            "mass_accuracy",
            "rank_accuracy",
        }
    )

    verdict: Literal["faithful", "not_faithful"]
    reasons: tuple[Doubt, ...] = ()
    budget: str
    deletion_auc: float = Field(description="area under the probability while the important is taken away; low is good")
    deletion_auc_random: float = Field(description="the same in random orders, their mean")
    insertion_auc: float = Field(description="area under the probability while the important is put back; high is good")
    insertion_auc_random: float = Field(description="the same in random orders, their mean")
    faithfulness: float = Field(
        description="both areas' gain over random orders, as a share of the range of the probability"
    )
    faithfulness_deviations: float = Field(description="the same gain in standard deviations of random orders")
    completeness_error: Figure = Field(default=None, description="share of the change of the score that is missing")
    randomisation: Figure = Field(default=None, description="rank correlation with maps of shuffled weights")
    randomisation_unrelated: Figure = Field(default=None, description="rank correlation with maps of other images")
    stability: Figure = Field(default=None, description="rank correlation with maps of noisy copies")
    pointing_game: bool | None = Field(default=None, description="whether the largest value lies in the mask")
    mass_accuracy: Figure = Field(default=None, description="share of the positive values in the mask")
    rank_accuracy: Figure = Field(default=None, description="share of the mask among the largest values")


class Budget(Settings):
    """How much is spent on judging a map.

    Attributes:
        name: Under which the card tells it.
    """

    name: str
    cells: int = Field(ge=1, description="cells along the longest edge of the image, by which it is taken away")
    steps: int = Field(ge=1, description="points of a curve, but for its beginning")
    random_orders: int = Field(ge=2, description="random orders beside that of the map")
    shares: tuple[float, ...] = Field(min_length=1, description="of the layers that are randomised, from the head on")
    draws: int = Field(ge=1, description="random weights of each share")
    noisy_copies: int = Field(ge=1, description="copies for stability")
    spares_samples: bool = Field(default=False, description="further maps of random methods take fewer samples")
    baseline: float | Literal["minimum", "blurred"] = Field(default=0.0, description="what hidden pixels become")


QUICK = Budget(
    name="quick",
    cells=12,
    steps=12,
    random_orders=8,
    shares=(0.0, 0.5, 1.0),
    draws=2,
    noisy_copies=2,
    spares_samples=True,
)
FULL = Budget(
    name="full", cells=16, steps=32, random_orders=24, shares=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), draws=4, noisy_copies=8
)
BUDGETS = {budget.name: budget for budget in (QUICK, FULL)}


class Thresholds(Settings):
    """What figures a faithful map has; `docs/decisions` says how they were chosen."""

    faithfulness: float = Field(default=0.2, description="at least")
    faithfulness_deviations: float = Field(default=1.64, description="at least: one random order in twenty is as good")
    range: float = Field(default=0.05, description="by which the probability has to change, at least")
    completeness_error: float = Field(default=0.02, description="at most")
    randomisation_above_unrelated: float = Field(default=0.3, description="at most")
    stability: float = Field(default=0.8, description="at least")
