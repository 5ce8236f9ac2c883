"""Real images, whose labels lie where they should, raise no alarm."""

from pathlib import Path

import numpy as np
import pytest

from datasets.audit.auditing import audit
from datasets.audit.fit import fit, sample
from datasets.defects import DefectCode
from datasets.image import Intensity
from datasets.io.discover import open_inputs
from datasets.io.nifti import read_nifti
from datasets.layouts import open_dataset
from datasets.resampling import reorient

pytestmark = pytest.mark.real_data


def test_nuclei_are_sound(shared_data: Path) -> None:
    found = audit(open_dataset(shared_data / "nuclei"))
    # Two fields of one section that look alike.
    assert [defect.code for defect in found if defect.gravity == "error"] == []
    assert len(found) <= 1


def test_films_are_sound_and_one_label_never_varies(shared_data: Path) -> None:
    (found,) = audit(open_dataset(shared_data / "chest_nih"))
    assert (found.code, found.gravity) == (DefectCode.LABEL_ABSENT, "warning")
    assert "hernia" in found.found


def test_films_that_are_in_both_parts_are_found(shared_data: Path) -> None:
    archive = shared_data / "chest_pneumonia_28px" / "pneumonia_train_val.npz"
    found = audit(open_dataset(archive))
    assert {defect.code for defect in found} == {DefectCode.DUPLICATE_IMAGE}
    with np.load(archive, allow_pickle=False) as arrays:
        train, val = ({picture.tobytes() for picture in arrays[f"{part}_images"]} for part in ("train", "val"))
        doubled = len(arrays["train_images"]) - len(train - val)
    leaks = [defect for defect in found if defect.gravity == "error"]
    assert len({defect.found.partition("as ")[2] for defect in leaks}) == len(train & val) == 8
    assert len(leaks) <= doubled


def test_a_ct_with_its_dicom_segmentation_is_sound(shared_data: Path) -> None:
    assert audit(open_dataset(shared_data / "ct_seg_pair")) == ()


@pytest.mark.parametrize(
    ("scan", "labels"), [("ct_3mm.nii.gz", "organs_3mm.nii.gz"), ("dicom_j2k", "organs_dicom_j2k.nii.gz")]
)
def test_labels_of_organs_fit_as_they_lie_and_are_missed_when_mirrored(
    shared_data: Path, scan: str, labels: str
) -> None:
    folder = shared_data / "ct_abdomen"
    with open_inputs([folder / scan]) as inventory:
        image = inventory.studies[0].series[0].load().image
    mask = reorient(read_nifti(folder / labels, Intensity.LABEL).image, image.grid.orientation)
    assert mask.grid.matches(image.grid, 0.1)
    sampled = sample(image.array, mask.array[0])
    assert sampled is not None
    assert fit(sampled).move is None
    for axis in (0, 1):
        mirrored = sample(image.array, np.flip(mask.array[0], axis))
        assert mirrored is not None
        found = fit(mirrored)
        assert found.move is not None
        assert found.move.mirrored == (axis,)
