"""What a task is: its settings, which are the keys of its YAML, and the few functions that differ between tasks.

Validating the YAML builds the task. `kind` names the module in `pipelines.tasks` whose `TASK` class the file is
validated with; it defaults to the file's name. `extends` names a task whose settings the file starts from.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationError, model_validator

from datasets.errors import ConfigError
from datasets.image import Image
from datasets.labels import LabelSet
from networks.configs import NetworkConfig
from pipelines.results import Finding, QualityFlag, Quantity
from pipelines.settings_file import merge, read_settings

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "configs"


class Settings(BaseModel):
    """Base of everything in a YAML: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OutputSettings(Settings):
    """What `score` writes beyond the documents every study gets."""

    probability: bool = Field(default=False, description="write probability.nii.gz")


class LocaliseSettings(Settings):
    """How the organ is found roughly, on a coarse grid, before the task's network looks closely.

    What matters is that nothing of the organ is lost: a low threshold and a wide margin cost a little time only.
    """

    network: NetworkConfig = Field(discriminator="name", description="class 0 is the background, all others the organ")
    weights: str = Field(description="name of shipped weights or path of a file")
    spacing_mm: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = Field(
        default=(4.0, 4.0, 4.0), description="of the coarse grid, along left, posterior, superior"
    )
    margin_mm: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = Field(
        default=(20.0, 20.0, 20.0), description="room left around what was found, on either side"
    )
    threshold: float = Field(default=0.3, gt=0.0, lt=1.0, description="of 1 - p(background)")
    min_share: float = Field(
        default=0.1, gt=0.0, le=1.0, description="of the largest region's volume; smaller ones are no part of the organ"
    )

    @model_validator(mode="after")
    def _labels_voxels(self) -> Self:
        if self.network.name == "densenet" or self.network.out_channels < 2:
            raise ValueError(
                "expected a network that tells the organ's voxels from the background's; got "
                f"{self.network.name} with {self.network.out_channels} classes; set localise.network"
            )
        slice_context(self.network)
        return self


def slice_context(network: NetworkConfig) -> int:
    """How many neighbours on either side a network is given with a slice; none in 3D, where it sees them anyway.

    Raises:
        ValueError: The number of channels cannot be that of slices of a scan.
    """
    if network.in_channels % 2 == 0 or (network.spatial_dims == 3 and network.in_channels > 1):
        raise ValueError(f"expected in_channels to be odd in 2D and 1 in 3D; got {network.in_channels}; correct it")
    return (network.in_channels - 1) // 2


@dataclass(frozen=True)
class Localisation:
    """A coarse look at an image, of which only the part that it points at is looked at closely.

    Attributes:
        settings: Network, weights, grid and margin.
        prepare: Puts an image on the coarse grid and scale, as `Task.preprocess` does on the fine ones.
    """

    settings: LocaliseSettings
    prepare: Callable[[Image], Image]


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
    """

    labels: Image | None
    findings: tuple[Finding, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    flags: tuple[QualityFlag, ...] = field(default=())


class Network(Protocol):
    """A network in eval mode: (N, C, …) to logits (N, classes, …)."""

    def __call__(self, x: "torch.Tensor", /) -> "torch.Tensor":
        """Logits of a batch."""


class Task(Settings, ABC):
    """One thing the project can say about a study."""

    label_set: ClassVar[LabelSet]

    name: str = Field(description="name of the YAML, by which people ask for the task")
    kind: str = Field(description="module in pipelines/tasks")
    modalities: tuple[str, ...] = Field(default=(), description="DICOM modalities the task scores; empty: any")
    min_images: int = Field(default=1, ge=1, description="series with fewer images are passed over")
    network: NetworkConfig = Field(discriminator="name")
    weights: str | None = Field(default=None, description="name of shipped weights or path of a file; null: untrained")
    precision: Precision = Field(
        default="auto",
        description="what networks compute in; auto: bf16 on a GPU that has it, fp32 elsewhere. bf16 is two to five "
        "times as fast on processors that have it, and moves labels where two are nearly as probable",
    )
    output: OutputSettings = OutputSettings()

    @property
    def digest(self) -> str:
        """Sha256 of the settings: two tasks with the same digest do the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def localisation(self) -> Localisation | None:
        """The coarse look that comes first; None where the whole image is searched."""
        return None

    @abstractmethod
    def preprocess(self, image: Image) -> Image:
        """Put an image on the grid and scale the network was trained on; the same for training and every door."""

    @abstractmethod
    def infer(self, network: Network, prepared: Image, image: Image, compute: Compute) -> Prediction:
        """Run the network over a prepared image and bring what it says back to the grid of `image`."""

    @abstractmethod
    def interpret(self, prediction: Prediction, image: Image) -> Interpretation:
        """Turn a prediction into findings and measurements on the grid of `image`."""


