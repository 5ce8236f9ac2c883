"""Training: from a YAML and a folder of data to weights with a card, resumably.

Everything is decided before the first step: what the data holds and what is wrong with it, which patients are held
back, what each step draws. What was decided stands in the folder's `manifest.json`, and a training is only gone on with
where it still holds.
"""

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric import Fabric
from safetensors.torch import load_file

from datasets.errors import ConfigError
from datasets.example import Dataset, Example
from datasets.io.atomic import write_text
from datasets.layouts import open_dataset
from pipelines.model_store import save_tensors
from pipelines.task import Task, load_task
from pipelines.training.card import card_of, data_record, training_record
from pipelines.training.course import STATE, TRAINED, Course, carry_out
from pipelines.training.lesson import Lesson
from pipelines.training.lessons import lesson_of
from pipelines.training.parts import PARTS, Parts, parts_of
from pipelines.training.preflight import check_before_training, check_prepared
from pipelines.training.prepared import CaseStore, data_stamp
from pipelines.training.records import Onlooker

_LOG = logging.getLogger(__name__)

MANIFEST, TASK_FILE, WEIGHTS = "manifest.json", "task.yaml", "weights.safetensors"
# What prepared cases depend on beside task and data; counted up when preparation changes.
_PREPARATION = 1
# Examples from which on the start of other processes pays.
_WORTH_PROCESSES = 12
# Time that is kept for writing and for the unforeseen, of a training with a limit.
_SPARE_S, _SPARE_SHARE = 4.0, 0.03


@dataclass(frozen=True)
class Request:
    """What somebody wants trained.

    Attributes:
        config: Task, by name or file.
        data: A dataset in any layout.
        out: Folder of the training; made.
        overrides: `key=value` over the YAML.
        resume: Go on with the training in `out`.
        max_minutes: After which everything must be done, from `started` on; None for no limit.
        device: "auto", "cpu", "cuda".
        devices: How many of them.
        seed: Of everything random.
        fold: Which of `folds` is held back; None holds back the share that the settings say.
        folds: How many there are.
        cache: Where prepared cases are kept; None for a folder in `out`.
        started: When the clock began, as `time.monotonic` has it.
        make_onlooker: Somebody to watch the steps; picklable.
    """

    config: str
    data: Path
    out: Path
    overrides: tuple[str, ...] = ()
    resume: bool = False
    max_minutes: float | None = None
    device: str = "auto"
    devices: int = 1
    seed: int = 0
    fold: int | None = None
    folds: int = 5
    cache: Path | None = None
    started: float = field(default_factory=time.monotonic)
    make_onlooker: Callable[[], Onlooker] | None = None

    @property
    def seconds_left(self) -> float | None:
        """Of the time there is."""
        if self.max_minutes is None:
            return None
        return 60.0 * self.max_minutes - (time.monotonic() - self.started)


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes:
        task: As it was trained.
        weights: The file, its card beside it.
        dataset: What it learnt from.
        parts: Which examples were learnt from and which held back.
        held: The held back examples.
    """

    task: Task
    weights: Path
    dataset: Dataset
    parts: Parts
    held: tuple[Example, ...]


# Seconds that must be left when the last step is done, by task, data and the examples that are held back.
Reserve = Callable[[Task, Dataset, Sequence[Example]], float]


def train(request: Request, reserve_s: Reserve | None = None) -> Trained:
    """Train, and leave weights, card, task, log, pictures and the list of parts in the folder.

    Args:
        request: What is wanted.
        reserve_s: Asked once everything is prepared: for whoever looks at the held back examples afterwards.

    Raises:
        ConfigError: Settings, data and folder do not fit together.
        DatasetRefused: The data has defects; all of them are told.
    """
    lesson = lesson_of(load_task(request.config, request.overrides))
    task = lesson.task
    dataset = open_dataset(request.data, task.training.layout)
    if not (request.out / MANIFEST).is_file():  # Else it was looked at when this training began.
        for defect in check_before_training(dataset, lesson):
            _LOG.warning("%s: %s: %s", defect.code.value, defect.where or dataset.name, defect.found)
    parts = parts_of(dataset, task.training.validation.share, request.seed, request.fold, request.folds)
    stamp = data_stamp(request.data)
    _decide(request, task, parts, stamp)
    store, examples = _prepare(request, lesson, dataset, parts, stamp)
    held = tuple(example for example in examples if example.name in parts.validation)
    left = request.seconds_left
    if left is not None:
        spare = _SPARE_S + _SPARE_SHARE * left + (reserve_s(task, dataset, held) if reserve_s else 0.0)
        left = max(0.0, left - spare)
    course = Course(
        lesson=lesson,
        config=task.network,
        training=task.training,
        store=store,
        examples=len(examples),
        learnt=parts.train,
        held=parts.validation,
        folder=request.out,
        name=task.name,
        seed=request.seed,
        resume=request.resume,
        max_seconds=left,
        make_onlooker=request.make_onlooker,
    )
    fabric = _fabric(request, task)
    # Bound to the function: Fabric looks into arguments, and frozen ones it refuses.
    fabric.launch(partial(carry_out, course=course))
    return Trained(task, _keep(request, course, dataset), dataset, parts, held)


def _decide(request: Request, task: Task, parts: Parts, stamp: str) -> None:
    """Write down what is trained on what, or see that it is what was written down.

    Raises:
        ConfigError: The folder holds a training and `resume` was not asked for, or another one.
    """
    told = {
        "task": task.name,
        "settings_sha256": sha256(task.model_dump_json().encode()).hexdigest(),
        "data_sha256": stamp,
        "parts_sha256": parts.digest,
        "seed": request.seed,
        "devices": request.devices,
        "fold": request.fold,
        "folds": request.folds,
    }
    path = request.out / MANIFEST
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if not request.resume:
            got = f"{request.out}, which holds a training of {before.get('task')}"
            raise ConfigError("a folder without a training", got, "give --resume to go on, or another --out")
        changed = sorted(key for key, value in told.items() if before.get(key) != value)
        if changed:
            got = f"other {', '.join(key.removesuffix('_sha256') for key in changed)} than in {path.name}"
            raise ConfigError("the training that was begun", got, "start again in another folder")
        _warn_of_other_machine(before)
        return
    machine = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "denselens": version("denselens"),
        "python": platform.python_version(),
        "processor": platform.machine(),
    }
    write_text(request.out / TASK_FILE, yaml.safe_dump(_as_yaml(task), sort_keys=False))
    write_text(request.out / PARTS, parts.to_json())
    write_text(path, json.dumps(told | {"machine": machine}, indent=2) + "\n")


def _warn_of_other_machine(before: dict[str, Any]) -> None:
    threads, then = torch.get_num_threads(), before.get("machine", {}).get("threads")
    if threads != then:
        _LOG.warning(
            "%d threads where the training began with %s: the last bits of its numbers will differ", threads, then
        )


def _as_yaml(task: Task) -> dict[str, Any]:
    """The task's settings, all of them, but for the weights: those are named when it is used."""
    settings: dict[str, Any] = task.model_dump(mode="json", exclude={"weights"})
    return settings


