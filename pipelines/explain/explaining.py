"""The pipeline that also says why: a study scored and explained in one go, for every door alike."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from datasets.errors import ConfigError
from datasets.study import Study
from networks.configs import NetworkConfig
from networks.gradients import for_gradients
from pipelines.classifier_task import ClassifierTask
from pipelines.examination import Chosen, Clock, Examination
from pipelines.explain.card import BUDGETS, ScoreCard
from pipelines.explain.evidence import Recording, recording
from pipelines.explain.files import Explained, files_of, record_of
from pipelines.explain.layers import linear_head
from pipelines.explain.method import Method
from pipelines.explain.placement import on_image
from pipelines.explain.registry import method
from pipelines.explain.score_card import Judge
from pipelines.explain.sheet import sheet_file
from pipelines.explain.subjects import Subject, subjects_of
from pipelines.explain.targets import ClassLogit
from pipelines.explain.wanted import ALL, Wanted
from pipelines.loaded_network import load_as_built
from pipelines.results import Result
from pipelines.run import Pipeline

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explaining(Pipeline):
    """A pipeline whose results carry explanations.

    Attributes:
        wanted: Which maps, and how thoroughly they are judged.
        built: The task's network with the layers it was built of, for gradients; `network` answers and has none.
    """

    wanted: Wanted = field(default_factory=lambda: Wanted(methods=("grad_cam",)))
    built: nn.Module | None = None

    @classmethod
    def of(cls, pipeline: Pipeline, wanted: Wanted) -> "Explaining":
        """The same pipeline, explaining.

        Raises:
            ConfigError: There is no such method, or it has not such a setting.
            WeightsError: The weights are not one file.
        """
        for name in wanted.names:
            method(name, **wanted.settings.get(name, {}))
        kept = {one.name: getattr(pipeline, one.name) for one in fields(Pipeline)}
        config: NetworkConfig = pipeline.task.network
        built = for_gradients(load_as_built(config, pipeline.task.weights, pipeline.compute.device))
        return cls(**kept, wanted=wanted, built=built)

    @property
    def asked(self) -> dict[str, Any]:
        """Which explanations."""
        return {"explain": self.wanted.model_dump(mode="json")}

    def run(self, study: Study) -> Result:
        """Score and explain one study.

        Returns:
            As `Pipeline.run`, with explanations and their files.

        Raises:
            InputRefused: The study cannot be scored honestly.
            ConfigError: What is wanted does not fit the task.
        """
        clock = Clock()
        chosen = self.task.choose(study)
        said, record = self._examined(chosen, clock)
        with clock.measure("explain"):
            explained = tuple(self._explained(said, record))
        files = tuple(file for one in explained for file in files_of(one, self.task, self.model))
        if len(self.wanted.names) > 1 and explained:
            files = (*files, sheet_file(explained))
        result = self.told(study, chosen, said, clock)
        return result.model_copy(
            update={
                "explanations": tuple(record_of(one) for one in explained),
                "files": (*result.files, *files),
                "seconds": clock.seconds,
            }
        )

    def _examined(self, chosen: Chosen, clock: Clock) -> tuple[Examination, Recording | None]:
        """Look, and keep what the last maps were while the network was asked, where that explains already."""
        if not isinstance(self.task, ClassifierTask) or linear_head(self.network) is None:
            return self.examine(chosen, clock), None
        with recording(self.network) as record:
            return self.examine(chosen, clock), record

    def _explained(self, said: Examination, record: Recording | None) -> Iterator[Explained]:
        assert self.built is not None  # noqa: S101 - made by `of`
        several = sum(seen.used for seen in said.seen) > 1
        for subject in subjects_of(self.task, said, self.wanted):
            subject = subject.on(self.compute.device)
            judge = None
            if self.wanted.budget != "none":
                inputs, targets = subject.alone()
                judge = Judge(self.built, inputs, targets, BUDGETS[self.wanted.budget])
            for name in self.wanted.names:
                chosen = method(name, **self.wanted.settings.get(name, {}))
                try:
                    maps = self._maps(chosen, subject, record)
                except ConfigError as refusal:
                    if ALL not in self.wanted.methods:
                        raise
                    _LOG.warning("%s left out: %s", name, refusal.message)
                    continue
                cards = _cards(judge, chosen, maps, subject)
                for index, target in enumerate(subject.targets):
                    yield Explained(
                        method=chosen,
                        label=target.label,
                        about=subject.about,
                        heat=on_image(subject.lifted(maps[:, index]), subject.seen, subject.expected),
                        seen=subject.seen,
                        card=cards[index],
                        film=subject.number + 1 if several else None,
                        finding=next((one for one in said.findings if one.label == target.label), None),
                    )

    def _maps(self, chosen: Method, subject: Subject, record: Recording | None) -> Tensor:
        """(N, T, *size): from the forward pass that was made already, where that is all it takes."""
        coarse = getattr(chosen, "coarse", None)
        of_classes = all(isinstance(target, ClassLogit) for target in subject.targets)
        layer = getattr(chosen, "layer", None)
        if record is not None and coarse is not None and of_classes and layer is None:
            evidence = record.only(subject.number).evidence(subject.targets)
            return evidence.on_inputs(coarse(evidence), subject.inputs.shape[2:]).float()
        assert self.built is not None  # noqa: S101 - made by `of`
        network = self.built if chosen.needs_gradients else self.network
        return chosen.explain(network, subject.inputs, subject.targets)


def _cards(judge: Judge | None, chosen: Method, maps: Tensor, subject: Subject) -> Sequence[ScoreCard | None]:
    if judge is None:
        return [None] * len(subject.targets)
    own = maps[subject.judged : subject.judged + 1]
    with torch.inference_mode(False):
        (cards,) = judge.cards(own.clone(), chosen)
    return cards
