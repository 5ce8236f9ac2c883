"""What stands of a case's reviews, and masks that are not taken for what they are not."""

from pathlib import Path

import numpy as np
import pytest

from app.services.intake import take_in
from app.services.record import record_of, standing_review
from app.store.cases import NoSuchCase
from app.store.records import Decision
from datasets.codes import RefusalCode
from datasets.errors import InputRefused
from datasets.image import Image, Intensity
from datasets.io.nifti import write_nifti
from pipelines.results import digest_of_labels
from tests.app.planted import write
from tests.app.services.exports import scene
from tests.app.services.exports.scene import OTHER, READER, Scene

ACCEPTED = Decision(finding=0, label="effusion", verdict="accepted")
REJECTED = Decision(finding=0, label="effusion", verdict="rejected", reason="false_positive")


@pytest.fixture
def film(tmp_path: Path) -> Scene:
    return scene.film(tmp_path)


def verdicts(planted: Scene) -> list[str | None]:
    return [row.decided.decision.verdict if row.decided else None for row in planted.record().rows]


def test_without_a_review_nothing_stands(film: Scene) -> None:
    record = film.record()
    assert record.standing is None
    assert verdicts(film) == [None, None]
    assert not record.in_conflict


def test_the_latest_complete_review_stands_and_all_are_kept(film: Scene) -> None:
    film.review(ACCEPTED, based_on=0)
    film.review(REJECTED, based_on=1)
    film.review(ACCEPTED, based_on=2, complete=False)
    record = film.record()
    assert record.standing is not None
    assert record.standing.number == 2
    assert verdicts(film) == ["rejected", None]
    assert [review.number for review in record.reviews] == [1, 2, 3]


def test_without_a_complete_one_the_latest_stands(film: Scene) -> None:
    film.review(ACCEPTED, complete=False)
    film.review(REJECTED, complete=False, based_on=1)
    assert verdicts(film) == ["rejected", None]


def test_two_readers_who_did_not_see_each_other_are_in_conflict_until_one_does(film: Scene) -> None:
    film.review(ACCEPTED, reader=READER)
    film.review(REJECTED, reader=OTHER)
    assert film.record().in_conflict
    assert film.record().reviews[1].conflicts_with == 1
    film.review(REJECTED, reader=READER, based_on=2)
    assert not film.record().in_conflict


def test_what_a_reader_adds_has_a_row_of_its_own(film: Scene) -> None:
    added = [Decision(finding=at, label="nodule", verdict="accepted", reason="missed_finding") for at in (5, 2)]
    film.review(ACCEPTED, *added)
    rows = film.record().rows
    assert [(row.kind, row.number, row.name) for row in rows] == [
        ("finding", 0, "effusion"),
        ("finding", 1, "mass"),
        ("added", 2, "nodule 1"),
        ("added", 5, "nodule 2"),
    ]
    assert rows[2].finding is None


def test_decisions_on_an_earlier_result_do_not_stand(film: Scene) -> None:
    film.review(REJECTED)
    result = film.record().result
    again = result.model_copy(update={"findings": result.findings[::-1]})
    take_in(film.database, write(again, film.folder), "worker")
    record = film.record()
    assert verdicts(film) == [None, None]
    assert [record.on_this_result(review) for review in record.reviews] == [False]
    assert standing_review(record.reviews, record.reviews[0].result_sha256) is record.reviews[0]


def test_a_result_that_is_not_the_one_on_the_worklist_is_refused(film: Scene) -> None:
    result = film.record().result
    write(result.model_copy(update={"findings": ()}), film.folder)
    with pytest.raises(InputRefused, match="worklist") as refused:
        film.record()
    assert refused.value.code is RefusalCode.UNREADABLE_FILE


def test_there_is_no_record_of_no_case(film: Scene) -> None:
    with pytest.raises(NoSuchCase):
        record_of(film.database, "nobody", film.masks)


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, str, str]:
    planted = scene.liver(tmp_path_factory.mktemp("liver"), dicom=False)
    name, digest, _ = planted.edit()
    return planted, name, digest


@pytest.mark.parametrize("kind", ["gone", "changed", "elsewhere", "unknown label"])
def test_a_mask_that_is_not_what_was_reviewed_is_refused(edited: tuple[Scene, str, str], kind: str) -> None:
    planted, name, digest = edited
    grid = planted.record().result.grid if kind != "gone" else None
    if kind == "gone":
        name = "none.nii.gz"
    else:
        assert grid is not None
        voxels, affine = np.zeros((1, *grid.shape), np.uint8), np.array(grid.affine)
        voxels[0, 0, 0, 0] = 3 if kind == "unknown label" else 1
        affine[0, 3] += 5.0 if kind == "elsewhere" else 0.0
        mask = Image(voxels, Intensity.LABEL, affine)
        digest = digest_of_labels(mask) if kind != "changed" else digest
        name = f"{kind.replace(' ', '-')}.nii.gz"
        write_nifti(mask, planted.masks / name)
    good = edited[1:]
    planted.review(mask=name, mask_sha256=digest)
    with pytest.raises(InputRefused) as refused:
        planted.record()
    assert refused.value.code is RefusalCode.UNREADABLE_FILE
    planted.review(mask=good[0], mask_sha256=good[1])
    assert planted.record().edit is not None


def test_a_mask_is_named_and_not_a_path(edited: tuple[Scene, str, str]) -> None:
    planted, name, digest = edited
    planted.review(mask=f"../../elsewhere/{name}", mask_sha256=digest)
    edit = planted.record().edit
    assert edit is not None
    assert edit.changed == 5
