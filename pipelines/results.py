"""What a pipeline says about a study: the document that is stored, shown and exported.

Field names are the keys of `result.json`; `docs/interface.md` promises them.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from datasets.codes import Repair
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.image import Image
from datasets.labels import Label, LabelSet
from pipelines.document import Document
from pipelines.explain.card import ScoreCard
from pipelines.image_records import GridRecord, LabelRecord, SlideRecord

Severity = Literal["info", "warning", "error"]


class FlagCode(StrEnum):
    """Why a result should be read with care; the codes of repaired input stand in `datasets.codes.RepairCode`."""

    EMPTY_RESULT = "empty_result"
    TOUCHES_BORDER = "touches_border"
    OUTSIDE_TRAINING_RANGE = "outside_training_range"
    UNTRAINED_WEIGHTS = "untrained_weights"
    PHANTOM_WEIGHTS = "phantom_weights"
    FRAGMENTS_DROPPED = "fragments_dropped"
    AIR_SKIPPED = "air_skipped"
    BATCH_HALVED = "batch_halved"
    LOCALISED = "localised"
    NOT_LOCALISED = "not_localised"
    BOX_REACHED = "box_reached"
    NOT_A_CHEST_FILM = "not_a_chest_film"
    LATERAL_VIEW = "lateral_view"
    LOOKS_INVERTED = "looks_inverted"
    LOOKS_CROPPED = "looks_cropped"
    LOOKS_TURNED = "looks_turned"
    PEN_MARKS = "pen_marks"
    UNREADABLE_TILES = "unreadable_tiles"
    LITTLE_TISSUE = "little_tissue"
    STAIN_NOT_NORMALISED = "stain_not_normalised"
    RESOLUTION_TOO_COARSE = "resolution_too_coarse"
    REPORT_NOT_WRITTEN = "report_not_written"


class FailureCode(StrEnum):
    """Why a study failed although its input was fit; the codes of refused input stand in `RefusalCode`."""

    CONFIG_ERROR = "config_error"
    WEIGHTS_ERROR = "weights_error"
    INTERNAL_ERROR = "internal_error"


class Quantity(Document):
    """A measured value with its UCUM unit; `label` names what was measured where the finding does not."""

    # Inside a finding the label is the finding's.
    optional = frozenset({"label"})

    name: str
    label: str | None = None
    value: float | None
    unit: str


class Location(Document):
    """Where a finding lies in the patient, RAS mm at its centroid, and between which slices of the input."""

    centroid_mm: tuple[float, float, float]
    coordinates: Literal["RAS"] = "RAS"
    component: int = Field(description="Number of the connected component, largest first, from 1")


class SlideLocation(Document):
    """Where a finding lies on a slide: micrometres right of and below its top left corner, at its centroid."""

    centroid_um: tuple[float, float]
    coordinates: Literal["slide"] = "slide"
    component: int = Field(description="Rank of the region, from 1")


class Finding(Document):
    """A statement a reader accepts, edits or rejects.

    `probability` and `threshold` are on one scale: calibrated where `calibrated` says so, the network's own otherwise.
    `raw_probability` is the network's own, told by tasks that know both.
    """

    optional = frozenset({"raw_probability"})

    label: str
    probability: float | None
    raw_probability: float | None = None
    threshold: float
    positive: bool
    calibrated: bool
    location: Location | SlideLocation | None = None
    quantities: tuple[Quantity, ...] = ()


class QualityFlag(Document):
    """Why this result should not be trusted blindly: a code, how grave, what was seen and what it means."""

    code: str
    severity: Severity
    message: str

    @classmethod
    def of_repair(cls, repair: Repair) -> "QualityFlag":
        """Tell a repair of the input beside the result."""
        return cls(code=repair.code.value, severity="warning", message=repair.message)


def flag(code: FlagCode, severity: Severity, message: str) -> QualityFlag:
    """A quality flag of one of this project's own codes."""
    return QualityFlag(code=code.value, severity=severity, message=message)


class Explanation(Document):
    """A heat map on the input's grid, with the score card that judges it.

    `about` says what of the label is meant where it is not all of it, `source` which of several films, `files` what was
    written: the map as numbers, its picture, a DICOM object. `at_um` is where on a slide the map begins (x, y), whose
    pixels measure `um_per_px`. A map that was not judged has no score card.
    """

    optional = frozenset({"about", "source", "at_um", "um_per_px", "files"})

    label: str
    method: str
    file: str
    about: str = ""
    source: str = ""
    at_um: tuple[float, float] | None = None
    um_per_px: float | None = None
    files: dict[str, str] = Field(default_factory=dict)
    score_card: ScoreCard | None = None


