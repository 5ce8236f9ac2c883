"""A training and what came of it: held back examples, scored as every door scores and compared as `evaluate` does."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import InputRefused
from datasets.example import Example
from datasets.io.atomic import write_text
from pipelines.evaluation.document import EvaluationDocument, FigureRecord
from pipelines.evaluation.evaluating import Evaluation, Output, evaluate
from pipelines.evaluation.predictors import PipelinePredictor
from pipelines.evaluation.settings import EvaluationSettings
from pipelines.model_store import rewrite_card
from pipelines.run import Pipeline
from pipelines.task import Task
from pipelines.train import Request, Trained, train

FOLDER, DOCUMENT = "validation", "evaluation.json"
# Of a training's time, what looking at the held back examples may take.
_LARGEST_SHARE = 0.4
# How much longer than expected it may take; intervals are fixed work beside the examples.
_CAUTION, _FIXED_S, _TRIED = 1.4, 4.0, 2


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
    looks = _Looks(request)
    trained = train(request, looks.reserve_s)
    examples = trained.held[: looks.most] if looks.most is not None else trained.held
    document = _look(trained, examples, request) if examples else None
    figures = document.figures if document else ()
    if document is not None:
        told = {name_of(figure): figure.value for figure in figures if figure.value is not None}
        rewrite_card(trained.weights, held_out={"examples": float(len(examples)), **told})
    return Trial(trained.weights, len(trained.parts.train), len(trained.held), len(examples), figures)


def _look(trained: Trained, examples: Sequence[Example], request: Request) -> EvaluationDocument:
    settings = EvaluationSettings(seed=request.seed, renamed=trained.task.training.labels)
    evaluation = Evaluation(trained.dataset, trained.task, settings, tuple(examples), "validation")
    task = trained.task.model_copy(update={"weights": str(trained.weights)})
    predictor = PipelinePredictor.load(task, request.device, trained.dataset)
    folder = request.out / FOLDER
    document = evaluate(evaluation, predictor, None, Output(folder, fresh=True), lambda *_: None)
    write_text(folder / DOCUMENT, document.text())
    return document


def name_of(figure: FigureRecord) -> str:
    """Metric and label in one word."""
    return f"{figure.metric}_{figure.label}" if figure.label else figure.metric


class _Looks:
    """How long the held back examples will take, and how many of them there is time for."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.most: int | None = None

    def reserve_s(self, task: Task, held: Sequence[Example]) -> float:
        """Seconds to keep, found by scoring a few examples with weights that know nothing."""
        left = self._request.seconds_left
        if left is None or not held:
            return 0.0
        pipeline = Pipeline.load(task.model_copy(update={"weights": None}), self._request.device)
        start = time.monotonic()
        tried = held[:: max(1, len(held) // _TRIED)][:_TRIED]
        for example in tried:
            try:
                pipeline.run(example.study)
            except InputRefused:
                continue  # It will be told of when it counts.
        each = _CAUTION * (time.monotonic() - start) / len(tried)
        allowed = max(0.0, _LARGEST_SHARE * left - _FIXED_S)
        if each * len(held) > allowed:
            self.most = max(1, int(allowed / each))
        return _FIXED_S + each * (self.most or len(held))
