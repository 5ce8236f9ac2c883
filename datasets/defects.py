"""What is wrong with a dataset, told case by case before anything is learnt from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Gravity = Literal["error", "warning"]


class DefectCode(StrEnum):
    """Kinds of defects; listed with their meaning in docs/codes.md."""

    UNREADABLE_IMAGE = "unreadable_image"
    UNREADABLE_LABELS = "unreadable_labels"
    IMAGE_MISSING = "image_missing"
    LABELS_MISSING = "labels_missing"
    GEOMETRY_MISMATCH = "geometry_mismatch"
    UNKNOWN_LABEL = "unknown_label"
    LABEL_ABSENT = "label_absent"
    LABELS_FLIPPED = "labels_flipped"
    LABELS_EMPTY = "labels_empty"
    DUPLICATE_IMAGE = "duplicate_image"
    PATIENT_IN_TWO_SPLITS = "patient_in_two_splits"
    SPACING_NOT_TOLD = "spacing_not_told"
    NOT_FINITE_VALUES = "not_finite_values"
    INTENSITY_OUTLIER = "intensity_outlier"
    CLASS_IMBALANCE = "class_imbalance"
    NAME_TWICE = "name_twice"
    LABELS_MISPLACED = "labels_misplaced"
    IMAGES_DIFFER = "images_differ"


@dataclass(frozen=True)
class Defect:
    """One thing that is wrong.

    Attributes:
        code: Kind.
        gravity: "error" stops a training, "warning" is told.
        where: Name of the example, or of the file where there is no example; "" where it is the whole set.
        found: What was seen, in plain words with numbers, without patients' names.
        advice: What to do.
        fix: Name of the fix `denselens audit --fix` can apply to a copy; "" where a person must decide.
    """

    code: DefectCode
    gravity: Gravity
    where: str
    found: str
    advice: str
    fix: str = ""
