"""What stands behind a reader study: its cases, what the network said of them, and the masks that readers left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.services.agreement import MaskOf
from app.services.monitored import result_of
from app.services.reading import Standing, standing_of
from app.services.record import network_mask, read_edit
from app.store.database import Database
from app.store.readings import Readings
from app.store.records import Case, Review
from datasets.errors import InputRefused
from datasets.labels import Label
from pipelines.results import Finding, Result


@dataclass(frozen=True, eq=False)
class Material:
    """A plan with all that its figures are made of.

    Attributes:
        standing: How far it has come.
        cases: By id.
        results: By id of the case; those that are gone or were changed are not there.
    """

    standing: Standing
    cases: Mapping[str, Case]
    results: Mapping[str, Result]

    @property
    def findings(self) -> Mapping[str, Sequence[Finding]]:
        """Of each case whose result is there."""
        return {case: result.findings for case, result in self.results.items()}

    @property
    def labels(self) -> tuple[Label, ...]:
        """Of the masks; none where the cases have none, or masks of different labels."""
        told = {result.labels_told.labels for result in self.results.values() if result.segmentation_sha256}
        return told.pop() if len(told) == 1 else ()


def material_of(database: Database, plan: str) -> Material:
    """A plan with its cases and results as they are now.

    Raises:
        NoSuchPlan: There is none.
    """
    standing = standing_of(database, plan)
    cases = Readings(database).cases_of(standing.plan)
    found = {name: result_of(case.folder, case.result_sha256) for name, case in cases.items()}
    return Material(standing, cases, {name: result for name, result in found.items() if result is not None})


def masks_of(material: Material, masks: Path) -> MaskOf:
    """Where to ask for the mask that a reader left of a case.

    It is the mask they edited; the network's, where they saw it and left it; none, where they did not see it and drew
    none, have not read the case, or a file is gone.

    Args:
        material: Of the plan.
        masks: Where edited masks lie.
    """

    def mask_of(case: str, reader: str) -> NDArray[np.uint8] | None:
        review, result = material.standing.readings.get((reader, case)), material.results.get(case)
        if review is None or result is None or not result.segmentation_sha256:
            return None
        return _mask(review, result, Path(material.cases[case].folder), masks)

    return mask_of


def _mask(review: Review, result: Result, folder: Path, masks: Path) -> NDArray[np.uint8] | None:
    try:
        if review.mask:
            found = read_edit(review, result, folder, masks).labels
        elif review.aided:
            found = network_mask(result, folder)
        else:
            return None
    except InputRefused:
        return None
    array: NDArray[np.uint8] = found.array[0]
    return array
