"""What is kept of a case once its pixels are gone: enough for every figure, in the form in which it is written."""

from typing import Literal

from pydantic import Field

from pipelines.document import Document
from pipelines.metrics.lesion_detection import LesionCounts
from pipelines.metrics.mask_counts import MaskCounts

Unit = Literal["mm", "px"]


class LesionRecord(Document):
    """Lesions of one label in one case, by both rules.

    `found_scores` are of the lesions that a prediction overlaps, the best each; `invented_scores` of predictions that
    overlap none. Both are None where predictions came without scores.
    """

    reference: int
    predicted: int
    found_by_overlap: int
    right_by_overlap: int
    found_by_iou: int
    right_by_iou: int
    found_scores: tuple[float, ...] | None = None
    invented_scores: tuple[float, ...] | None = None

    @property
    def by_overlap(self) -> LesionCounts:
        """One voxel in common is enough."""
        return LesionCounts(self.reference, self.found_by_overlap, self.predicted, self.right_by_overlap)

    @property
    def by_iou(self) -> LesionCounts:
        """The union must overlap by more than one half."""
        return LesionCounts(self.reference, self.found_by_iou, self.predicted, self.right_by_iou)


class MaskRecord(Document):
    """One label of one case, compared voxel by voxel.

    Distances and `tolerance` are in `unit`; they are None where either mask is empty, `rvd` where the reference is and
    the prediction is not, volumes where the spacing is unknown.
    """

    optional = frozenset({"lesions"})

    label: str
    predicted: int = Field(description="voxels")
    reference: int = Field(description="voxels")
    shared: int = Field(description="voxels in both")
    unit: Unit
    dice: float
    iou: float
    voe: float
    rvd: float | None
    nsd: float
    hd: float | None
    hd95: float | None
    assd: float | None
    rmsd: float | None
    predicted_ml: float | None
    reference_ml: float | None
    lesions: LesionRecord | None = None

    @property
    def counts(self) -> MaskCounts:
        """Of voxels."""
        return MaskCounts(self.predicted, self.reference, self.shared)


class InstanceRecord(Document):
    """Objects of one sort in one case; `two_class_iou` and its counts need the network's probability."""

    label: str
    predicted: int = Field(description="pixels")
    reference: int = Field(description="pixels")
    shared: int = Field(description="pixels in both")
    foreground_iou: float
    matched: int
    invented: int
    missed: int
    iou_sum: float
    panoptic_quality: float
    aggregated_jaccard: float
    two_class_iou: float | None = None


class FindingRecord(Document):
    """One label that may be there or not; `truth` 1.0 or 0.0. `raw` is the network's own probability."""

    label: str
    truth: float
    probability: float
    raw: float | None
    threshold: float
    positive: bool


class ClassRecord(Document):
    """Which of several classes holds, and which was called; probabilities in the order of the classes."""

    truth: int
    called: int
    probabilities: tuple[float, ...]
    raw: tuple[float, ...] | None


class ScoreRecord(Document):
    """A number that was said, and the true one."""

    label: str
    truth: float
    said: float


class Case(Document):
    """One study with everything that was compared of it."""

    name: str
    patient: str
    groups: dict[str, str] = Field(default_factory=dict)
    truth_sha256: str
    masks: tuple[MaskRecord, ...] = ()
    instances: InstanceRecord | None = None
    findings: tuple[FindingRecord, ...] = ()
    classes: ClassRecord | None = None
    scores: tuple[ScoreRecord, ...] = ()
    notes: tuple[str, ...] = ()


class Failure(Document):
    """A study that could not be compared, and why."""

    name: str
    code: str
    message: str
    advice: str
