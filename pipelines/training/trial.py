"""A training and what came of it: held back examples, scored as every door scores and compared as `evaluate` does."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from datasets.errors import DenseLensError
from datasets.example import Dataset, Example
from datasets.io.atomic import write_text
from pipelines.evaluation.document import EvaluationDocument, FigureRecord
from pipelines.evaluation.evaluating import Evaluation, Output, evaluate
from pipelines.evaluation.predictors import PipelinePredictor
from pipelines.evaluation.said import Predictor
from pipelines.evaluation.settings import EvaluationSettings
from pipelines.model_package import EvaluationRecord, Figure
from pipelines.model_store import rewrite_card
from pipelines.task import Task
from pipelines.train import Request, Trained, train

FOLDER, DOCUMENT = "validation", "evaluation.json"
# Of a training's time, what looking at the held back examples may take; what is not done by then is left out. Figures
# of all of them are what another evaluation will find again, so half is not too much where time is short.
_LARGEST_SHARE = 0.6
# How much longer than expected it may take; intervals are fixed work beside the examples.
_CAUTION, _FIXED_S = 1.2, 10.0
# How many are scored to know how long all will take, and the share of the time after which no other is tried.
_TRIED, _TRYING_SHARE = 8, 0.08
# Kept for the intervals, and for what loads before the clock begins.
_AT_LEAST_S = 9.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """What came of a training.

    Attributes:
        weights: The file, its card beside it.
        learnt: How many examples were learnt from.
        held: How many were held back.
        looked_at: How many of those were scored at the end: all, unless there was no time.
        figures: On them, with intervals.
    """

    weights: Path
    learnt: int
    held: int
    looked_at: int
    figures: tuple[FigureRecord, ...]


def train_and_look(request: Request) -> Trial:
    """Train, score what was held back, and put the figures into the weights' card.

    Raises:
        ConfigError: As `train`.
    """
    trained = train(request, partial(_seconds_to_look, request))
    document = _look(trained, request) if trained.held else None
    figures = document.figures if document else ()
    looked_at = document.data.examples if document else 0
    if document is not None:
        known = {name_of(figure): figure for figure in figures if figure.value is not None}
        rewrite_card(
            trained.weights,
            held_out={"examples": float(looked_at), **{name: figure.value for name, figure in known.items()}},
            evaluation=EvaluationRecord(
                data=f"held back of {trained.dataset.name}",
                cases=looked_at,
                figures={name: Figure(value=f.value, low=f.low, high=f.high) for name, f in known.items()},
            ),
        )
    return Trial(trained.weights, len(trained.parts.train), len(trained.held), looked_at, figures)


def name_of(figure: FigureRecord) -> str:
    """Metric and label in one word."""
    return f"{figure.metric}_{figure.label}" if figure.label else figure.metric


def _look(trained: Trained, request: Request) -> EvaluationDocument:
    examples = list(trained.held)
    if request.max_minutes is not None:
        # Should there be no time for all, those that are looked at are any, not the first by name.
        Random(request.seed).shuffle(examples)
    predictor = PipelinePredictor.load(_with_weights(trained.task, trained.weights), request.device, trained.dataset)
    folder = request.out / FOLDER
    document = evaluate(
        _evaluation(trained.dataset, trained.task, examples, request),
        predictor,
        None,
        Output(folder, fresh=True),
        lambda *_: None,
        _TimeIsUp(request),
    )
    write_text(folder / DOCUMENT, document.text())
    return document


class _TimeIsUp:
    """Asked after each example: whether another as long as the longest so far would end too late."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._before, self._longest_s = time.monotonic(), 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        self._before, self._longest_s = now, max(self._longest_s, now - self._before)
        left = self._request.seconds_left
        return left is not None and left < _AT_LEAST_S + self._longest_s


def _evaluation(dataset: Dataset, task: Task, examples: Sequence[Example], request: Request) -> Evaluation:
    settings = EvaluationSettings(seed=request.seed, renamed=task.training.labels)
    return Evaluation(dataset, task, settings, tuple(examples), "validation")


def _with_weights(task: Task, weights: Path | None) -> Task:
    return task.model_copy(update={"weights": None if weights is None else str(weights)})


def _seconds_to_look(request: Request, task: Task, dataset: Dataset, held: Sequence[Example]) -> float:
    """Seconds to keep, found by scoring and comparing examples of every size with weights that know nothing."""
    left = request.seconds_left
    if left is None or not held:
        return 0.0
    evaluation = _evaluation(dataset, task, held, request)
    predictor = PipelinePredictor.load(_with_weights(task, None), request.device, dataset)
    tried = of_every_size(held)
    _seconds(evaluation, predictor, tried[0])  # The first one waits for what is loaded when it is needed.
    durations: list[float] = []
    for example in tried:
        durations.append(_seconds(evaluation, predictor, example))
        if sum(durations) > _TRYING_SHARE * left:
            break
    mean_s, longest_s = sum(durations) / len(durations), max(durations)
    # None is begun that might end too late, so there is to be time for one more of the longest.
    return min(_FIXED_S + _CAUTION * (mean_s * len(held) + longest_s), _LARGEST_SHARE * left)


def of_every_size(held: Sequence[Example], at_most: int = _TRIED) -> list[Example]:
    """The middle one of each of a few equal parts of the examples in order of size, the middle parts first.

    Args:
        held: At least one.
        at_most: Parts.
    """
    by_size = sorted(held, key=lambda one: (_size_bytes(one), one.name))
    parts = min(at_most, len(by_size))
    middles = [(2 * part + 1) * len(by_size) // (2 * parts) for part in range(parts)]
    return [by_size[at] for at in sorted(middles, key=lambda at: abs(2 * at + 1 - len(by_size)))]


def _size_bytes(example: Example) -> int:
    """Of its file, for what is large takes long; 0 where it is no single file."""
    source = Path(example.study.source)
    return source.stat().st_size if source.is_file() else 0


def _seconds(evaluation: Evaluation, predictor: Predictor, example: Example) -> float:
    start = time.monotonic()
    try:
        evaluation.compare(example, predictor.say(example))
    except DenseLensError as error:  # It will be told of when it counts.
        _LOG.debug("%s: %s", example.name, error.message)
    return time.monotonic() - start
