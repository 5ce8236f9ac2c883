"""How an evaluation is done: everything that changes its figures and is not the data or the model."""

from typing import Literal

from pydantic import Field

from pipelines.document import Document

Kind = Literal["segmentation", "instances", "findings", "classes"]


class EvaluationSettings(Document):
    """Told in `evaluation.json`, so that the same figures can be had again."""

    tolerance: float = Field(default=2.0, ge=0.0, description="of the normalised surface Dice: mm, or px")
    replicates: int = Field(default=2000, ge=100, description="bootstrap samples")
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    seed: int = Field(default=0, ge=0)
    renamed: dict[str, str] = Field(default_factory=dict, description="by a dataset's name, the task's label")


# What happens where a mask is empty; docs/evaluation.md compares it with what other tools do.
EMPTY_RULES = {
    "both_empty": "Dice, IoU and NSD are 1, VOE and RVD 0; distances are undefined",
    "reference_empty": "Dice, IoU and NSD are 0, VOE is 1; RVD and distances are undefined",
    "prediction_empty": "Dice, IoU and NSD are 0, VOE is 1, RVD is -1; distances are undefined",
    "undefined": "left out of means, and counted: a mean of distances is of those cases alone that have one",
    "lesions": "all of all cases are counted together: recall is undefined where there are none, precision where none "
    "was said; F1 is 1 where both hold and 0 where one does",
    "ranking": "AUROC is undefined where all or none of the cases have the finding, average precision where none has",
}
