"""The one path from a study to a result, for the command line, batch, training validation and the browser."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from datasets.errors import ConfigError
from datasets.study import Series, Study
from pipelines.examination import Chosen, Clock, Compute, Examination, Instruments
from pipelines.image_records import LabelRecord
from pipelines.loaded_network import LoadedNetwork, load_network
from pipelines.localise import Localiser
from pipelines.results import ModelId, QualityFlag, Result, StudyRecord, digest_of_labels
from pipelines.task import Precision, Task

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pipeline:
    """A task with its network, ready to run.

    Attributes:
        task: What to do.
        network: In eval mode, on the device, its parameters frozen.
        model: Which weights these are.
        compute: Where it runs.
        flags: What holds for every result of these weights.
        localiser: The coarse look that chooses what of a scan is searched; None searches everything.
        assistants: Further networks, under the names by which the task asks for them.
    """

    task: Task
    network: nn.Module
    model: ModelId
    compute: Compute
    flags: tuple[QualityFlag, ...] = field(default=())
    localiser: Localiser | None = None
    assistants: Mapping[str, nn.Module] = field(default_factory=dict)

    @classmethod
    def load(cls, task: Task, device: str = "auto", precision: Precision | None = None) -> "Pipeline":
        """Build the task's network, and its coarse one where it has one, and load their weights.

        Args:
            task: The task; `weights: null` gives untrained ones, which every result then says.
            device: "auto", "cpu", "cuda" or "cuda:N".
            precision: None takes the task's.

        Raises:
            WeightsError: The weights do not fit the network.
            ConfigError: The device is not there.
        """
        compute = pick_compute(device, precision or task.precision)
        loaded = load_network(task.network, task.weights, compute)
        task = task.suited_to(loaded.card)
        model, flags, localiser = loaded.model, loaded.flags, None
        if (localisation := task.localisation()) is not None:
            localiser = Localiser.load(localisation, compute)
            model = model.model_copy(update={"localiser_sha256": localiser.loaded.model.weights_sha256})
            flags = (*flags, *_not_yet_said(localiser.loaded, "the coarse look", flags))
        assistants = {}
        for name, wanted in task.assistants().items():
            assistant = load_network(wanted.network, wanted.weights, compute)
            assistants[name] = assistant.network
            told = model.assistants_sha256 | {name: assistant.model.weights_sha256}
            model = model.model_copy(update={"assistants_sha256": told})
            flags = (*flags, *_not_yet_said(assistant, f"the {name}", flags))
        return cls(task, loaded.network, model, compute, flags, localiser, assistants)

    @property
    def asked(self) -> dict[str, Any]:
        """What results hold beyond the task's own, for those who keep results of one kind together; usually nothing."""
        return {}

    def run(self, study: Study) -> Result:
        """Score one study.

        Returns:
            The result with its arrays; `outputs` is empty, because nothing has been written.

        Raises:
            InputRefused: The study cannot be scored honestly.
        """
        clock = Clock()
        chosen = self.task.choose(study)
        return self.told(study, chosen, self.examine(chosen, clock), clock)

    def examine(self, chosen: Chosen, clock: Clock) -> Examination:
        """Look at what was chosen of a study.

        Raises:
            InputRefused: It cannot be scored honestly.
        """
        instruments = Instruments(self.network, self.compute, self.localiser, self.assistants)
        return self.task.examine(chosen, instruments, clock)

    def told(self, study: Study, chosen: Chosen, said: Examination, clock: Clock) -> Result:
        """What was seen in a study, as the result of a run."""
        repairs = (*study.repairs, *chosen.repairs, *said.repairs)
        return Result(
            study=record_of(study, chosen.series[0]),
            task=self.task.name,
            model=self.model,
            config_digest=self.task.digest,
            device=self.compute.device,
            grid=said.grid,
            slide=said.slide,
            findings=said.findings,
            quantities=said.quantities,
            quality=(*map(QualityFlag.of_repair, repairs), *self.flags, *said.flags),
            views=said.views,
            segmentation_sha256=digest_of_labels(said.labels) if said.labels is not None else None,
            label_set=tuple(map(LabelRecord.of, self.task.label_set.labels)),
            seconds=clock.seconds,
            labels=said.labels,
            probabilities=said.probabilities,
            source=said.source,
            sources=said.sources,
            files=said.files,
            instances=said.instances,
        )


def _not_yet_said(loaded: LoadedNetwork, whose: str, flags: tuple[QualityFlag, ...]) -> tuple[QualityFlag, ...]:
    """What holds for a further network; once is enough where several were trained on the same kind of data."""
    said = {flag.code for flag in flags}
    return tuple(
        flag.model_copy(update={"message": f"of {whose}: {flag.message}"})
        for flag in loaded.flags
        if flag.code not in said
    )


def record_of(study: Study, series: Series | None = None) -> StudyRecord:
    """Which study and series this is, without a patient's name."""
    chosen = series or (study.series[0] if study.series else None)
    return StudyRecord(
        uid=study.uid,
        modality=chosen.modality if chosen else "",
        source=study.source,
        series_uid=chosen.uid if chosen else "",
    )


def pick_compute(device: str, precision: Precision = "auto") -> Compute:
    """Resolve "auto" and check that a device that is asked for exists.

    Raises:
        ConfigError: The device is unknown or not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise ConfigError("auto, cpu, cuda or cuda:N", device, "correct --device") from error
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise ConfigError("a CUDA device", f"{device}, but {torch.cuda.device_count()} are there", "use --device cpu")
    if kind.type != "cuda" and device != "cpu":
        raise ConfigError("auto, cpu, cuda or cuda:N", device, "correct --device")
    if precision == "auto":
        precision = "bf16" if kind.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return Compute(device, precision)
