"""What is learnt from at each step: drawn from the step's number alone.

The number of a step, the seed and the place in the batch decide which case is taken, where, and how it is changed. A
training that was broken off therefore goes on with exactly what it would have seen, two processes see the two halves
of what one would, and patches can be cut ahead of time by others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from datasets.errors import ConfigError
from pipelines.training.augmentation import Rng, change_values, draw_move, draw_shift
from pipelines.training.patches import Move, Size, centre_within, cut
from pipelines.training.prepared import Case
from pipelines.training_settings import TrainingSettings

_LOOK = 1_000_003


@dataclass(frozen=True)
class Shape:
    """How patches are cut for a network.

    Attributes:
        size: (D, H, W) of a patch; None for whole pictures of one size.
        flat: The network is 2D: slices stay slices.
        context: Neighbouring slices on either side that a flat network sees as channels.
    """

    size: Size | None
    flat: bool
    context: int = 0

    def of(self, case: Case) -> Size:
        """What is cut from a case."""
        depth, height, width = self.size or case.size
        return (2 * self.context + 1 if self.flat else depth), height, width


@dataclass(frozen=True)
class Draws:
    """Batches by the number of their step.

    Attributes:
        cases: To draw from.
        shape: Of patches.
        finished: A patch and its truth as the network and the loss take them.
        settings: Batch, places, balance and changes.
        seed: Of everything random.
        rank: Which of several processes this is.
        world: How many there are: step and place in the whole batch decide, so two see the halves of what one would.
        stage: Number of the stage.
    """

    cases: Sequence[Case]
    shape: Shape
    finished: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    settings: TrainingSettings
    seed: int
    rank: int = 0
    world: int = 1
    stage: int = 0
    _weights: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        """What a network takes at a step, and what it is to say."""
        first = self.rank * self.settings.batch
        drawn = [self._drawn(step, first + place) for place in range(self.settings.batch)]
        return torch.stack([pixels for pixels, _ in drawn]), torch.stack([truth for _, truth in drawn])

    def _drawn(self, step: int, place: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, self.stage, step, place])
        label = self._label(rng)
        case = self._case(label, rng)
        size = self.shape.of(case)
        pixels, truth = cut(case, self._centre(case, size, label, rng), size, self._move(case, rng))
        return self.finished(change_values(pixels, self.settings.augmentation, rng), truth)

    def _label(self, rng: Rng) -> str:
        """On what a patch is centred; "" anywhere."""
        at = rng.random()
        for place in self.settings.places:
            if at < place.share:
                return place.label
            at -= place.share
        return ""

    def _case(self, label: str, rng: Rng) -> Case:
        """One of those that have the label; of all where none has it."""
        if label not in self._weights:
            self._weights[label] = self._shares(label)
        numbers, shares = self._weights[label]
        return self.cases[int(numbers[np.searchsorted(shares, rng.random(), side="right").clip(max=len(numbers) - 1)])]

    def _shares(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        numbers = [n for n, case in enumerate(self.cases) if not label or label in case.places] or range(
            len(self.cases)
        )
        kinds = [self.cases[n].kind for n in numbers]
        count = {kind: kinds.count(kind) for kind in set(kinds)}
        weights = np.array([count[kind] ** (self.settings.balance - 1.0) for kind in kinds])
        return np.asarray(numbers), np.cumsum(weights / weights.sum())

    def _centre(self, case: Case, size: Size, label: str, rng: Rng) -> tuple[float, float, float]:
        if self.shape.size is None:
            shift = draw_shift(self.settings.augmentation, case.size, rng, flat=self.shape.flat)
            middle = (np.asarray(case.size) - 1) / 2
            if self.shape.flat and case.size[0] > 1:
                middle[0] = rng.integers(case.size[0])
            return tuple(float(n) for n in middle + shift)  # type: ignore[return-value]
        places = case.places.get(label)
        if places is not None and places.size:
            place = int(places[rng.integers(places.size)])
            wanted = np.array(np.unravel_index(place, case.size), dtype=np.float64)
            # Anywhere in the patch but at its very edge, so that what lies around is seen as well.
            wanted += rng.uniform(-0.25, 0.25, 3) * np.asarray(size)
            z = float(np.unravel_index(place, case.size)[0])
        else:
            wanted = rng.uniform(0.0, 1.0, 3) * (np.asarray(case.size) - 1)
            z = float(rng.integers(case.size[0]))
        if not self.shape.flat:
            return centre_within(case.size, size, (wanted[0], wanted[1], wanted[2]))
        _, y, x = centre_within(case.size, size, (z, wanted[1], wanted[2]))
        return z, y, x

    def _move(self, case: Case, rng: Rng) -> Move:
        return draw_move(self.settings.augmentation, case.spacing, rng, flat=self.shape.flat)


def look_patches(cases: Sequence[Case], shape: Shape, count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Patches to look at while training, unchanged, the same ones every time.

    Args:
        cases: Held back.
        shape: Of patches.
        count: How many; whole pictures are taken once each at most.
        seed: Of their places.

    Returns:
        Inputs (C, D, H, W) and truths.
    """
    order = np.random.default_rng([seed, _LOOK]).permutation(len(cases))
    looks = []
    for number in range(count if shape.size is not None or shape.flat else min(count, len(cases))):
        case = cases[int(order[number % len(cases)])]
        rng = np.random.default_rng([seed, _LOOK, number])
        size = shape.of(case)
        at = rng.uniform(0.0, 1.0, 3) * (np.asarray(case.size) - 1)
        places = case.places.get("any")
        if number % 2 == 0 and places is not None and places.size:
            at = np.array(np.unravel_index(int(places[rng.integers(places.size)]), case.size), dtype=np.float64)
        if shape.size is None:
            at[1:] = (np.asarray(case.size[1:]) - 1) / 2
        z, y, x = centre_within(case.size, size, (at[0], at[1], at[2]))
        looks.append(cut(case, (float(np.rint(at[0])) if shape.flat else z, y, x), size, Move.none()))
    return looks


def check_sizes(cases: Sequence[Case], shape: Shape, batch: int) -> None:
    """That patches of a step can lie in one tensor.

    Raises:
        ConfigError: Whole pictures of several sizes make a batch of more than one.
    """
    if shape.size is None and batch > 1 and len(sizes := {case.inputs.shape for case in cases}) > 1:
        told = ", ".join(str(size) for size in sorted(sizes)[:3])
        raise ConfigError("pictures of one size, or patches", f"whole pictures of {told} …", "set training.patch")
