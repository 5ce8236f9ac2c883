"""Where predictions come from: a pipeline, a folder of label maps, a folder that `score` wrote, a table."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datasets.defects import DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, Example, InstanceTruth
from datasets.image import Image, Intensity
from datasets.io.nifti import SUFFIXES as NIFTI
from datasets.io.nifti import read_nifti
from datasets.io.picture import read_picture
from datasets.labels import LabelSet
from pipelines.document import writable
from pipelines.evaluation.said import CaseRefused, Said
from pipelines.nuclei_files import INSTANCES
from pipelines.nuclei_files import SEGMENTATION as SEGMENTATION_PICTURE
from pipelines.outputs import RESULT, SEGMENTATION, folder_name
from pipelines.results import Finding, Quantity
from pipelines.run import Pipeline
from pipelines.score import MANIFEST
from pipelines.task import OutputSettings, Task

_PICTURE = ".png"
_COLUMNS = ("study", "label", "probability")
_HALF = 0.5
_LARGEST_DOCUMENT = 64 * 2**20


class PipelinePredictor:
    """Scores every study itself, by the one path.

    Args:
        pipeline: With its weights.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    @classmethod
    def load(cls, task: Task, device: str, dataset: Dataset) -> "PipelinePredictor":
        """A task with its weights, told to keep what comparing with a dataset takes.

        Raises:
            WeightsError: The weights do not fit.
        """
        if any(isinstance(example.truth, InstanceTruth) for example in dataset.examples):
            # Two-class IoU is taken at ten thresholds of the probability.
            task = task.model_copy(update={"output": OutputSettings(probability=True)})
        return cls(Pipeline.load(task, device))

    @property
    def task(self) -> Task:
        """As its weights know it."""
        return self._pipeline.task

    def describe(self) -> dict[str, Any]:
        """Model and settings."""
        return {
            "kind": "model",
            "model": self._pipeline.model.model_dump(mode="json"),
            "config_digest": self._pipeline.task.digest,
            "precision": self._pipeline.compute.precision,
        }

    def identity(self) -> str:
        """Weights and settings."""
        return json.dumps(self.describe(), sort_keys=True)

    def say(self, example: Example) -> Said:
        """Score one study.

        Raises:
            InputRefused: It cannot be scored honestly.
        """
        result = self._pipeline.run(example.study)
        return Said(
            labels=result.labels,
            label_names=names_of(self._pipeline.task.label_set),
            instances=result.instances,
            probability=result.probabilities,
            findings=result.findings,
            quantities=result.quantities,
        )


class FolderPredictor:
    """Reads what lies in a folder: `<name>.nii.gz`, `<name>.png`, or `<name>/` as `score` leaves it.

    Args:
        folder: Of predictions.
        label_set: What the values of `score`'s label maps mean.
    """

    def __init__(self, folder: Path, label_set: LabelSet) -> None:
        self._folder = folder
        self._names = names_of(label_set)

    def describe(self) -> dict[str, Any]:
        """Name of the folder and, of one that `score` wrote, its model."""
        told: dict[str, Any] = {"kind": "predictions", "source": writable(self._folder.name)}
        if (self._folder / MANIFEST).is_file():
            try:
                told["model"] = _document(self._folder / MANIFEST).get("model")
            except (OSError, ValueError) as error:
                raise ConfigError(f"a manifest that {MANIFEST} can be", str(error), "score again") from error
        return told

    def identity(self) -> str:
        """Names, sizes and times of what lies in it."""
        files = (path for path in sorted(self._folder.glob("*/*")) + sorted(self._folder.glob("*")) if path.is_file())
        stats = [(str(path.relative_to(self._folder)), path.stat()) for path in files]
        return json.dumps([[writable(name), stat.st_size, stat.st_mtime_ns] for name, stat in stats])

    def say(self, example: Example) -> Said:
        """Read the prediction of one study.

        Raises:
            CaseRefused: There is none, or none that can be read.
        """
        scored = self._folder / folder_name(example.name)
        if (scored / RESULT).is_file():
            return self._scored(scored)
        path = self._label_map(example)
        try:
            labels = _read_labels(path)
        except InputRefused as refusal:
            raise _unreadable(refusal.message, refusal.advice) from refusal
        if isinstance(example.truth, InstanceTruth):
            return Said(instances=labels)
        return Said(labels=labels)

    def _label_map(self, example: Example) -> Path:
        name = folder_name(example.name)
        for suffix in (*reversed(NIFTI), _PICTURE):
            if (path := self._folder / f"{name}{suffix}").is_file():
                return path
        raise _missing(f"{name}.nii.gz, {name}.png or {name}/{RESULT}", writable(self._folder.name))

    def _scored(self, folder: Path) -> Said:
        try:
            document = _document(folder / RESULT)
            if document.get("error"):
                raise _missing("a study that was scored", f"one that failed: {document['error'].get('code')}")
            findings = tuple(Finding.model_validate(one) for one in document.get("findings", ()))
            quantities = tuple(Quantity.model_validate(one) for one in document.get("quantities", ()))
            pictures = [path for path in (folder / SEGMENTATION, folder / SEGMENTATION_PICTURE) if path.is_file()]
            labels = _read_labels(pictures[0]) if pictures else None
            instances = _read_labels(folder / INSTANCES) if (folder / INSTANCES).is_file() else None
        except InputRefused as refusal:
            raise _unreadable(refusal.message, refusal.advice) from refusal
        except (OSError, ValueError, ValidationError, AttributeError, TypeError) as error:
            raise _unreadable(f"expected {RESULT} as score writes it; got {type(error).__name__}") from error
        return Said(labels, self._names, instances, None, findings, quantities)


