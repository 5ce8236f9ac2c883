from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.services.intake import take_in
from app.services.monitored import monitored
from app.store.database import Database, open_database
from app.store.records import NewReview
from app.store.reviews import Reviews
from datasets.image import Image, Intensity
from datasets.io.nifti import read_nifti, write_nifti
from pipelines.results import digest_of_labels
from tests.app.planted import plant_failure, plant_film, plant_liver


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    yield opened
    opened.close()


def test_cases_stand_with_their_results_and_reviews(database: Database, tmp_path: Path) -> None:
    film = take_in(database, plant_film(tmp_path), "worker")
    failed = take_in(database, plant_failure(tmp_path), "worker")
    review = Reviews(database).append(
        NewReview(case=film.id, reader="anna", result_sha256=film.result_sha256, complete=True)
    )
    earlier = NewReview(case=film.id, reader="ben", based_on=1, result_sha256="of another result", complete=True)
    Reviews(database).append(earlier)
    found, missing = monitored(database)
    seen = {one.case: one for one in found}
    assert missing == 0
    assert seen[film.id].review == review
    assert seen[film.id].model == "planted abababab"
    assert [one.label for one in seen[film.id].findings] == ["effusion", "mass"]
    assert (seen[failed.id].error, seen[failed.id].review, seen[failed.id].edit_dice) == ("missing_slice", None, None)


def test_a_result_that_is_gone_or_another_is_counted(database: Database, tmp_path: Path) -> None:
    take_in(database, plant_film(tmp_path, seed=1), "worker")
    gone = plant_film(tmp_path, seed=2)
    take_in(database, gone, "worker")
    (gone / "result.json").unlink()
    changed = plant_film(tmp_path, seed=3)
    take_in(database, changed, "worker")
    plant_film(tmp_path, seed=3, findings=())
    found, missing = monitored(database)
    assert (len(found), missing) == (1, 2)


def test_edited_masks_are_compared_with_the_networks(database: Database, tmp_path: Path) -> None:
    folder, masks = plant_liver(tmp_path, dicom=False), tmp_path / "masks"
    case = take_in(database, folder, "worker")
    before = read_nifti(folder / "segmentation.nii.gz", Intensity.LABEL).image
    # The tumour is taken out: half of what the liver's and the tumour's Dice make together, nearly.
    array = np.where(before.array == 2, 1, before.array).astype(np.uint8)
    edited = Image(array, Intensity.LABEL, before.affine)
    masks.mkdir()
    write_nifti(edited, masks / "edited.nii.gz")
    review = NewReview(
        case=case.id,
        reader="anna",
        result_sha256=case.result_sha256,
        complete=True,
        mask="edited.nii.gz",
        mask_sha256=digest_of_labels(edited),
    )
    Reviews(database).append(review)
    liver, tumour = (int(np.count_nonzero(before.array == index)) for index in (1, 2))
    assert tumour > 0
    expected = (2.0 * liver / (2.0 * liver + tumour) + 0.0) / 2.0
    ((one,), _) = monitored(database, masks)
    assert one.edit_dice == pytest.approx(expected)
    assert one.spacing_mm == pytest.approx((6.0, 6.0, 8.0))
    ((one,), _) = monitored(database)
    assert one.edit_dice is None


def test_an_empty_store(database: Database) -> None:
    assert monitored(database) == ((), 0)
