"""Lessons of tasks that say which findings there are in a study, or of what class it is: every view is learnt from."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor

from datasets.errors import ConfigError
from datasets.example import ClassTruth, Example, FindingsTruth
from pipelines.classification import AnyHead, ClassesHead, FindingsHead
from pipelines.classifier_task import ClassifierTask
from pipelines.examination import Clock
from pipelines.metrics.auroc import auroc
from pipelines.tensors import as_tensor
from pipelines.training.draws import Shape
from pipelines.training.lesson import Answers, Figures, Lesson
from pipelines.training.losses import head_loss
from pipelines.training.prepared import Case, spacing_of

Truths = NDArray[np.float32]


class HeadsLesson(Lesson):
    """A lesson whose network answers with findings, classes and scores of a whole view."""

    @property
    @abstractmethod
    def heads(self) -> tuple[AnyHead, ...]:
        """In the order of the network's outputs."""

    @property
    def shape(self) -> Shape:
        """Whole views."""
        return Shape(None, self.task.network.spatial_dims == 2)

    @property
    def independent(self) -> bool:
        """Findings do not exclude each other."""
        return all(isinstance(head, FindingsHead) for head in self.heads)

    def finished(self, pixels: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Films and patches (C, H, W), volumes (C, D, H, W); the truth as it is."""
        return (pixels[:, 0] if self.task.network.spatial_dims == 2 else pixels), truth

    def loss(self, answers: Answers, wanted: Tensor) -> Tensor:
        """Cross-entropy of findings and classes, smooth L1 of scores.

        Raises:
            TypeError: The network has several heads.
        """
        if not isinstance(answers, Tensor):
            raise TypeError(f"expected logits (N, outputs); got {type(answers).__name__}")
        return head_loss(answers, wanted, self.heads, self.task.training.loss)

    def figures(self, said: Sequence[Tensor], wanted: Sequence[Tensor]) -> Figures:
        """AUROC of findings and of two classes, accuracy of more, error of scores; the mean decides, errors minus."""
        logits = torch.cat(list(said)).double().numpy()
        truth = torch.cat(list(wanted)).numpy()
        told: dict[str, float] = {}
        first = 0
        for head in self.heads:
            own = slice(first, first + len(head.names))
            first = own.stop
            told |= dict(_head_figures(head, logits[:, own], truth[:, own]))
        decisive = [-value if name.startswith("error_") else value for name, value in told.items()]
        return Figures(float(np.mean(decisive)) if decisive else 0.0, told)


@dataclass(frozen=True)
class ClassLesson(HeadsLesson):
    """A lesson in classifying films and volumes.

    Attributes:
        task: Suited to what its weights expect, with the settings of its training.
    """

    task: ClassifierTask

    @property
    def heads(self) -> tuple[AnyHead, ...]:
        """In the order of the network's outputs."""
        return self.task.judge.heads

    @property
    def outputs(self) -> tuple[str, ...]:
        """In their order."""
        return self.task.judge.names

    def told(self) -> dict[str, Any]:
        """Labels of the outputs, and what pixels are expected."""
        return {"labels": self.task.judge.names, "input": self.task.expected}

    def prepare(self, example: Example) -> Sequence[Case]:
        """Every view the study's findings would rest on.

        Raises:
            InputRefused: No view can be used.
            ConfigError: The example's truth is of another sort, or names classes the task does not have.
        """
        truth = wanted_of(example, self.heads, self.task.training.labels)
        views = [view for view in self.task.views(self.task.choose(example.study), Clock()) if view.used]
        kind = example.truth.classes[example.truth.index] if isinstance(example.truth, ClassTruth) else ""
        return [
            Case(
                example.name if len(views) == 1 else f"{example.name}/{number}",
                np.ascontiguousarray(as_tensor(view.prepared).float().numpy()),
                truth,
                {},
                kind,
                spacing_of(view.prepared),
            )
            for number, view in enumerate(views)
        ]


def wanted_of(example: Example, heads: Sequence[AnyHead], renamed: Mapping[str, str]) -> Truths:
    """What a network's outputs are to be, (outputs,), NaN where nothing is known.

    Args:
        example: With findings or a class.
        heads: In the order of the outputs.
        renamed: What the data calls a label, and what the task does.

    Raises:
        ConfigError: The truth is of another sort, or names classes the heads do not have.
    """
    if isinstance(example.truth, ClassTruth):
        return np.concatenate([_class_truth(example.truth, head, renamed) for head in heads]).astype(np.float32)
    if not isinstance(example.truth, FindingsTruth):
        got = f"{type(example.truth).__name__} of {example.name}"
        raise ConfigError("findings or a class", got, "train a task that labels voxels on this set")
    values = {renamed.get(name, name): value for name, value in example.truth.values.items()}
    return np.concatenate([_findings_truth(values, head) for head in heads]).astype(np.float32)


def _class_truth(truth: ClassTruth, head: AnyHead, renamed: Mapping[str, str]) -> NDArray[np.float64]:
    name = renamed.get(truth.classes[truth.index], truth.classes[truth.index])
    if isinstance(head, ClassesHead):
        if name in head.labels:
            return np.array([float(label == name) for label in head.labels])
        # A set without names for its classes has them in the order of its numbers.
        if all(one.isdigit() for one in truth.classes) and len(truth.classes) == len(head.labels):
            return np.array([float(index == truth.index) for index in range(len(head.labels))])
        got = f"{name}; the set has {', '.join(truth.classes)}"
        raise ConfigError(f"a class of {', '.join(head.labels)}", got, "set training.labels, or outputs")
    if isinstance(head, FindingsHead):
        known = {renamed.get(one, one) for one in truth.classes}
        return np.array([float(label == name) if label in known else np.nan for label in head.labels])
    return np.full(len(head.names), np.nan)


def _findings_truth(values: Mapping[str, float], head: AnyHead) -> NDArray[np.float64]:
    own = np.array([values.get(name, np.nan) for name in head.names], dtype=np.float64)
    if isinstance(head, ClassesHead):
        # One that is told and all others not, or else nothing is known.
        if np.nansum(own) == 1.0:
            return np.nan_to_num(own)
        negative = head.negative
        others_known = not np.isnan(own[[label != negative for label in head.labels]]).any()
        if negative is not None and others_known and np.nansum(own) == 0.0:
            return np.array([float(label == negative) for label in head.labels])
        return np.full(len(head.names), np.nan)
    return own


def _head_figures(head: AnyHead, logits: NDArray[np.float64], truth: Truths) -> Iterable[tuple[str, float]]:
    if isinstance(head, FindingsHead):
        said = expit(logits)
        for column, label in enumerate(head.labels):
            known = ~np.isnan(truth[:, column])
            value = auroc(said[known, column], truth[known, column] > 0.5)
            if label and value is not None:
                yield f"auroc_{label}", value
    elif isinstance(head, ClassesHead):
        known = np.logical_not(np.isnan(truth).any(axis=1))
        said, wanted = softmax(logits[known], axis=1), truth[known].argmax(axis=1)
        value = auroc(said[:, 1], wanted == 1) if len(head.labels) == 2 else None
        if value is not None:
            yield f"auroc_{head.labels[1]}", value
        elif known.any():
            yield "accuracy", float((said.argmax(axis=1) == wanted).mean())
    else:
        known = ~np.isnan(truth[:, 0])
        if known.any():
            error = np.abs(np.clip(logits[known, 0], head.low, head.high) - truth[known, 0]).mean()
            yield f"error_{head.name}", float(error / (head.high - head.low))