def list_tasks() -> tuple[str, ...]:
    """Names of the YAML files in `configs/`."""
    return tuple(sorted(path.stem for path in CONFIG_FOLDER.glob("*.yaml")))


def load_task(name_or_path: str, overrides: Sequence[str] = ()) -> Task:
    """Build a task from its YAML.

    Args:
        name_or_path: Name of a file in `configs/`, or the path of a YAML.
        overrides: `key.subkey=value`, merged before validation; values are read as YAML.

    Raises:
        ConfigError: There is no such file, it is no YAML mapping, names an unknown kind, or a key or value is wrong.
    """
    path, settings = _find(name_or_path), read_task_settings(name_or_path)
    for override in overrides:
        merge(settings, override)
    kind = str(settings.setdefault("kind", path.stem))
    settings.setdefault("name", path.stem)
    try:
        return _task_class(kind).model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = _where(first["loc"], settings, missing=first["type"] == "missing")
        raise ConfigError(
            f"settings that fit the task {kind}",
            f"{where}: {first['msg']} (value {first['input']!r})" if where else first["msg"],
            f"correct {path.name} or --set {where or 'the keys named'}=…",
        ) from error


def read_task_settings(name_or_path: str) -> dict[str, Any]:
    """The keys of a task's YAML and of what it extends, as they are written: nothing is built or checked.

    Raises:
        ConfigError: There is no such file, or it is no YAML mapping.
    """
    return read_settings(_find(name_or_path), _find)


def _find(name_or_path: str) -> Path:
    path = Path(name_or_path) if name_or_path.endswith((".yaml", ".yml")) else CONFIG_FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        known = ", ".join(list_tasks())
        raise ConfigError(f"one of the tasks {known}, or a YAML file", repr(name_or_path), "check the name")
    return path


def _where(location: Sequence[int | str], settings: Any, *, missing: bool) -> str:
    """The key at fault as the YAML spells it: pydantic puts the tag of a union (`dense_unet`) between the keys."""
    kept = []
    for part in location:
        if isinstance(settings, dict) and part in settings:
            settings = settings[part]
        elif isinstance(settings, list) and isinstance(part, int):
            settings = settings[part] if part < len(settings) else None
        elif not (missing and part == location[-1]):
            continue
        kept.append(str(part))
    return ".".join(kept)


def _task_class(kind: str) -> type[Task]:
    # Tasks pull in torch; this module does not, so they are found by name, among the files that are there.
    known = sorted(
        entry.name.removesuffix(".py")
        for entry in resources.files("pipelines.tasks").iterdir()
        if entry.name.endswith(".py") and not entry.name.startswith("_")
    )
    if kind not in known:
        raise ConfigError(f"kind to be one of {', '.join(known)}", repr(kind), "set kind in the YAML")
    task_class = import_module(f"pipelines.tasks.{kind}").TASK
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        raise TypeError(f"expected pipelines.tasks.{kind}.TASK to be a Task class; got {task_class!r}")
    return task_class
