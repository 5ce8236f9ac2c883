"""Tasks that classify: views of a study, prepared, through a network, and put together.

A view is what the network sees at once: a film, or several sequences of a volume as channels. What pixels the weights
expect, their labels, operating points and calibration stand in their card; a YAML may say otherwise.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat
from torch import Tensor

from datasets.codes import Repair
from datasets.dicom_source import DicomSource
from datasets.errors import ConfigError, WeightsError
from datasets.image import Image
from networks.checkpoints.published import imagenet_input
from networks.configs import Input
from pipelines.calibration import Platt
from pipelines.classification import Answers, AnyHead, ClassesHead, FindingsHead, Head, Judge, ScoreHead, mean_of
from pipelines.examination import Chosen, Clock, Examination, Instruments, Seen
from pipelines.image_records import GridRecord
from pipelines.model_store import Card
from pipelines.results import QualityFlag, ViewRecord
from pipelines.sliding_window import StreamOptions, autocast_of
from pipelines.task import Task
from pipelines.tensors import as_tensor

_USUAL_PX = 224

Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


@dataclass(frozen=True)
class View:
    """What the network sees at once.

    Attributes:
        source: Which film or series, for people.
        prepared: As the network takes it.
        image: As it was read.
        projection: "frontal", "lateral" or "".
        used: Whether the study's findings rest on it.
        repairs: What was put right in reading it.
        flags: Why what is said of it should be read with care.
        dicom: The DICOM instances behind the image.
    """

    source: str
    prepared: Image
    image: Image
    projection: str = ""
    used: bool = True
    dicom: DicomSource | None = None
    further: tuple[DicomSource, ...] = ()
    repairs: tuple[Repair, ...] = ()
    flags: tuple[QualityFlag, ...] = ()

    @property
    def sources(self) -> tuple[DicomSource, ...]:
        """The DICOM instances behind all of it; none where it came as something else."""
        return self.further if self.dicom is None else (self.dicom, *self.further)


class ClassifierTask(Task):
    """A task that says which findings there are in a study, not where."""

    default_labels: ClassVar[tuple[str, ...]] = ()

    outputs: tuple[Head, ...] | None = Field(default=None, description="null: findings with the labels of the card")
    input: Input | None = Field(default=None, description="null: what the weights' card says")
    operating_points: dict[str, Probability] = Field(default_factory=dict, description="by label, over the card's")
    calibration: dict[str, tuple[PositiveFloat, float]] = Field(
        default_factory=dict, description="by label, slope and intercept on the log odds, over the card's"
    )
    batch: int = Field(default=8, ge=1, description="views per call of the network")

    @abstractmethod
    def views(self, chosen: Chosen, clock: Clock) -> list[View]:
        """Load and prepare what the network is to see; at least one view is used.

        Raises:
            InputRefused: None can be scored honestly.
        """

    def suited_to(self, card: Card | None) -> Self:
        """With input, labels, operating points and calibration of the card, where the YAML leaves them open.

        Raises:
            ConfigError: What the YAML and the card say does not fit the network, or one another.
        """
        known = card or _NOTHING_KNOWN
        _check_lines(known)
        heads = self.outputs or (FindingsHead(labels=known.labels or self._usual_labels()),)
        if self.outputs and known.labels:
            heads = tuple(_as_trained(heads, known))
        self._check_names(heads)
        suited = self.model_copy(
            update={
                "outputs": heads,
                "input": self.input or known.input or _usual_input(self.network.in_channels),
                "operating_points": known.operating_points | self.operating_points,
                "calibration": known.calibration | self.calibration,
            }
        )
        suited._check_fit()
        return suited

    @property
    def explained_labels(self) -> tuple[str, ...]:
        """Those of which a probability is said."""
        heads = (head for head in self.judge.heads if not isinstance(head, ScoreHead))
        return tuple(label for head in heads for label in head.names if label)

    @property
    def judge(self) -> Judge:
        """How logits become findings."""
        return Judge(
            heads=self.outputs or (),
            operating_points=self.operating_points,
            calibration={label: Platt(*line) for label, line in self.calibration.items()},
        )

    @property
    def expected(self) -> Input:
        """What pixels the weights expect.

        Raises:
            ConfigError: The task has not met its weights yet, and its YAML does not say.
        """
        if self.input is None:
            raise ConfigError("what pixels the weights expect", f"{self.name} without them", "suit the task to a card")
        return self.input

    def examine(self, chosen: Chosen, instruments: Instruments, clock: Clock) -> Examination:
        """Prepare the views, ask the network, put the answers of those that count together.

        Raises:
            InputRefused: The study cannot be scored honestly.
            WeightsError: The network gives NaN.
        """
        views = self.views(chosen, clock)
        with clock.measure("network"):
            logits = self._logits(views, instruments)
        with clock.measure("postprocess"):
            judge = self.judge
            answers = [judge.answers(row) for row in logits]
            together = mean_of([one for one, view in zip(answers, views, strict=True) if view.used])
            several = len(views) > 1
            return Examination(
                findings=judge.findings(together),
                quantities=judge.quantities(together),
                # What is wrong with a view on which nothing rests stands with that view.
                flags=tuple(
                    flag for view in views if view.used for flag in _told(view.flags, view.source if several else "")
                ),
                repairs=tuple(repair for view in views for repair in view.repairs),
                grid=_grid_of(views),
                views=_records(judge, views, answers) if several else (),
                sources=tuple(source for view in views if view.used for source in view.sources),
                seen=tuple(Seen(one.prepared, one.image, one.source, one.used, one.dicom) for one in views),
            )

    def _logits(self, views: Sequence[View], instruments: Instruments) -> NDArray[np.float64]:
        """(views, outputs)."""
        compute = instruments.compute
        options = StreamOptions(device=torch.device(compute.device), precision=compute.precision)
        rows: list[Tensor] = []
        for alike in _batches([as_tensor(view.prepared) for view in views], self.batch):
            stacked = torch.stack(alike)  # (N, C, D, H, W)
            batch = stacked[:, :, 0] if self.network.spatial_dims == 2 else stacked  # Films have one slice.
            with torch.inference_mode(), autocast_of(options):
                rows.append(instruments.network(batch.to(options.device)).double().cpu())
        logits = torch.cat(rows)
        if not bool(torch.isfinite(logits).all()):
            raise WeightsError("finite logits", "NaN or infinity", "check weights and input; try precision fp32")
        said: NDArray[np.float64] = logits.numpy()
        return said

    def _usual_labels(self) -> tuple[str, ...]:
        """Of weights whose card names none: the task's, where there are as many, or numbers, which claim nothing."""
        count = self.network.out_channels
        if len(self.default_labels) == count:
            return self.default_labels
        return tuple(f"output_{number:02d}" for number in range(1, count + 1))

    def _check_names(self, heads: Sequence[AnyHead]) -> None:
        """That labels are there once, and that the YAML speaks of no others."""
        names = [name for head in heads for name in head.names if name]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError("outputs with names of their own", f"twice {', '.join(twice)}", "rename one of them")
        for key, settings in (("operating_points", self.operating_points), ("calibration", self.calibration)):
            unknown = sorted(settings.keys() - set(names))
            if unknown:
                raise ConfigError(
                    f"{key} of {', '.join(names)}", ", ".join(unknown), f"correct {key} in the YAML or in --set"
                )

    def _check_fit(self) -> None:
        names, expected = self.judge.names, self.expected
        if len(names) != self.network.out_channels:
            raise ConfigError(
                f"as many outputs as the network has, {self.network.out_channels}",
                f"{len(names)} ({', '.join(head.kind for head in self.outputs or ())})",
                "set outputs or network.out_channels in the YAML",
            )
        if expected.channels != self.network.in_channels:
            raise ConfigError(
                f"input of as many channels as the network takes, {self.network.in_channels}",
                f"{expected.channels} ({expected.scale})",
                "set input or network.in_channels in the YAML",
            )
        several = [head for head in self.outputs or () if isinstance(head, ClassesHead) and len(head.labels) > 2]
        pointless = sorted(self.operating_points.keys() & {name for head in several for name in head.names})
        if pointless:
            raise ConfigError(
                "no operating points where the most probable of several classes is called",
                ", ".join(pointless),
                "leave operating_points out",
            )


