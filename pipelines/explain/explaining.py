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
from pipelines.explain.evidence import OfMaps, Recording, recording
from pipelines.explain.files import Explained, files_of, record_of
from pipelines.explain.layers import linear_head
from pipelines.explain.method import Method
from pipelines.explain.placement import on_image
from pipelines.explain.registry import method
from pipelines.explain.score_card import Judge
from pipelines.explain.sheet import sheet_file
from pipelines.explain.subject import Subject
from pipelines.explain.subjects import check_wanted, subjects_of
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

    wanted: Wanted = field(kw_only=True)
    built: nn.Module = field(kw_only=True)

    @classmethod
    def of(cls, pipeline: Pipeline, wanted: Wanted) -> "Explaining":
        """The same pipeline, explaining.

        Raises:
            ConfigError: There is no such method, setting or label, or the task's network is not explained.
            WeightsError: The weights are not one file.
        """
        # What is wrong with the call is told before any study is scored.
        for name in wanted.names:
            method(name, **wanted.settings.get(name, {}))
        check_wanted(pipeline.task, wanted)
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
        several = sum(seen.used for seen in said.seen) > 1
        found = {finding.label: finding for finding in reversed(said.findings)}
        for subject in subjects_of(self.task, said, self.wanted):
            own = subject.on(self.compute.device)
            for chosen, maps, cards in self._judged(own, record):
                for index, target in enumerate(own.targets):
                    yield Explained(
                        method=chosen,
                        label=target.label,
                        about=own.about,
                        heat=on_image(own.lifted(maps[:, index]), own.seen, own.expected),
                        seen=own.seen,
                        card=cards[index],
                        film=own.number + 1 if several else None,
                        finding=found.get(target.label),
                    )

    def _judged(
        self, subject: Subject, record: Recording | None
    ) -> Iterator[tuple[Method, Tensor, Sequence[ScoreCard | None]]]:
        """Each method, its maps (N, T, *size), and a card for each target."""
        judge = None
        if self.wanted.budget != "none":
            judge = Judge(self.built, *subject.alone(), BUDGETS[self.wanted.budget])
        for name in self.wanted.names:
            chosen = method(name, **self.wanted.settings.get(name, {}))
            try:
                maps = self._maps(chosen, subject, record)
            except ConfigError as refusal:
                if ALL not in self.wanted.methods:
                    raise
                _LOG.warning("%s left out: %s", name, refusal.message)
                continue
            yield chosen, maps, _cards(judge, chosen, maps, subject)

    def _maps(self, chosen: Method, subject: Subject, record: Recording | None) -> Tensor:
        """(N, T, *size): from the forward pass that was made already, where that is all it takes."""
        of_classes = all(isinstance(target, ClassLogit) for target in subject.targets)
        of_last_maps = getattr(chosen, "layer", None) is None
        if record is not None and of_classes and of_last_maps and isinstance(chosen, OfMaps):
            evidence = record.only(subject.number).evidence(subject.targets)
            return evidence.on_inputs(chosen.coarse(evidence), subject.inputs.shape[2:]).float()
        network = self.built if chosen.needs_gradients else self.network
        return chosen.explain(network, subject.inputs, subject.targets)


def _cards(judge: Judge | None, chosen: Method, maps: Tensor, subject: Subject) -> Sequence[ScoreCard | None]:
    if judge is None:
        return [None] * len(subject.targets)
    own = maps[subject.judged : subject.judged + 1]
    with torch.inference_mode(False):
        (cards,) = judge.cards(own.clone(), chosen)
    return cards
