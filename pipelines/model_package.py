"""The card of weights: what is known of them, and of how they came to be."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from networks.configs import Input


class Record(BaseModel):
    """Frozen; keys that are not known are an error, so that nothing is kept under a misspelt name."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(Record):
    """A figure with its interval."""

    value: float
    low: float | None = Field(default=None, description="end of the 95 % interval over patients")
    high: float | None = Field(default=None, description="the other end")


class DataRecord(Record):
    """What was trained on."""

    name: str
    sha256: str | None = Field(
        default=None, description="of what was read, whatever its files are called: pipelines.fingerprint"
    )
    cases: int
    patients: int
    fingerprint: dict[str, Any] = Field(default_factory=dict, description="its summary")


class TrainingRecord(Record):
    """How it was trained."""

    seed: int
    code_version: str
    settings: dict[str, Any] = Field(default_factory=dict, description="the keys under training:")
    environment: dict[str, str] = Field(default_factory=dict, description="versions of packages, the device")
    steps: int | None = None
    seconds: float | None = None


class EvaluationRecord(Record):
    """How it did on cases that nothing was learnt from."""

    data: str = Field(description="which cases")
    cases: int
    figures: dict[str, Figure] = Field(description="by name, unit in the name")


class CalibratedLabel(Record):
    """What calibration did for one label."""

    positives: int
    negatives: int
    before: dict[str, float] = Field(description="calibration_error, brier, log_loss of the network's probability")
    after: dict[str, float] = Field(description="the same calibrated, by lines fitted without the case's patient")
    at_point: dict[str, float] = Field(default_factory=dict, description="sensitivity, specificity where it is called")


class CalibrationRecord(Record):
    """On what operating points and calibration were found."""

    data: str
    data_sha256: str | None = None
    split: str = Field(description='of the dataset; "all" where it has no validation split')
    method: str
    rule: str = Field(description="by which operating points were chosen")
    labels: dict[str, CalibratedLabel]
    left_alone: dict[str, str] = Field(default_factory=dict, description="labels that were not fitted, and why")


class Card(Record):
    """What is known about weights: on what they were trained, how they did on what nobody trained on."""

    name: str
    task: str
    trained_on: str
    held_out: dict[str, float] = Field(default_factory=dict, description="figures on data not trained on, unit in name")
    limits: str = Field(description="what the weights must not be used for, in plain words")
    phantom: bool = Field(description="trained on phantoms only")
    source: str | None = Field(default=None, description="name of the file the weights were imported from")
    source_sha256: str | None = Field(default=None, description="of that file")
    layout: str | None = Field(default=None, description="whose file that was")
    drawn_anew: int = Field(default=0, description="tensors that hold random numbers, for training to start from")
    labels: tuple[str, ...] = Field(default=(), description='of the outputs, in order; "" was never trained')
    operating_points: dict[str, float] = Field(default_factory=dict, description="by label, probability that counts")
    calibration: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="by label, slope and intercept on the log odds of the network's probability",
    )
    input: Input | None = Field(default=None, description="what pixels are expected")
    notes: tuple[str, ...] = Field(default=(), description="what somebody who uses the weights must know")
    settings: dict[str, Any] | None = Field(default=None, description="of the task, preprocessing among them")
    data: DataRecord | None = Field(default=None, description="what was trained on")
    training: TrainingRecord | None = Field(default=None, description="how")
    evaluation: EvaluationRecord | None = Field(default=None, description="figures with intervals")
    calibrated: CalibrationRecord | None = Field(default=None, description="on what calibration was fitted")
