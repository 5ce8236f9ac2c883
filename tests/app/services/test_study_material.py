from pathlib import Path

import numpy as np
import pytest

from app.services.agreement import mask_agreements
from app.services.intake import take_in
from app.services.reading import make_plan
from app.services.services import Services
from app.services.study_material import masks_of, material_of
from app.settings import InstallationSettings
from app.store.reading_records import NewPlan
from app.store.records import NewReview
from app.store.reviews import Reviews
from datasets.image import Image, Intensity
from datasets.io.nifti import read_nifti, write_nifti
from pipelines.results import digest_of_labels
from tests.app.planted import plant_film, plant_liver


def test_masks_are_those_that_readers_left(tmp_path: Path) -> None:
    here = Services.of(InstallationSettings(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path / "data"))
    folder = plant_liver(tmp_path, dicom=False)
    case, film = (take_in(here.database, one, "worker") for one in (folder, plant_film(tmp_path)))
    wanted = NewPlan(name="p", cases=(case.id, film.id), readers=("anna", "ben", "carla"))
    plan = make_plan(here.database, wanted, "rita")
    network = read_nifti(folder / "segmentation.nii.gz", Intensity.LABEL).image
    emptied = Image(np.zeros(network.array.shape, np.uint8), Intensity.LABEL, network.affine)
    masks = here.viewing.masks
    masks.mkdir(parents=True, exist_ok=True)
    write_nifti(emptied, masks / "mine.nii.gz")
    # Anna leaves the network's, Ben takes everything out, Carla did not see it and drew none.
    edited = {"mask": "mine.nii.gz", "mask_sha256": digest_of_labels(emptied)}
    for reader, said in (("anna", {}), ("ben", edited), ("carla", {"aided": False})):
        new = {"case": case.id, "reader": reader, "result_sha256": case.result_sha256, "complete": True}
        Reviews(here.database).append(NewReview.model_validate({**new, **said}))
    material = material_of(here.database, plan.id)
    assert [label.name for label in material.labels] == ["liver", "liver_tumor"]
    assert material.cases.keys() == material.findings.keys() == {case.id, film.id}
    mask_of = masks_of(material, masks)
    np.testing.assert_array_equal(mask_of(case.id, "anna"), network.array[0])
    assert not np.any(mask_of(case.id, "ben"))
    assert mask_of(case.id, "carla") is None
    assert mask_of(film.id, "anna") is None
    found = mask_agreements(mask_of, plan.cases, ("anna", "ben", "carla"), 1)
    assert [(one.cases, one.dice.value) for one in found] == [(1, pytest.approx(0.0)), (0, None), (0, None)]
    # A file that is gone is no mask, and no reason to show nothing.
    (masks / "mine.nii.gz").unlink()
    assert mask_of(case.id, "ben") is None
    here.database.close()


def test_a_result_that_is_gone_is_left_out(tmp_path: Path) -> None:
    here = Services.of(InstallationSettings(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path / "data"))
    folder = plant_film(tmp_path)
    case = take_in(here.database, folder, "worker")
    plan = make_plan(here.database, NewPlan(name="p", cases=(case.id,), readers=("anna",)), "rita")
    (folder / "result.json").unlink()
    material = material_of(here.database, plan.id)
    assert (material.cases.keys(), material.results, material.labels) == ({case.id}, {}, ())
    here.database.close()
