"""What goes into a task's look at a study, and what comes out of it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from datasets.codes import Repair
from datasets.dicom_source import DicomSource
from datasets.image import Image
from datasets.study import Series
from networks.configs import NetworkConfig
from pipelines.image_records import GridRecord, SlideRecord
from pipelines.results import Finding, OutputFile, QualityFlag, Quantity, ViewRecord

if TYPE_CHECKING:
    import torch

    from pipelines.localise import Localiser


@dataclass(frozen=True)
class Compute:
    """Where and how a network runs.

    Attributes:
        device: "cpu", "cuda" or "cuda:N".
        precision: "fp32" or "bf16" (autocast).
    """

    device: str = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True)
class Prediction:
    """What a network said about an image, on the image's own grid.

    Attributes:
        labels: Label map, (1, I, J, K) uint8, before post-processing.
        probabilities: One channel per label of the task's set, uint8 in 1/255; None where a task has none.
        flags: What happened on the way that a reader should know (air skipped, batch halved).
    """

    labels: Image
    probabilities: Image | None
    flags: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True)
class Interpretation:
    """Statements about an image.

    Attributes:
        labels: The final label map on the image's grid, or None for tasks without one.
        findings: What a reader accepts, edits or rejects.
        quantities: Measurements of the whole study.
        flags: Why the statements should be read with care.
        files: Further files of the study's folder.
        instances: Objects one by one, a number each, on the image's grid, where the task tells them apart.
    """

    labels: Image | None
    findings: tuple[Finding, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    flags: tuple[QualityFlag, ...] = field(default=())
    files: tuple[OutputFile, ...] = ()
    instances: Image | None = None


class Network(Protocol):
    """A network in eval mode: (N, C, …) to logits (N, classes, …)."""

    def __call__(self, x: "torch.Tensor", /) -> "torch.Tensor":
        """Logits of a batch."""


@dataclass(frozen=True)
class Chosen:
    """What of a study a task looks at.

    Attributes:
        series: At least one; in the order in which the task looks at them.
        repairs: What was decided in choosing them.
    """

    series: tuple[Series, ...]
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True)
class Assistant:
    """A further network that a task asks, beside its own.

    Attributes:
        network: What is built.
        weights: Name of shipped weights or path of a file; None: untrained.
    """

    network: NetworkConfig
    weights: str | None


@dataclass(frozen=True)
class Instruments:
    """What a task looks with.

    Attributes:
        network: The task's own.
        compute: Where networks run.
        localiser: The coarse look that chooses what of a scan is searched; None searches everything.
        assistants: Further networks, under the names by which the task asked for them.
    """

    network: Network
    compute: Compute
    localiser: "Localiser | None" = None
    assistants: Mapping[str, Network] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network saw at once; in memory alone, for whoever explains it.

    Attributes:
        prepared: As the network took it, or was given windows of it.
        image: As it was read.
        source: Which film or series, for people.
        used: Whether the study's findings rest on it.
        dicom: The DICOM instances behind the image.
    """

    prepared: Image
    image: Image
    source: str = ""
    used: bool = True
    dicom: DicomSource | None = None


@dataclass(frozen=True, eq=False)
class Field(Seen):
    """A part of a slide, or a loose patch, and the patches of it that a network saw one by one.

    Attributes:
        patch_px: Edge of a patch.
        corners: First (row, column) of each patch; the one that matters most in the middle.
        label: What the network says a probability of.
        number: Of the finding that lies here, from 1; 0 of a loose patch.
        at_um: Left and upper edge on the slide (x, y); None of a loose patch.
        mpp: Micrometres per pixel; None where they are unknown.
    """

    patch_px: int = 0
    corners: tuple[tuple[int, int], ...] = ((0, 0),)
    label: str = ""
    number: int = 0
    at_um: tuple[float, float] | None = None
    mpp: float | None = None


@dataclass(frozen=True)
class Examination:
    """What a task has to say about a study, and what it saw.

    Attributes:
        findings: What a reader accepts, edits or rejects.
        quantities: Measurements of the whole study.
        flags: Why the statements should be read with care.
        repairs: What was put right while pixels were read.
        grid: The grid of the input image; None where it is unknown or there is no single one.
        slide: The slide, where there is one.
        views: Films that were scored one by one.
        labels: Label map on the grid of the input, written as NIfTI and DICOM SEG where its spacing is known.
        probabilities: One channel per label, for who asks for them.
        source: The DICOM instances behind the image.
        sources: The DICOM instances behind all images that the findings rest on, which a report names.
        files: Further files of the study's folder.
        instances: Objects one by one, a number each; in memory alone.
        seen: What the network saw, in the order in which it was asked; of a slide fields about what was found.
    """

    findings: tuple[Finding, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    flags: tuple[QualityFlag, ...] = ()
    repairs: tuple[Repair, ...] = ()
    grid: GridRecord | None = None
    slide: SlideRecord | None = None
    views: tuple[ViewRecord, ...] = ()
    labels: Image | None = None
    probabilities: Image | None = None
    source: DicomSource | None = None
    sources: tuple[DicomSource, ...] = ()
    files: tuple[OutputFile, ...] = ()
    instances: Image | None = None
    seen: tuple[Seen, ...] = ()


class Clock:
    """Seconds by step; a step that is measured several times adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Count the time of a block under a step's name: load, preprocess, network, postprocess."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds.get(step, 0.0) + time.perf_counter() - start, 3)
