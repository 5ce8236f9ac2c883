"""Everything that is wrong with a dataset, told before the first step and not at step 400."""

import os
from collections.abc import Sequence

from datasets.audit.auditing import audit
from datasets.defects import Defect
from datasets.errors import ConfigError
from datasets.example import Dataset
from pipelines.training.lesson import Lesson
from pipelines.training.prepared import Refused

# Reading so many takes minutes; of larger sets only what the layout and the preparation find is told.
_MOST_AUDITED = 2000
_MOST_TOLD = 100


class DatasetRefused(ConfigError):
    """A dataset nothing can honestly be learnt from as it is.

    Args:
        reasons: All of them, a line each.
        advice: What to do.
    """

    def __init__(self, reasons: Sequence[str], advice: str) -> None:
        more = [f"and {len(reasons) - _MOST_TOLD} more"] if len(reasons) > _MOST_TOLD else []
        told = "\n  ".join([*reasons[:_MOST_TOLD], *more])
        super().__init__("a dataset without errors", f"{len(reasons)}:\n  {told}\n", advice)
        self.reasons = tuple(reasons)


def check_before_training(dataset: Dataset, lesson: Lesson) -> tuple[Defect, ...]:
    """Audit the data.

    Returns:
        What a person should know of it and what does not stop a training.

    Raises:
        DatasetRefused: Something is wrong; all of it is told.
    """
    found = dataset.defects
    if len(dataset.examples) <= _MOST_AUDITED:
        labels = lesson.task.label_set
        workers = min(os.cpu_count() or 1, 8)
        found = audit(dataset, wanted=labels if labels.labels else None, workers=workers)
    errors = [defect for defect in found if defect.gravity == "error"]
    if errors or not dataset.examples:
        reasons = [f"{one.code.value}: {one.where or dataset.name}: {one.found}" for one in errors]
        raise DatasetRefused(reasons or [f"no examples in {dataset.name}"], "see `denselens audit`, which mends some")
    return tuple(defect for defect in found if defect.gravity != "error")


def check_prepared(refused: Sequence[Refused]) -> None:
    """That every example could be prepared.

    Raises:
        DatasetRefused: Some could not; all of them are told.
    """
    if refused:
        reasons = [f"{one.code}: {one.name}: {one.told}" for one in refused]
        raise DatasetRefused(reasons, "mend these files or take them out of the set")