class ModelId(Document):
    """Which weights and which code made a result.

    `localiser_sha256` stands where a coarse network chose what was searched, `assistants_sha256` where further networks
    had a say.
    """

    optional = frozenset({"localiser_sha256", "assistants_sha256"})

    name: str
    weights_sha256: str | None
    version: str
    trained_on: str
    localiser_sha256: str | None = None
    assistants_sha256: dict[str, str | None] = Field(default_factory=dict)


class StudyRecord(Document):
    """Which study and series a result is about; never a patient's name."""

    uid: str
    modality: str
    source: str
    series_uid: str


class ViewRecord(Document):
    """What was said about one film of a study, before the views were put together."""

    source: str = Field(description="Which film: its series, or its file")
    projection: str = Field(description="frontal or lateral; empty where unknown")
    used: bool = Field(description="Whether the study's findings rest on it")
    findings: tuple[Finding, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    quality: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True)
class OutputFile:
    """A file that a task adds to a study's folder.

    Attributes:
        key: Under which `outputs` names it.
        name: Of the file, which is the same for every study of the task.
        write: Writes it whole to a path that it is given; what is half written never gets the final name.
    """

    key: str
    name: str
    write: Callable[[Path], None]


class ErrorRecord(Document):
    """Why a study failed."""

    code: str
    message: str
    advice: str

    @classmethod
    def of(cls, refusal: InputRefused) -> "ErrorRecord":
        """Record a refusal."""
        return cls(code=refusal.code.value, message=refusal.message, advice=refusal.advice)


class Result(Document):
    """Everything said about one study.

    The arrays (`labels`, `probabilities`, `instances`), further `files`, the DICOM `source` of the labels and all
    `sources` travel with the document but are no part of it: files of their own, named in `outputs`, hold them.
    `label_set` says what the values of the mask are, `config_digest` which settings the task had.
    """

    optional = frozenset({"slide", "views", "label_set", "config_digest"})

    schema_: int = Field(default=1, alias="schema")
    study: StudyRecord
    task: str
    model: ModelId
    config_digest: str = ""
    device: str = "cpu"
    grid: GridRecord | None = None
    slide: SlideRecord | None = None
    findings: tuple[Finding, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    quality: tuple[QualityFlag, ...] = ()
    views: tuple[ViewRecord, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    outputs: dict[str, str] = Field(default_factory=dict)
    segmentation_sha256: str | None = None
    label_set: tuple[LabelRecord, ...] = ()
    error: ErrorRecord | None = None
    seconds: dict[str, float] = Field(default_factory=dict)
    research_use_only: Literal[True] = True

    labels: Image | None = Field(default=None, exclude=True)
    probabilities: Image | None = Field(default=None, exclude=True)
    instances: Image | None = Field(default=None, exclude=True)
    source: DicomSource | None = Field(default=None, exclude=True)
    sources: tuple[DicomSource, ...] = Field(default=(), exclude=True)
    files: tuple[OutputFile, ...] = Field(default=(), exclude=True)

    model_config = ConfigDict(populate_by_name=True)

    @property
    def labels_told(self) -> LabelSet:
        """The label set of its mask, as the document tells it; empty where it has none."""
        return LabelSet(tuple(Label(**dict(label)) for label in self.label_set))

    @property
    def result_digest(self) -> str:
        """Sha256 of the document's canonical JSON without what may differ between runs: seconds and device.

        Canonical is sorted by key, without spaces, in ASCII; so anybody can recompute it from `result.json`.
        """
        document = self._content()
        del document["seconds"]
        return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """The content of `result.json`; a failed study has `error` and no findings, others no `error`."""
        return self._content() | {"result_digest": self.result_digest}

    def _content(self) -> dict[str, Any]:
        # The device is in the run's manifest; a result does not depend on it.
        left_out = {"device"} if self.error else {"device", "error"}
        return self.model_dump(mode="json", by_alias=True, exclude=left_out)


def digest_of_labels(labels: Image) -> str:
    """Sha256 of a label map's voxels in the order (K, J, I), so that the digest of a result covers its mask."""
    return hashlib.sha256(labels.slices().tobytes(order="C")).hexdigest()
