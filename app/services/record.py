"""A case with what a network and what readers said of it: the one thing that every export is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from app.services.intake import read_result
from app.store.cases import Cases
from app.store.database import Database
from app.store.records import Case, Decision, Review
from app.store.reviews import Reviews
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.geometry import Grid
from datasets.image import Image, Intensity
from datasets.io.nifti import read_nifti
from pipelines.results import Finding, Quantity, Result, digest_of_labels


@dataclass(frozen=True)
class Decided:
    """A decision, with who took it and when.

    Attributes:
        decision: What was decided.
        reader: Who.
        at: When.
        review: Number of the review it stands in.
    """

    decision: Decision
    reader: str
    at: datetime
    review: int


@dataclass(frozen=True)
class Row:
    """One line of every table: a finding, or what was measured of a whole label.

    Attributes:
        kind: A finding of the network, one that a reader added, or what was measured of all of a label.
        number: Place among the findings, from 0, as decisions name it; None of what is no finding.
        label: What it is; "" for the whole study.
        component: Which of several of the label, from 1; None where it is about all of it.
        finding: What the network said; None where a reader said it, and of what was only measured.
        quantities: What was measured of it.
        decided: What stands of it; None where nobody has decided.
    """

    kind: Literal["finding", "added", "measured"]
    number: int | None
    label: str
    component: int | None = None
    finding: Finding | None = None
    quantities: tuple[Quantity, ...] = ()
    decided: Decided | None = None

    @property
    def name(self) -> str:
        """What tells it from the others: "liver_tumor 2"; "study" without a label."""
        named = self.label or "study"
        return named if self.component is None else f"{named} {self.component}"


@dataclass(frozen=True)
class EditedVolume:
    """A label's volume in an edited mask: its voxels times their size, whatever other labels lie within.

    Attributes:
        label: Which.
        ml: In the edited mask.
        before_ml: In the network's, counted the same way.
    """

    label: str
    ml: float
    before_ml: float


@dataclass(frozen=True, eq=False)
class Edit:
    """The mask of the standing review.

    Attributes:
        labels: (1, I, J, K) uint8 on the grid of the input image.
        changed: Voxels that are not what the network said.
        volumes: One for each label.
    """

    labels: Image
    changed: int
    volumes: tuple[EditedVolume, ...]


@dataclass(frozen=True, eq=False)
class CaseRecord:
    """A case, what was said of it, and what stands.

    Attributes:
        case: As the store has it.
        result: What the network said.
        reviews: What readers said of it, the first one first; of earlier results too.
        edit: The standing review's mask, measured again; None where it has none.
    """

    case: Case
    result: Result
    reviews: tuple[Review, ...] = ()
    edit: Edit | None = None

    @property
    def standing(self) -> Review | None:
        """The review that stands; None where nobody has looked at this result."""
        return standing_review(self.reviews, self.case.result_sha256)

    @property
    def in_conflict(self) -> bool:
        """Whether two readers decided without having seen each other's, and nobody has since."""
        return self.case.in_conflict

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Findings in the order of the result, those that readers added, then what was measured of whole labels."""
        decided = self._decided()
        findings = [
            Row("finding", number, one.label, _component(one), one, one.quantities, decided.pop(number, None))
            for number, one in enumerate(self.result.findings)
        ]
        names = [one.decision.label for _, one in sorted(decided.items())]
        added = [
            Row("added", number, names[at], names[: at + 1].count(names[at]), decided=one)
            for at, (number, one) in enumerate(sorted(decided.items()))
        ]
        labels = dict.fromkeys(quantity.label or "" for quantity in self.result.quantities)
        measured = [
            Row(
                "measured", None, label, quantities=tuple(q for q in self.result.quantities if (q.label or "") == label)
            )
            for label in labels
        ]
        return (*findings, *added, *measured)

    def on_this_result(self, review: Review) -> bool:
        """Whether a review is of the result that is told here."""
        return review.result_sha256 == self.case.result_sha256

    def _decided(self) -> dict[int, Decided]:
        stands = self.standing
        if stands is None:
            return {}
        return {one.finding: Decided(one, stands.reader, stands.at, stands.number) for one in stands.decisions}


def record_of(database: Database, case_id: str, masks: Path) -> CaseRecord:
    """Everything about a case, as it is now.

    Args:
        database: Open.
        case_id: Of the case.
        masks: Where edited masks lie.

    Raises:
        NoSuchCase: There is none.
        InputRefused: `unreadable_file`: the result or the edited mask is gone, or is not what was reviewed.
    """
    case = Cases(database).get(case_id)
    # What was appended since is of a later state of the case.
    reviews = tuple(Reviews(database).of(case_id))[: case.reviews]
    folder = Path(case.folder)
    result, digest = read_result(folder)
    if digest != case.result_sha256:
        raise _refused("the result that is on the worklist", f"another one in {folder}", "take it in, or score again")
    standing = standing_review(reviews, case.result_sha256)
    edit = read_edit(standing, result, folder, masks) if standing is not None and standing.mask else None
    return CaseRecord(case, result, reviews, edit)


def standing_review(reviews: Sequence[Review], result_sha256: str) -> Review | None:
    """Which review stands: the latest complete one of a result, or else the latest one; None where there is none."""
    own = [review for review in reviews if review.result_sha256 == result_sha256]
    return next((review for review in reversed(own) if review.complete), own[-1] if own else None)


def read_edit(review: Review, result: Result, folder: Path, masks: Path) -> Edit:
    """A review's mask, checked and measured.

    Args:
        review: With a mask.
        result: What was reviewed.
        folder: The study's own, where the network's mask lies.
        masks: Where edited masks lie.

    Raises:
        InputRefused: `unreadable_file`: one of the masks is gone or changed, or does not lie on the image's grid.
    """
    labels = _mask(masks / Path(review.mask).name, review.mask_sha256)
    before = network_mask(result, folder)
    grid = None if result.grid is None else Grid(result.grid.shape, np.asarray(result.grid.affine))
    if grid is None or not (labels.grid.matches(grid) and before.grid.matches(grid)):
        raise _refused("masks on the grid of the image", "another one", "edit the segmentation again")
    # The result has the affine in full, a NIfTI file in seven digits.
    labels = Image(labels.array, Intensity.LABEL, grid.affine)
    names = result.labels_told.labels
    counts, counts_before = (np.bincount(one.array.ravel(), minlength=len(names) + 1) for one in (labels, before))
    if counts.size > len(names) + 1:
        raise _refused(f"labels up to {len(names)}", f"{counts.size - 1}", "edit the segmentation again")
    volumes = tuple(
        EditedVolume(
            label.name,
            float(counts[label.index]) * grid.voxel_volume_ml,
            float(counts_before[label.index]) * grid.voxel_volume_ml,
        )
        for label in names
    )
    return Edit(labels, int(np.count_nonzero(labels.array != before.array)), volumes)


def network_mask(result: Result, folder: Path) -> Image:
    """The label map that a network made, (1, I, J, K) uint8.

    Raises:
        InputRefused: `unreadable_file`: it is gone or changed, or there was none.
    """
    return _mask(folder / Path(result.outputs.get("segmentation", "")).name, result.segmentation_sha256 or "")


def _mask(path: Path, sha256: str) -> Image:
    if not path.is_file():
        raise _refused("a mask as it was saved", f"none at {path}", "put it back where it was")
    read = read_nifti(path, Intensity.LABEL).image
    labels = Image(read.array.astype(np.uint8), Intensity.LABEL, read.affine)
    if digest_of_labels(labels) != sha256:
        raise _refused("a mask as it was saved", f"other voxels in {path}", "put the file back from a copy")
    return labels


def _component(finding: Finding) -> int | None:
    return None if finding.location is None else finding.location.component


def _refused(expected: str, got: str, advice: str) -> InputRefused:
    return InputRefused(RefusalCode.UNREADABLE_FILE, expected, got, advice)
