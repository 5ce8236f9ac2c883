"""A training, decided to the last number before its first step, and carried out by one process or several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from safetensors.torch import save
from torch import Tensor, nn

from datasets.errors import ConfigError
from datasets.io.atomic import write_bytes
from networks.build import build
from networks.configs import NetworkConfig
from pipelines.model_store import find_weights, load_weights
from pipelines.task import load_task
from pipelines.training.draws import Draws, check_sizes, look_patches
from pipelines.training.lesson import Lesson
from pipelines.training.loop import Batch, Stage, new_state, run_stage
from pipelines.training.picture import Captions, write_picture
from pipelines.training.prepared import Case, CaseStore
from pipelines.training.records import Onlooker, Records, Row
from pipelines.training.states import State, read_progress, read_state
from pipelines.training_settings import StageSettings, TrainingSettings

STATE, PICTURES, TRAINED = "state.safetensors", "pictures", ".trained.safetensors"


@dataclass(frozen=True)
class Course:
    """Everything a training needs, picklable.

    Attributes:
        lesson: What is learnt.
        config: Of the network.
        training: Of the task.
        store: Prepared cases.
        examples: How many examples it was filled with.
        learnt: Names of the cases to learn from.
        held: Names of the cases that are held back.
        folder: Where states, logs and pictures go.
        name: Of the task.
        seed: Of everything random.
        resume: Whether to go on from the folder's state.
        max_seconds: Of all stages together; None for no limit.
        make_onlooker: Somebody to watch, made where the training runs.
    """

    lesson: Lesson
    config: NetworkConfig
    training: TrainingSettings
    store: CaseStore
    examples: int
    learnt: frozenset[str]
    held: frozenset[str]
    folder: Path
    name: str
    seed: int = 0
    resume: bool = False
    max_seconds: float | None = None
    make_onlooker: Callable[[], Onlooker] | None = None
    stages: tuple[StageSettings, ...] = field(init=False)

    def __post_init__(self) -> None:
        stages = self.training.stages or (StageSettings(steps=self.training.steps),)
        object.__setattr__(self, "stages", stages)

    def config_of(self, stage: StageSettings) -> NetworkConfig:
        """The network's settings in a stage.

        Raises:
            ConfigError: The stage names a key the network does not have.
        """
        unknown = sorted(stage.network.keys() - type(self.config).model_fields.keys())
        if unknown:
            raise ConfigError(f"keys of {self.config.name}", ", ".join(unknown), "correct training.stages")
        return type(self.config).model_validate(self.config.model_dump() | stage.network)


def carry_out(fabric: Fabric, course: Course) -> None:
    """Train through all stages and leave the weights in the folder, as `TRAINED`.

    Args:
        fabric: Launched.
        course: The same one in every process.

    Raises:
        ConfigError: What was decided does not fit together.
    """
    everything = course.store.cases(course.examples)
    learnt = [case for case in everything if case.name.partition("/")[0] in course.learnt]
    held = [case for case in everything if case.name.partition("/")[0] in course.held]
    check_sizes([*learnt, *held], course.lesson.shape, course.training.batch)
    looks = _looks(course, held)
    teacher = _teacher(course, fabric)
    with Records(course.folder, course.training.logger if fabric.is_global_zero else (), course.name) as records:
        watched = _Watched(course, records, looks, fabric)
        first, weights, state_path = 0, _start(course), course.folder / STATE
        resumed = course.resume and state_path.is_file()
        if resumed:
            progress = read_progress(state_path)
            first = progress.stage
            if fabric.is_global_zero:
                records.resume_at(progress.stage, progress.step)
        for number in range(first, len(course.stages)):
            stage = _stage(course, number, learnt, looks, fabric)
            stage = replace(stage, teacher=teacher, on_step=watched.on_step(number), on_row=watched.on_row(number))
            state = new_state(stage, weights)
            if resumed and number == first:
                read_state(state, state_path)
            else:
                state.progress.seconds = state.progress.stage_seconds = watched.seconds
            run_stage(stage, state, fabric)
            watched.seconds = state.progress.seconds
            weights = _weights_of(state)
        if fabric.is_global_zero and weights is not None:
            write_bytes(course.folder / TRAINED, save(weights))
        fabric.barrier()


def _weights_of(state: State) -> dict[str, Tensor]:
    """Those of the best look where they are kept, else averaged or last ones."""
    chosen = state.kept or state.weights()
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in chosen.items()}


def _stage(course: Course, number: int, learnt: Sequence[Case], looks: Sequence[Batch], fabric: Fabric) -> Stage:
    settings = course.stages[number]
    lesson = course.lesson
    steps = sum(stage.steps for stage in course.stages)
    return Stage(
        number=number,
        settings=settings,
        training=course.training,
        lesson=lesson,
        config=course.config_of(settings),
        draws=Draws(
            learnt,
            lesson.shape,
            lesson.finished,
            course.training,
            course.seed,
            rank=fabric.global_rank,
            world=fabric.world_size,
            stage=number,
        ),
        looks=looks,
        seed=course.seed,
        state_path=course.folder / STATE,
        max_seconds=None if course.max_seconds is None else course.max_seconds * settings.steps / steps,
    )


def _looks(course: Course, held: Sequence[Case]) -> list[Batch]:
    if not held:
        return []
    lesson, batch = course.lesson, course.training.batch
    patches = look_patches(held, lesson.shape, course.training.validation.examples, course.seed)
    finished = [lesson.finished(pixels, truth) for pixels, truth in patches]
    parts = [finished[start : start + batch] for start in range(0, len(finished), batch)]
    return [(torch.stack([x for x, _ in part]), torch.stack([y for _, y in part])) for part in parts]


def _start(course: Course) -> dict[str, Tensor] | None:
    """The weights the settings say to start from."""
    if course.training.start is None:
        return None
    network = build(course.config, seed=course.seed)
    load_weights(network, course.config, find_weights(course.training.start))
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def _teacher(course: Course, fabric: Fabric) -> nn.Module | None:
    settings = course.training.teacher
    if settings is None:
        return None
    config = load_task(settings.config).network
    alike = (config.in_channels, config.out_channels, config.spatial_dims)
    own = (course.config.in_channels, course.config.out_channels, course.config.spatial_dims)
    if alike != own:
        wanted = "a teacher with as many channels, outputs and axes as the network, {} {} {}".format(*own)
        raise ConfigError(wanted, "{} {} {}".format(*alike), "choose another teacher")
    network = build(config, seed=0).eval()
    load_weights(network, config, find_weights(settings.weights))
    moved: nn.Module = fabric.to_device(network)
    return moved.requires_grad_(False)


class _Watched:
    """Tells the records and the onlooker, in the first process alone, and draws what the network says."""

    def __init__(self, course: Course, records: Records, looks: Sequence[Batch], fabric: Fabric) -> None:
        self._course, self._records, self._looks = course, records, looks
        self._first = fabric.is_global_zero
        self._onlooker = course.make_onlooker() if course.make_onlooker and self._first else None
        self.seconds = 0.0

    def on_step(self, number: int) -> Callable[[float, float], None]:
        onlooker = self._onlooker
        if onlooker is None:
            return lambda share, loss: None
        return lambda share, loss: onlooker.on_step(number, share, loss)

    def on_row(self, number: int) -> Callable[[Row, list[Tensor]], None]:
        return lambda row, said: self._row(number, row, said)

    def _row(self, number: int, row: Row, said: list[Tensor]) -> None:
        if not self._first:
            return
        before = sum(stage.steps for stage in self._course.stages[:number])
        self._records.write(row, before + row.step)
        if said:
            path = self._course.folder / PICTURES / f"{before + row.step:07d}.png"
            lesson = self._course.lesson
            write_picture(self._looks[0], said[0], path, Captions(lesson.outputs, lesson.independent))
        if self._onlooker is not None:
            self._onlooker.on_row(row)
