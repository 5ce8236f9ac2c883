"""The one path from a study to a result, for the command line, batch, training validation and the browser."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from datasets.errors import ConfigError
from datasets.study import Series, Study, choose_series
from networks.build import build
from pipelines.model_store import find_weights, load_weights, read_card, untrained
from pipelines.results import (
    FlagCode,
    GridRecord,
    ModelId,
    QualityFlag,
    Result,
    StudyRecord,
    digest_of_labels,
)
from pipelines.task import Compute, Task

_LOG = logging.getLogger(__name__)
# Random weights are the same ones every time, so that a run with them can be repeated.
_UNTRAINED_SEED = 0


@dataclass(frozen=True)
class Pipeline:
    """A task with its network, ready to run.

    Attributes:
        task: What to do.
        network: In eval mode, on the device, its parameters frozen.
        model: Which weights these are.
        compute: Where it runs.
        flags: What holds for every result of these weights.
    """

    task: Task
    network: nn.Module
    model: ModelId
    compute: Compute
    flags: tuple[QualityFlag, ...] = field(default=())

    @classmethod
    def load(cls, task: Task, device: str = "auto", precision: Literal["auto", "fp32", "bf16"] = "auto") -> "Pipeline":
        """Build the task's network and load its weights.

        Args:
            task: The task; `weights: null` gives untrained ones, which every result then says.
            device: "auto", "cpu", "cuda" or "cuda:N".
            precision: "auto" is bf16 on a GPU that has it and fp32 elsewhere.

        Raises:
            WeightsError: The weights do not fit the network.
            ConfigError: The device is not there.
        """
        compute = pick_compute(device, precision)
        network = build(task.network, seed=_UNTRAINED_SEED)
        model = untrained()
        flags: tuple[QualityFlag, ...] = _UNTRAINED_FLAGS
        if task.weights is not None:
            path = find_weights(task.weights)
            model = load_weights(network, task.network, path)
            card = read_card(path)
            flags = _PHANTOM_FLAGS if card is not None and card.phantom else ()
        # Channels last is the layout in which convolutions of both kinds of device are fast.
        layout = torch.channels_last_3d if task.network.spatial_dims == 3 else torch.channels_last
        network = network.to(device=compute.device).eval().requires_grad_(False)
        network = network.to(memory_format=layout)  # type: ignore[call-overload]
        return cls(task, network, model, compute, flags)

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
        with clock.measure("network"), torch.inference_mode():
            prediction = self.task.infer(self.network, prepared, image, self.compute)
        with clock.measure("postprocess"):
            said = self.task.interpret(prediction, image)
        repairs = (*study.repairs, *((choice,) if choice else ()), *loaded.repairs)
        quality = (*map(QualityFlag.of_repair, repairs), *self.flags, *prediction.flags, *said.flags)
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


def pick_compute(device: str, precision: Literal["auto", "fp32", "bf16"] = "auto") -> Compute:
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


_UNTRAINED_FLAGS = (
    QualityFlag(
        code=FlagCode.UNTRAINED_WEIGHTS,
        severity="error",
        message="the network has random weights: nothing it says about this study means anything",
    ),
)
_PHANTOM_FLAGS = (
    QualityFlag(
        code=FlagCode.PHANTOM_WEIGHTS,
        severity="warning",
        message="these weights were trained on computer-made phantoms only and are not meant for patients",
    ),
)
