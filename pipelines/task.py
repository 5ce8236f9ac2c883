"""What a task is: its settings, which are the keys of its YAML, and the few functions that differ between tasks.

Validating the YAML builds the task. `kind` names the module in `pipelines.tasks` whose `TASK` class the file is
validated with; it defaults to the file's name. `extends` names a task whose settings the file starts from.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, ValidationError

from datasets.errors import ConfigError
from datasets.labels import LabelSet
from datasets.study import Study, choose_series
from networks.configs import NetworkConfig
from pipelines.examination import Assistant, Chosen, Clock, Examination, Instruments
from pipelines.localise_settings import Localisation
from pipelines.settings import Settings
from pipelines.settings_file import merge, read_settings
from pipelines.training_settings import TrainingSettings

if TYPE_CHECKING:
    from pipelines.model_store import Card

Precision = Literal["auto", "fp32", "bf16"]

CONFIG_FOLDER = Path(__file__).resolve().parents[1] / "configs"


class OutputSettings(Settings):
    """What `score` writes beyond the documents every study gets."""

    probability: bool = Field(default=False, description="write probability.nii.gz")


class Task(BaseModel, ABC):
    """One thing the project can say about a study."""

    # As all settings; not by inheritance, of which tasks have two levels of their own.
    model_config = Settings.model_config

    label_set: ClassVar[LabelSet] = LabelSet(())

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
    training: TrainingSettings = TrainingSettings()

    @property
    def digest(self) -> str:
        """Sha256 of the settings: two tasks with the same digest do the same. How one is trained is no part of that."""
        return hashlib.sha256(self.model_dump_json(exclude={"training"}).encode()).hexdigest()

    def localisation(self) -> Localisation | None:
        """The coarse look that comes first; None where the whole image is searched."""
        return None

    def assistants(self) -> Mapping[str, Assistant]:
        """Further networks the task asks beside its own, by name."""
        return {}

    def suited_to(self, card: "Card | None") -> Self:
        """This task with what its weights' card knows and its YAML leaves open; the same where there is nothing."""
        del card
        return self

    @property
    def explained_labels(self) -> tuple[str, ...]:
        """What its network can be asked the reasons for; nothing where no task of its kind is explained."""
        return ()

    def gather(self, studies: Sequence[Study]) -> tuple[Study, ...]:
        """Put together what belongs to one examination and came as several; as it came, unless the task knows more."""
        return tuple(studies)

    def choose(self, study: Study) -> Chosen:
        """What of a study is looked at: one series, by rule, unless the task has other wishes.

        Raises:
            InputRefused: Nothing of it can be used.
        """
        series, choice = choose_series(study, self.modalities, self.min_images)
        return Chosen((series,), () if choice is None else (choice,))

    @abstractmethod
    def examine(self, chosen: Chosen, instruments: Instruments, clock: Clock) -> Examination:
        """Look at what was chosen of a study, and say what there is to say.

        Args:
            chosen: As `choose` gave it.
            instruments: Networks with their weights, and where they run.
            clock: Takes the time of the steps.

        Raises:
            InputRefused: It cannot be scored honestly.
        """


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
