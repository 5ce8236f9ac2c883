"""What an upload holds, told before anything of it is scored: studies, what would be repaired, what refused and why."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from app.services.models import tasks_without_weights
from app.store.records import Record
from datasets.codes import Repair
from datasets.errors import InputRefused
from datasets.io.discover import open_inputs
from datasets.study import Series, Study, choose_series
from pipelines.task import list_tasks, read_task_settings

_HERE = "the upload"


class Note(Record):
    """A code, what it means here in words, and what to do about it ("" where there is nothing to do)."""

    code: str
    message: str
    advice: str = ""


class FoundSeries(Record):
    """Images that belong together.

    Attributes:
        modality: DICOM modality; "" where the format does not tell.
        description: What a person reads.
        images: How many.
        repairs: What reading it puts right.
        refusal: Why it cannot be used; None where it can.
    """

    modality: str
    description: str
    images: int
    repairs: tuple[Note, ...] = ()
    refusal: Note | None = None


class FoundStudy(Record):
    """One examination.

    Attributes:
        uid: Of the study, or the file's stem.
        series: All that were found, usable or not.
        repairs: What was put right about the study as a whole.
        refusal: Why nothing of it can be used; None where something can.
        choices: For each task that has weights why it would refuse the study; None where it would score it.
    """

    uid: str
    series: tuple[FoundSeries, ...]
    repairs: tuple[Note, ...] = ()
    refusal: Note | None = None
    choices: dict[str, Note | None] = Field(default_factory=dict)


class Inspection(Record):
    """What came.

    Attributes:
        files: How many.
        size_bytes: Of all of them.
        studies: That were found.
        repairs: What was decided about the upload as a whole, such as files that were passed over.
        refusal: Why nothing of it can be used; None where something can.
    """

    files: int
    size_bytes: int
    studies: tuple[FoundStudy, ...] = ()
    repairs: tuple[Note, ...] = ()
    refusal: Note | None = None

    def fit_for(self, task: str) -> int:
        """How many studies the task would score."""
        return sum(task in study.choices and study.choices[task] is None for study in self.studies)

    @property
    def usable(self) -> bool:
        """Whether there is a task that would score something of it."""
        return any(choice is None for study in self.studies for choice in study.choices.values())


def offered_tasks() -> tuple[str, ...]:
    """Tasks that can say something: those with weights, by name."""
    untrained = set(tasks_without_weights())
    return tuple(task for task in list_tasks() if task not in untrained)


def inspect(folder: Path, files: int, size_bytes: int) -> Inspection:
    """Look at what lies in a folder; its own path stands in nothing that is told.

    Args:
        folder: Of the upload.
        files: How many are in it.
        size_bytes: Of all of them.
    """
    tasks = {task: read_task_settings(task) for task in offered_tasks()}
    wanted = {
        task: (tuple(settings.get("modalities", ())), int(settings.get("min_images", 1)))
        for task, settings in tasks.items()
    }
    try:
        with open_inputs([folder]) as inventory:
            studies = tuple(_study(study, wanted, folder) for study in inventory.studies)
            repairs = _repairs(inventory.repairs, folder)
    except InputRefused as refusal:
        return Inspection(files=files, size_bytes=size_bytes, refusal=_refusal(refusal, folder))
    return Inspection(files=files, size_bytes=size_bytes, studies=studies, repairs=repairs)


def _study(study: Study, tasks: Mapping[str, tuple[tuple[str, ...], int]], folder: Path) -> FoundStudy:
    read = [_read(series) for series in study.series]
    known = replace(study, series=tuple(series for series, _ in read))
    found = tuple(
        FoundSeries(
            modality=series.modality,
            description=_told(series.description, folder),
            images=series.images,
            repairs=_repairs(repairs, folder),
            refusal=_refusal(series.refusal, folder),
        )
        for series, repairs in read
    )
    return FoundStudy(
        uid=study.uid,
        series=found,
        repairs=_repairs(study.repairs, folder),
        refusal=_refusal(study.refusal, folder),
        choices={task: _choice(known, *wanted, folder) for task, wanted in tasks.items()},
    )


def _read(series: Series) -> tuple[Series, tuple[Repair, ...]]:
    """The series as its pixels show it: some of what is wrong stands in no header."""
    if series.refusal is not None or series.stack is not None or series.slide is not None:
        # Slides and stacks are read piece by piece when they are scored.
        return series, series.repairs
    try:
        return series, series.load().repairs
    except InputRefused as refusal:
        return replace(series, refusal=refusal), series.repairs


def _choice(study: Study, modalities: tuple[str, ...], min_images: int, folder: Path) -> Note | None:
    try:
        choose_series(study, modalities, min_images)
    except InputRefused as refusal:
        return _refusal(refusal, folder)
    return None


def _repairs(repairs: tuple[Repair, ...], folder: Path) -> tuple[Note, ...]:
    return tuple(Note(code=one.code.value, message=_told(one.message, folder)) for one in repairs)


def _refusal(refusal: InputRefused | None, folder: Path) -> Note | None:
    if refusal is None:
        return None
    return Note(code=refusal.code.value, message=_told(refusal.message, folder), advice=_told(refusal.advice, folder))


def _told(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "").replace(str(folder), _HERE)
