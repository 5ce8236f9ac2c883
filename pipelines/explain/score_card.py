"""Judging maps: all figures of a score card, and what they amount to.

What does not depend on the map is measured once: a `Judge` is made for images and targets, and random orders, which
cost most, are shared by all maps and all labels of an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from networks.inference import for_inference
from pipelines.explain.baselines import baseline_of
from pipelines.explain.card import QUICK, Budget, Doubt, ScoreCard, Thresholds
from pipelines.explain.completeness import completeness_error
from pipelines.explain.deletion import Curves, Plan, cell_means, curves, order_of, random_order
from pipelines.explain.integrated_gradients import IntegratedGradients
from pipelines.explain.localisation import localise
from pipelines.explain.method import Method, answers
from pipelines.explain.randomisation import Cascade, Sensitivity, sensitivity
from pipelines.explain.stability import Noise, maps_under_noise, stability
from pipelines.explain.targets import Target

_ORDERS_SEED = 4_001


@dataclass(frozen=True)
class Measured:
    """What was found out about a method's maps of a judge's images, whatever map is shown.

    Attributes:
        sensitivity: To the weights.
        noisy: Its maps of noisy copies, each (N, T, *size).
    """

    sensitivity: Sensitivity
    noisy: tuple[Tensor, ...]


class Judge:
    """Judges maps of images.

    Args:
        network: In evaluation mode, as built.
        inputs: (N, C, *size).
        targets: What the maps are about.
        budget: How thoroughly.
        thresholds: What is faithful.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: Tensor,
        targets: Sequence[Target],
        budget: Budget = QUICK,
        thresholds: Thresholds | None = None,
    ) -> None:
        self.network, self.inputs, self.budget = network, inputs, budget
        self._answering = for_inference(network)
        self.thresholds = thresholds or Thresholds()
        outputs = answers(self._answering, inputs)
        self.targets = [target.bound(outputs) for target in targets]
        self.cell = -(-max(inputs.shape[2:]) // budget.cells)
        self.empty = baseline_of(inputs, budget.baseline).expand_as(inputs)
        self._plan = Plan(self.cell, budget.steps)
        self._random: dict[int, list[Curves]] = {}
        self._measured: dict[Method, Measured] = {}

    def cards(
        self, shown: Tensor, method: Method | None = None, masks: Tensor | None = None
    ) -> tuple[tuple[ScoreCard, ...], ...]:
        """Judge maps.

        Args:
            shown: (N, T, *size), on the grid of the inputs.
            method: What is said to have made them; None judges the maps alone, without what needs further ones.
            masks: (N, T, *size), what is known to be there; a mask of nothing is one that is not known.

        Returns:
            A card for each target of each image.

        Raises:
            ValueError: There is not a map for each image and target.
        """
        wanted = (len(self.inputs), len(self.targets), *self.inputs.shape[2:])
        if tuple(shown.shape) != wanted:
            raise ValueError(f"expected maps {wanted}, got {tuple(shown.shape)}; give one per image and target")
        figures = self._figures(shown, method) if method is not None else {}
        return tuple(
            tuple(
                self._card(shown[n, t], (n, t), figures, None if masks is None else masks[n, t])
                for t in range(len(self.targets))
            )
            for n in range(len(self.inputs))
        )

    def measure(self, method: Method) -> Measured:
        """What needs further maps of a method, once for each."""
        if method not in self._measured:
            further = method.spared() if self.budget.spares_samples else method
            own = further.explain(further.quickest(self.network), self.inputs, self.targets)
            asked = (further, self.network, self.inputs, self.targets)
            cascade = Cascade(self.budget.shares, self.budget.draws)
            self._measured[method] = Measured(
                sensitivity(*asked, own, (cascade, self.cell)),
                tuple(maps_under_noise(*asked, Noise(self.budget.noisy_copies))),
            )
        return self._measured[method]

    def random_curves(self, image: int) -> list[Curves]:
        """Curves of random orders of one image, for each target: drawn once, whatever is judged by them."""
        if image not in self._random:
            cells = cell_means(self.inputs[image, :1], self.cell)[0].numel()
            orders = [random_order(cells, _ORDERS_SEED + draw) for draw in range(self.budget.random_orders)]
            self._random[image] = self._curves(image, list(range(len(self.targets))), orders)
        return self._random[image]

    def _curves(self, image: int, targets: Sequence[int], orders: Sequence[Tensor]) -> list[Curves]:
        chosen = [self.targets[target] for target in targets]
        return curves(self._answering, self.inputs[image], self.empty[image], (chosen, image), orders, self._plan)

    def _completeness(self, shown: Tensor, method: Method) -> Tensor | None:
        if not isinstance(method, IntegratedGradients):
            return None
        start = baseline_of(self.inputs, method.baseline).expand_as(self.inputs)
        rows = torch.arange(len(self.inputs))
        before, after = (answers(self._answering, one) for one in (start, self.inputs))
        rise = [target.scores(after, rows) - target.scores(before, rows) for target in self.targets]
        return completeness_error(shown, torch.stack(rise, dim=1))

    def _figures(self, shown: Tensor, method: Method) -> dict[str, Tensor]:
        """Figures (N, T) of maps said to be a method's, by their names on the card."""
        measured = self.measure(method)
        figures = {
            "randomisation": measured.sensitivity.kept,
            "randomisation_unrelated": measured.sensitivity.unrelated,
            "stability": stability(shown, measured.noisy, self.cell),
        }
        complete = self._completeness(shown, method)
        return figures if complete is None else figures | {"completeness_error": complete}

    def _card(
        self, shown: Tensor, at: tuple[int, int], figures: Mapping[str, Tensor], mask: Tensor | None
    ) -> ScoreCard:
        image, target = at
        random = self.random_curves(image)[target]
        (own,) = self._curves(image, [target], [order_of(cell_means(shown[None].cpu(), self.cell)[0])])
        gains = random.deletion_auc - random.insertion_auc
        gain = float(own.insertion_auc - own.deletion_auc) + float(gains.mean())
        said = torch.cat([own.deletion, own.insertion, random.deletion, random.insertion])
        reach = float(said.max() - said.min())
        card = ScoreCard(
            verdict="faithful",
            budget=self.budget.name,
            deletion_auc=_rounded(own.deletion_auc),
            deletion_auc_random=_rounded(random.deletion_auc.mean()),
            insertion_auc=_rounded(own.insertion_auc),
            insertion_auc_random=_rounded(random.insertion_auc.mean()),
            faithfulness=round(gain / max(reach, 1e-9), 4),
            faithfulness_deviations=round(gain / max(float(gains.std()), 1e-9), 2),
            **{name: _rounded(figure[at]) for name, figure in figures.items()},
            **_where(shown, mask),
        )
        doubts = self._doubts(card, flat=bool(shown.max() == shown.min()), reach=reach)
        return card.model_copy(update={"verdict": "not_faithful" if doubts else "faithful", "reasons": doubts})

    def _doubts(self, card: ScoreCard, *, flat: bool, reach: float) -> tuple[Doubt, ...]:
        limits = self.thresholds
        if flat:
            return (Doubt.EMPTY_MAP,)
        level = max(card.randomisation_unrelated or 0.0, 0.0) + limits.randomisation_above_unrelated
        by_chance = (
            card.faithfulness < limits.faithfulness or card.faithfulness_deviations < limits.faithfulness_deviations
        )
        found = {
            Doubt.NOTHING_TO_LOSE: reach < limits.range,
            Doubt.NO_BETTER_THAN_CHANCE: reach >= limits.range and by_chance,
            Doubt.INCOMPLETE: (card.completeness_error or 0.0) > limits.completeness_error,
            Doubt.INSENSITIVE_TO_WEIGHTS: card.randomisation is not None and card.randomisation > level,
            Doubt.UNSTABLE: card.stability is not None and card.stability < limits.stability,
        }
        return tuple(doubt for doubt, there in found.items() if there)


def _where(shown: Tensor, mask: Tensor | None) -> dict[str, Any]:
    """Where a map points, by the names on the card; nothing where nothing is known to be there."""
    found = None if mask is None else localise(shown, mask)
    if found is None:
        return {}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(found).items()}


def _rounded(figure: Tensor) -> float:
    return round(float(figure), 4)