class TablePredictor:
    """Reads probabilities from a CSV with the columns study, label and probability.

    Args:
        path: The file, UTF-8.

    Raises:
        ConfigError: It is no such table, a value is no probability, or a study has a label twice.
    """

    def __init__(self, path: Path) -> None:
        self._name = writable(path.name)
        self._said: dict[str, dict[str, float]] = {}
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = csv.DictReader(file)
                if not set(_COLUMNS) <= set(rows.fieldnames or ()):
                    raise self._wrong(f"columns {', '.join(rows.fieldnames or ())}")
                for line, row in enumerate(rows, start=2):
                    self._take(row, line)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._wrong(str(error)) from error

    def describe(self) -> dict[str, Any]:
        """Name of the table."""
        return {"kind": "predictions", "source": self._name}

    def identity(self) -> str:
        """All of its rows."""
        return json.dumps(self._said, sort_keys=True)

    def say(self, example: Example) -> Said:
        """The rows of one study; called where the probability reaches one half.

        Raises:
            CaseRefused: There are none.
        """
        if example.name not in self._said:
            raise _missing("rows of the study in the table", f"none in {self._name}")
        findings = tuple(
            Finding(label=label, probability=p, threshold=_HALF, positive=p >= _HALF, calibrated=False)
            for label, p in self._said[example.name].items()
        )
        return Said(findings=findings)

    def _take(self, row: Mapping[str, str | None], line: int) -> None:
        study, label, told = (row[column] or "" for column in _COLUMNS)
        try:
            probability = float(told)
        except ValueError as error:
            raise self._wrong(f"{told!r} in line {line}") from error
        if not 0.0 <= probability <= 1.0:
            raise self._wrong(f"{told} in line {line}")
        of_study = self._said.setdefault(study, {})
        if label in of_study:
            raise self._wrong(f"{label} of {study} twice, in line {line} again")
        of_study[label] = probability

    def _wrong(self, got: str) -> ConfigError:
        wanted = f"a table with the columns {', '.join(_COLUMNS)} and probabilities in [0, 1]"
        return ConfigError(wanted, writable(f"{self._name}: {got}"), "correct --predictions")


def open_predictions(path: Path, label_set: LabelSet) -> FolderPredictor | TablePredictor:
    """Predictions of somebody else: a folder, or a table.

    Raises:
        ConfigError: There is nothing, or no such table.
    """
    if path.is_dir():
        return FolderPredictor(path, label_set)
    if path.is_file():
        return TablePredictor(path)
    raise ConfigError("a folder of predictions or a CSV", f"nothing at {path}", "check --predictions and --compare")


def names_of(label_set: LabelSet) -> dict[int, str]:
    """Names by value."""
    return {label.index: label.name for label in label_set.labels}


def _read_labels(path: Path) -> Image:
    loaded = read_nifti(path, Intensity.LABEL) if path.name.endswith(NIFTI) else read_picture(path)
    if loaded.image.channels != 1 or loaded.image.array.dtype.kind not in "iu":
        got = f"{loaded.image.channels} channels of {loaded.image.array.dtype} in {writable(path.name)}"
        raise _unreadable(f"expected one channel of whole numbers; got {got}", "write label values, not colours")
    return loaded.image


def _document(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST_DOCUMENT:
        raise ValueError(f"{path.name} is larger than any that is written")
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} holds no keys")
    return document


def _missing(expected: str, got: str) -> CaseRefused:
    return CaseRefused(DefectCode.LABELS_MISSING, f"a prediction: {expected}", got, "predict it, or say why not")


def _unreadable(told: str, advice: str = "write it again") -> CaseRefused:
    return CaseRefused(DefectCode.UNREADABLE_LABELS, "a prediction that can be read", writable(told), advice)
