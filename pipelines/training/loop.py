"""The loop: steps, looks, states, for every task alike.

Nothing in it knows what is learnt: a `Lesson` does. Everything random depends on the seed and the number of the step,
so a training that was broken off goes on with the same numbers, bit for bit on one machine with as many threads.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from networks.build import build
from networks.configs import NetworkConfig
from pipelines.training.draws import Draws
from pipelines.training.lesson import Figures, Lesson
from pipelines.training.losses import distilled
from pipelines.training.optimisation import averaged_into, optimiser_of, rate_at
from pipelines.training.records import Row
from pipelines.training.states import State, write_state
from pipelines.training_settings import StageSettings, TrainingSettings

Batch = tuple[Tensor, Tensor]
Looks = Sequence[Batch]


@dataclass
class Stage:
    """One stage, ready to run.

    Attributes:
        number: Of several in a row.
        settings: Steps and highest rate.
        training: Of the task.
        lesson: What is learnt.
        config: Of the network in this stage.
        draws: What is learnt from, finished by the lesson.
        looks: Held back patches.
        seed: Of everything random.
        state_path: Where states go; None keeps none.
        max_seconds: After which the stage must be through; None for no limit.
        teacher: Whose answers are learnt beside the truth, in eval mode; None without one.
        on_step: Told the share of the stage that is over, and the loss.
        on_row: Told what was seen at a look, with the looks' answers.
    """

    number: int
    settings: StageSettings
    training: TrainingSettings
    lesson: Lesson
    config: NetworkConfig
    draws: Draws
    looks: Looks
    seed: int
    state_path: Path | None = None
    max_seconds: float | None = None
    teacher: nn.Module | None = None
    on_step: Callable[[float, float], None] = field(default=lambda share, loss: None)
    on_row: Callable[[Row, list[Tensor]], None] = field(default=lambda row, said: None)


def new_state(stage: Stage, weights: dict[str, Tensor] | None) -> State:
    """A network of this stage, from given weights or drawn from the seed, and what moves it."""
    network = build(stage.config, seed=stage.seed).train()
    if weights is not None:
        network.load_state_dict(weights)
    if stage.config.spatial_dims == 2:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = stage.training.optimiser
    if stage.settings.rate is not None:
        settings = settings.model_copy(update={"rate": stage.settings.rate})
    state = State(network, optimiser_of(network, settings))
    state.progress.stage = stage.number
    if stage.training.averaged_steps:
        state.average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return state


def run_stage(stage: Stage, state: State, fabric: Fabric) -> State:
    """Train to the end of a stage, from where the state is.

    Returns:
        The state, changed: done, stopped by a lack of progress, or out of time.
    """
    peak = stage.settings.rate or stage.training.optimiser.rate
    model, optimiser = fabric.setup(state.network, state.optimiser)
    # What a resumed optimiser remembers goes where its parameters went.
    state.optimiser.load_state_dict(state.optimiser.state_dict())
    state.average = {name: fabric.to_device(tensor) for name, tensor in state.average.items()}
    model.train()
    progress, since = state.progress, _Since()
    clock = _Clock(progress.seconds)
    written = time.perf_counter()
    steps = range(progress.step, stage.settings.steps)
    for step, (inputs, wanted), waited in _timed(_ahead(stage, steps)):
        share = _share(stage, step, clock.seconds - progress.stage_seconds, fabric)
        if share >= 1.0:
            break
        for group in optimiser.param_groups:
            group["lr"] = peak * progress.factor * rate_at(share, stage.training.schedule)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_seed_of(stage, step, fabric.global_rank))
            loss = _step(stage, model, optimiser, (fabric.to_device(inputs), fabric.to_device(wanted)), fabric)
        if state.average:
            averaged_into(state.average, state.network.state_dict(), stage.training.averaged_steps, step)
        progress.step, progress.seconds = step + 1, clock.seconds
        since.add(loss, waited)
        stage.on_step(_share(stage, step + 1, clock.seconds - progress.stage_seconds, fabric), loss)
        if progress.step % stage.training.validation.every == 0 or progress.step == stage.settings.steps:
            _look(stage, state, since.row(stage, progress.step, clock.seconds, optimiser.param_groups[0]["lr"]), fabric)
            since = _Since()
            if _is_stuck(stage, state):
                break
        due = stage.training.checkpoint_steps and progress.step % stage.training.checkpoint_steps == 0
        if due or time.perf_counter() - written > stage.training.checkpoint_s:
            written = time.perf_counter()
            _write(stage, state, fabric)
    if since.count:
        _look(stage, state, since.row(stage, progress.step, clock.seconds, optimiser.param_groups[0]["lr"]), fabric)
    return state


def _step(stage: Stage, model: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch, fabric: Fabric) -> float:
    inputs, wanted = batch
    optimiser.zero_grad(set_to_none=True)
    answers = model(inputs)
    value = stage.lesson.loss(answers, wanted)
    if stage.teacher is not None and stage.training.teacher is not None:
        with torch.no_grad():
            told = stage.teacher(inputs)
        own = answers if isinstance(answers, Tensor) else answers[-1]
        settings, independent = stage.training.teacher, stage.lesson.independent
        value = value + settings.weight * distilled(own, told, settings.temperature, independent=independent)
    fabric.backward(value)
    if stage.training.optimiser.clip is not None:
        fabric.clip_gradients(model, optimiser, max_norm=stage.training.optimiser.clip, error_if_nonfinite=False)
    optimiser.step()
    return float(value.detach())


def _look(stage: Stage, state: State, row: Row, fabric: Fabric) -> None:
    """Look at what was held back, remember the best, slow down where nothing gets better."""
    progress = state.progress
    if not stage.looks:
        stage.on_row(row, [])
        return
    said, figures = _said(stage, state, fabric) if fabric.is_global_zero else ([], Figures(0.0, {}))
    figure = float(fabric.broadcast(figures.main))
    if progress.best is None or figure > progress.best:
        progress.best, progress.looks_since = figure, 0
        if stage.training.validation.keep == "best":
            state.kept = {name: tensor.detach().cpu().clone() for name, tensor in state.weights().items()}
    else:
        progress.looks_since += 1
        schedule = stage.training.schedule
        if schedule.kind == "plateau" and progress.looks_since % schedule.patience == 0:
            progress.factor *= schedule.factor
    told = Row(**{**vars(row), "figure": figure, "figures": figures.told})
    stage.on_row(told, said)


def _said(stage: Stage, state: State, fabric: Fabric) -> tuple[list[Tensor], Figures]:
    network = build(stage.config, seed=0).eval()
    network.load_state_dict(dict(state.weights()))
    network = fabric.to_device(network)
    said: list[Tensor] = []
    with torch.inference_mode():
        for inputs, _ in stage.looks:
            said.append(network(fabric.to_device(inputs)).float().cpu())
    return said, stage.lesson.figures(said, [wanted for _, wanted in stage.looks])


def _is_stuck(stage: Stage, state: State) -> bool:
    patience = stage.training.validation.patience
    return patience is not None and state.progress.looks_since >= patience


def _write(stage: Stage, state: State, fabric: Fabric) -> None:
    if stage.state_path is not None and fabric.is_global_zero:
        write_state(state, stage.state_path)


def _share(stage: Stage, step: int, seconds: float, fabric: Fabric) -> float:
    """The part of the stage that is over: of its steps or of its time, whichever is the larger."""
    if stage.max_seconds is None:
        return step / stage.settings.steps
    timed = seconds / stage.max_seconds if stage.max_seconds > 0.0 else 1.0
    share = min(1.0, max(step / stage.settings.steps, timed))
    # One clock decides for all.
    return float(fabric.broadcast(share)) if fabric.world_size > 1 else share


def _seed_of(stage: Stage, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([stage.seed, stage.number, step, rank]).generate_state(1)[0])


def _ahead(stage: Stage, steps: range) -> Iterator[tuple[int, Batch]]:
    """Batches by the number of their step, cut ahead of time by other threads."""
    if not stage.training.workers:
        for step in steps:
            yield step, stage.draws[step]
        return
    waiting: deque[tuple[int, Future[Batch]]] = deque()
    pool = ThreadPoolExecutor(stage.training.workers, thread_name_prefix="patches")
    try:
        for step in steps:
            waiting.append((step, pool.submit(stage.draws.__getitem__, step)))
            if len(waiting) > 2 * stage.training.workers:
                first, ready = waiting.popleft()
                yield first, ready.result()
        while waiting:
            first, ready = waiting.popleft()
            yield first, ready.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _timed(batches: Iterator[tuple[int, Batch]]) -> Iterator[tuple[int, Batch, float]]:
    """With the seconds each was waited for."""
    while True:
        start = time.perf_counter()
        try:
            step, batch = next(batches)
        except StopIteration:
            return
        yield step, batch, time.perf_counter() - start


class _Clock:
    """Seconds of all sittings."""

    def __init__(self, before: float) -> None:
        self._start = time.perf_counter() - before

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start


class _Since:
    """What happened since the last row."""

    def __init__(self) -> None:
        self.start, self.loss, self.waited, self.count = time.perf_counter(), 0.0, 0.0, 0

    def add(self, loss: float, waited: float) -> None:
        self.loss += loss
        self.waited += waited
        self.count += 1

    def row(self, stage: Stage, step: int, seconds: float, rate: float) -> Row:
        spent = max(time.perf_counter() - self.start, 1e-9)
        return Row(
            stage=stage.number,
            step=step,
            seconds=seconds,
            loss=self.loss / self.count,
            rate=rate,
            examples_per_s=self.count * stage.training.batch * stage.draws.world / spent,
            waiting_share=min(1.0, self.waited / spent),
        )
