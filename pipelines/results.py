"""What a pipeline says about a study: the document that is stored, shown and exported.

Field names are the keys of `result.json`; `docs/interface.md` promises them.
"""

import hashlib
import json
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from datasets.codes import Repair
from datasets.dicom_source import DicomSource
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Image

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


class FailureCode(StrEnum):
    """Why a study failed although its input was fit; the codes of refused input stand in `RefusalCode`."""

    CONFIG_ERROR = "config_error"
    WEIGHTS_ERROR = "weights_error"
    INTERNAL_ERROR = "internal_error"


def writable(text: str) -> str:
    """Text that can be written as UTF-8; what cannot stands as `\\udcXX`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Document(BaseModel):
    """Base of everything in `result.json`: immutable, unknown keys refused."""

    # JSON knows neither NaN nor infinity.
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _writable(cls, values: Any) -> Any:
        """Bytes of file names that are no UTF-8 travel in `str` as lone surrogates, which no file can hold."""
        if not isinstance(values, dict):
            return values
        return {key: writable(value) if isinstance(value, str) else value for key, value in values.items()}


class Quantity(Document):
    """A measured value with its UCUM unit; `label` names what was measured where the finding does not."""

    name: str
    label: str | None = None
    value: float | None
    unit: str

    @model_serializer(mode="wrap")
    def _label_where_there_is_one(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Inside a finding the label is the finding's."""
        content: dict[str, Any] = serialise(self)
        return content if self.label is not None else {key: value for key, value in content.items() if key != "label"}


class Location(Document):
    """Where a finding lies in the patient, RAS mm at its centroid, and between which slices of the input."""

    centroid_mm: tuple[float, float, float]
    coordinates: Literal["RAS"] = "RAS"
    component: int = Field(description="Number of the connected component, largest first, from 1")


class Finding(Document):
    """A statement a reader accepts, edits or rejects."""

    label: str
    probability: float | None
    threshold: float
    positive: bool
    calibrated: bool
    location: Location | None = None
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


class Explanation(Document):
    """A heat map on the input's grid, with the score card that judges it."""

    label: str
    method: str
    file: str
    score_card: dict[str, float] = Field(default_factory=dict)


class ModelId(Document):
    """Which weights and which code made a result; `localiser_sha256` where a coarse network chose what was searched."""

    name: str
    weights_sha256: str | None
    version: str
    trained_on: str
    localiser_sha256: str | None = None

    @model_serializer(mode="wrap")
    def _localiser_where_there_is_one(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialise(self)
        return {key: value for key, value in content.items() if key != "localiser_sha256" or value is not None}


class StudyRecord(Document):
    """Which study and series a result is about; never a patient's name."""

    uid: str
    modality: str
    source: str
    series_uid: str


class GridRecord(Document):
    """The grid of the input image, which is the grid of the mask; the affine maps to RAS mm."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, grid: Grid) -> "GridRecord":
        """Record a grid."""
        return cls(
            shape=grid.shape,
            spacing_mm=grid.spacing_mm,
            affine=tuple(tuple(float(v) for v in row) for row in grid.affine),
        )


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

    The arrays (`labels`, `probabilities`) and the DICOM `source` travel with the document but are not part of it:
    they are written to files of their own, named in `outputs`.
    """

    schema_: int = Field(default=1, alias="schema")
    study: StudyRecord
    task: str
    model: ModelId
    device: str = "cpu"
    grid: GridRecord | None = None
    findings: tuple[Finding, ...] = ()
    quantities: tuple[Quantity, ...] = ()
    quality: tuple[QualityFlag, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    outputs: dict[str, str] = Field(default_factory=dict)
    segmentation_sha256: str | None = None
    error: ErrorRecord | None = None
    seconds: dict[str, float] = Field(default_factory=dict)
    research_use_only: Literal[True] = True

    labels: Image | None = Field(default=None, exclude=True)
    probabilities: Image | None = Field(default=None, exclude=True)
    source: DicomSource | None = Field(default=None, exclude=True)

    model_config = ConfigDict(populate_by_name=True)

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
