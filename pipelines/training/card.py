"""The card of weights that `pipelines.train` made: on what, how, and in which surroundings."""

import csv
import logging
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets.errors import DenseLensError
from datasets.example import Dataset
from pipelines.fingerprint import fingerprint
from pipelines.model_package import Card, DataRecord, TrainingRecord
from pipelines.task import Task
from pipelines.training.records import LOG

_LOG = logging.getLogger(__name__)
# What decides which numbers come out, beside the code itself.
_PACKAGES = ("torch", "monai", "lightning-fabric", "numpy", "SimpleITK")


def card_of(
    task: Task, dataset: Dataset, data: DataRecord, training: TrainingRecord, told: Mapping[str, Any] | None = None
) -> Card:
    """What is known of weights when their last step is done.

    Args:
        task: As it was trained.
        dataset: What was learnt from.
        data: The same, as the card tells it.
        training: How it went.
        told: What the lesson knows of the outputs.
    """
    return Card(
        name=task.name,
        task=task.name,
        trained_on=f"{data.cases} examples of {dataset.name} ({dataset.layout})",
        limits="research only; figures on held back examples of the same set say nothing about others",
        phantom=False,
        settings=task.model_dump(mode="json", exclude={"weights", "training"}),
        data=data,
        training=training,
        **(told or {}),
    )


def data_record(dataset: Dataset, task: Task, learnt: frozenset[str], *, whole: bool) -> DataRecord:
    """What was learnt from.

    Args:
        dataset: With the examples that were held back.
        task: Which image of a study it looks at.
        learnt: Names of the examples that were learnt from.
        whole: Read every case for its fingerprint and hash; without it there is neither.
    """
    own = replace(dataset, examples=tuple(example for example in dataset.examples if example.name in learnt))
    patients = len({example.patient for example in own.examples})
    record = DataRecord(name=dataset.name, sha256=None, cases=len(own.examples), patients=patients)
    if not whole:
        return record
    try:
        seen = fingerprint(own, task)
    except DenseLensError as error:  # What is no volume and no picture, such as a study of several films, has none.
        _LOG.info("no fingerprint: %s", error.message)
        return record
    return record.model_copy(update={"sha256": seen.data_sha256, "fingerprint": seen.summary})


def training_record(task: Task, seed: int, device: str, folder: Path) -> TrainingRecord:
    """How a training went, by its settings and its log.

    Args:
        task: As it was trained.
        seed: Of everything random.
        device: Where.
        folder: With the log, if there is one.
    """
    last: dict[str, dict[str, str]] = {}
    if (folder / LOG).is_file():
        with (folder / LOG).open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                last[row["stage"]] = row
    return TrainingRecord(
        seed=seed,
        code_version=version("denselens"),
        settings=task.training.model_dump(mode="json"),
        environment={name: version(name) for name in _PACKAGES}
        | {"python": platform.python_version(), "device": device},
        steps=sum(int(row["step"]) for row in last.values()) if last else None,
        seconds=round(max(float(row["seconds"]) for row in last.values()), 1) if last else None,
    )
