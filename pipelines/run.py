"""The one path from a study to a result, for the command line, batch, training validation and the browser."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import nn

from datasets.errors import ConfigError
from datasets.study import Series, Study, choose_series
from pipelines.loaded_network import load_network
from pipelines.localise import Localiser, Searched
from pipelines.results import (
    GridRecord,
    ModelId,
    QualityFlag,
    Result,
    StudyRecord,
    digest_of_labels,
)
from pipelines.task import Compute, Precision, Task

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
    """

    task: Task
    network: nn.Module
    model: ModelId
    compute: Compute
    flags: tuple[QualityFlag, ...] = field(default=())
    localiser: Localiser | None = None

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
        localisation = task.localisation()
        if localisation is None:
            return cls(task, loaded.network, loaded.model, compute, loaded.flags)
        localiser = Localiser.load(localisation, compute)
        model = loaded.model.model_copy(update={"localiser_sha256": localiser.loaded.model.weights_sha256})
        # Once is enough where both networks were trained on the same kind of data.
        said = {flag.code for flag in loaded.flags}
        coarse = [flag for flag in localiser.loaded.flags if flag.code not in said]
        told = [flag.model_copy(update={"message": f"of the coarse look: {flag.message}"}) for flag in coarse]
        return cls(task, loaded.network, model, compute, (*loaded.flags, *told), localiser)

    def run(self, study: Study) -> Result:
        """Score one study.

        Returns:
            The result with its arrays; `outputs` is empty, because nothing has been written.

        Raises:
            InputRefused: The study cannot be scored honestly.
        """
        clock = _Clock()
        with clock.measure("load"):
            series, choice = choose_series(study, self.task.modalities, self.task.min_images)
            loaded = series.load()
        image = loaded.image
        with clock.measure("preprocess"):
            prepared = self.task.preprocess(image)
            searched = self.localiser.crop(prepared, image) if self.localiser else Searched(prepared)
        with clock.measure("network"), torch.inference_mode():
            prediction = self.task.infer(self.network, searched.image, image, self.compute)
        with clock.measure("postprocess"):
            said = self.task.interpret(prediction, image)
        repairs = (*study.repairs, *((choice,) if choice else ()), *loaded.repairs)
        flags = (*self.flags, *searched.flags(said.labels), *prediction.flags, *said.flags)
        quality = (*map(QualityFlag.of_repair, repairs), *flags)
        return Result(
            study=record_of(study, series),
            task=self.task.name,
            model=self.model,
            device=self.compute.device,
            grid=GridRecord.of(image.grid) if image.affine is not None else None,
            findings=said.findings,
            quantities=said.quantities,
            quality=quality,
            segmentation_sha256=digest_of_labels(said.labels) if said.labels is not None else None,
            seconds=clock.seconds,
            labels=said.labels,
            probabilities=prediction.probabilities if self.task.output.probability else None,
            source=loaded.source,
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


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = round(time.perf_counter() - start, 3)