def _prepare(
    request: Request, lesson: Lesson, dataset: Dataset, parts: Parts, stamp: str
) -> tuple[CaseStore, tuple[Example, ...]]:
    """Prepared cases of all examples that have a part in this."""
    examples = tuple(one for one in dataset.examples if one.name in parts.train or one.name in parts.validation)
    settings = lesson.task.model_dump_json(exclude={"training", "name", "weights"})
    names = "\n".join(example.name for example in examples)
    labels = json.dumps(lesson.task.training.labels, sort_keys=True)
    key = sha256(f"{_PREPARATION}\n{version('denselens')}\n{stamp}\n{settings}\n{labels}\n{names}".encode()).hexdigest()
    store = CaseStore((request.cache or request.out / "cache") / key[:24])
    workers = min(os.cpu_count() or 1, 8)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for done in store.fill(examples, lesson.prepare, pool if len(examples) > _WORTH_PROCESSES else None):
            _LOG.info("%d of %d examples prepared", done, len(examples))
    check_prepared(store.refused(len(examples)))
    return store, examples


def _one_thread() -> None:
    torch.set_num_threads(1)  # A process of its own, one of several.


def _fabric(request: Request, task: Task) -> Fabric:
    device = request.device if request.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise ConfigError("--device auto, cpu or cuda", device, "correct it; --devices says how many")
    if device == "cuda" and torch.cuda.device_count() < request.devices:
        got = f"{torch.cuda.device_count()} CUDA devices"
        raise ConfigError(f"{request.devices} of them", got, "lower --devices, or --device cpu")
    half = task.precision == "bf16" or (
        task.precision == "auto" and device == "cuda" and torch.cuda.is_bf16_supported()
    )
    return Fabric(
        accelerator=device,
        devices=request.devices,
        strategy="auto" if request.devices == 1 else "ddp_spawn",
        precision="bf16-mixed" if half else "32-true",
    )


def _keep(request: Request, course: Course, dataset: Dataset) -> Path:
    """Weights with a card, the state no longer needed."""
    task, trained = course.lesson.task, request.out / TRAINED
    # Reading every case once more is nothing to a training without an end by the clock.
    data = data_record(dataset, task, frozenset(course.learnt), whole=request.max_minutes is None)
    how = training_record(task, request.seed, request.device, request.out)
    card = card_of(task, dataset, data, how, course.lesson.told())
    path = request.out / WEIGHTS
    save_tensors(load_file(trained), task.network, card, path)
    trained.unlink()
    (request.out / STATE).unlink(missing_ok=True)
    return path