_NOTHING_KNOWN = Card(name="", task="", trained_on="", limits="", phantom=False)


def _check_lines(card: Card) -> None:
    turned = sorted(label for label, (slope, _) in card.calibration.items() if not slope > 0.0)
    if turned:
        raise WeightsError(
            "calibration that keeps the order of probabilities, slopes above 0",
            f"{', '.join(turned)} in the card of {card.name}",
            "fit the calibration again",
        )


def _as_trained(heads: Sequence[AnyHead], card: Card) -> Iterator[AnyHead]:
    """The YAML's heads, with no name where the card says that an output was never trained.

    Raises:
        ConfigError: The card gives an output another name: the weights' order or meaning is another.
    """
    named = [name for head in heads for name in head.names]
    others = len(named) != len(card.labels)
    if others or any(told not in ("", name) for name, told in zip(named, card.labels, strict=True)):
        raise ConfigError(
            f"outputs {', '.join(label or '(untrained)' for label in card.labels)}, as {card.name} has them",
            ", ".join(named),
            "correct outputs in the YAML, or --set outputs=null",
        )
    rest = card.labels
    for head in heads:
        own, rest = rest[: len(head.names)], rest[len(head.names) :]
        yield head.model_copy(update={"labels": own}) if isinstance(head, FindingsHead) else head


def _batches(views: Sequence[Tensor], most: int) -> Iterator[list[Tensor]]:
    """Views in their order, as many at once as are of one shape."""
    for _, group in groupby(views, key=lambda view: view.shape):
        alike = list(group)
        yield from (alike[start : start + most] for start in range(0, len(alike), most))


def _usual_input(channels: int) -> Input:
    """For networks without weights, or weights without a card."""
    if channels == 3:
        return imagenet_input(_USUAL_PX)
    return Input(scale="[0, 1]", channels=channels, size_px=_USUAL_PX)


def _told(flags: tuple[QualityFlag, ...], source: str) -> list[QualityFlag]:
    """Flags of a view, told with its name where there are several."""
    if not source:
        return list(flags)
    return [flag.model_copy(update={"message": f"{source}: {flag.message}"}) for flag in flags]


def _grid_of(views: Sequence[View]) -> GridRecord | None:
    image = views[0].image
    return GridRecord.of(image.grid) if len(views) == 1 and image.affine is not None else None


def _records(judge: Judge, views: Sequence[View], answers: Sequence[Answers]) -> tuple[ViewRecord, ...]:
    return tuple(
        ViewRecord(
            source=view.source,
            projection=view.projection,
            used=view.used,
            findings=judge.findings(said),
            quantities=judge.quantities(said),
            quality=(*map(QualityFlag.of_repair, view.repairs), *view.flags),
        )
        for view, said in zip(views, answers, strict=True)
    )
