"""From the store and the folders of results to what monitoring looks at."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from app.services.intake import read_result
from app.services.monitoring import Monitored
from app.services.record import network_mask, read_edit, standing_review
from app.store.cases import Cases, Wanted
from app.store.database import Database
from app.store.records import Case, Review
from app.store.reviews import Reviews
from datasets.errors import InputRefused
from pipelines.metrics.dice import dice
from pipelines.results import Result

_ALL = Wanted(most=1_000_000, order="received")
_REMEMBERED = 20_000


def monitored(database: Database, masks: Path | None = None) -> tuple[tuple[Monitored, ...], int]:
    """Every case of a store.

    Args:
        database: Open.
        masks: Where edited masks lie; None leaves out how much of the network's mask was kept.

    Returns:
        The cases, and how many were left out because their result is gone or was changed.
    """
    reviews: dict[str, list[Review]] = {}
    for review in Reviews(database).all():
        reviews.setdefault(review.case, []).append(review)
    found, missing = [], 0
    for case in Cases(database).find(_ALL):
        result = result_of(case.folder, case.result_sha256)
        if result is None:
            missing += 1
            continue
        stands = standing_review(sorted(reviews.get(case.id, []), key=lambda one: one.number), case.result_sha256)
        found.append(_seen(case, result, stands, masks))
    return tuple(found), missing


@lru_cache(_REMEMBERED)
def result_of(folder: str, result_sha256: str) -> Result | None:
    """A case's result without its arrays; None where it is gone, or is another one by now."""
    try:
        result, digest = read_result(Path(folder))
    except InputRefused:
        return None
    return result if digest == result_sha256 else None


def _seen(case: Case, result: Result, stands: Review | None, masks: Path | None) -> Monitored:
    edited = stands is not None and stands.mask and masks is not None
    return Monitored(
        case=case.id,
        task=case.task,
        modality=case.modality,
        model=" ".join((result.model.name, (result.model.weights_sha256 or "")[:8])).strip(),
        received_at=case.received_at,
        findings=result.findings,
        flags=case.flags,
        spacing_mm=None if result.grid is None else result.grid.spacing_mm,
        error=case.error,
        review=stands,
        edit_dice=_edit_dice(case.folder, case.result_sha256, stands, masks) if edited and stands and masks else None,
    )


@lru_cache(_REMEMBERED)
def _edit_dice(folder: str, result_sha256: str, review: Review, masks: Path) -> float | None:
    result = result_of(folder, result_sha256)
    if result is None:
        return None
    try:
        edited, before = read_edit(review, result, Path(folder), masks).labels, network_mask(result, Path(folder))
    except InputRefused:
        return None
    there = np.union1d(edited.array, before.array)
    values = [dice(edited.array == index, before.array == index) for index in there if index > 0]
    return float(np.mean(values)) if values else 1.0
