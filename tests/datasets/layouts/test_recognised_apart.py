"""Each of these sets is known by one layout alone, whichever others there are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from datasets.errors import ConfigError
from datasets.layouts import open_dataset
from tests.datasets.layouts import dicom_sets, mask_files, small_sets

SETS: dict[str, Callable[[Path], Path]] = {
    "film_table": small_sets.chest_xray_14,
    "class_folders": small_sets.class_folders,
    "pcam": small_sets.pcam,
    "medmnist": lambda root: small_sets.medmnist(root / "a.npz", np.zeros((3, 1), int), np.ones((2, 1), int)).parent,
    "instance_pictures": small_sets.instances,
    "decathlon": mask_files.decathlon,
    "nnunet": mask_files.nnunet,
    "image_mask_pairs": lambda root: pairs(root),
    "dicom_segmentations": lambda root: dicom(root),
}


def pairs(root: Path) -> Path:
    """Two volumes and their masks."""
    for case in range(2):
        mask_files.nifti(root / "imagesTr" / f"{case}.nii.gz", mask_files.numbers(case))
        mask_files.nifti(root / "labelsTr" / f"{case}.nii.gz", mask_files.labels(case))
    return root


def dicom(root: Path) -> Path:
    """A series and its segmentation."""
    ct = dicom_sets.ct(root / "ct")
    labels = dicom_sets.boxes(
        (1, (slice(1, 4), slice(1, 4), slice(0, 2))), (2, (slice(2, 3), slice(2, 3), slice(0, 1)))
    )
    dicom_sets.seg(ct, root / "seg.dcm", labels)
    return root


@pytest.mark.parametrize("layout", SETS)
def test_one_layout_knows_it(layout: str, tmp_path: Path) -> None:
    found = open_dataset(SETS[layout](tmp_path / "set"))
    assert found.layout == layout
    assert found.examples
    assert found.defects == ()


def test_samples_with_masks_are_known(tmp_path: Path) -> None:
    assert open_dataset(small_sets.data_science_bowl(tmp_path / "stage1_train")).layout == "instance_pictures"


def test_class_folders_with_a_table_are_a_table_of_films(tmp_path: Path) -> None:
    root = small_sets.class_folders(tmp_path)
    (root / "labels.csv").write_text("path,label\ntrain/NORMAL/IM-00-0001.jpeg,a\nval/NORMAL/IM-00-0001.jpeg,b\n")
    assert open_dataset(root).layout == "film_table"


@pytest.mark.parametrize("content", ["empty", "text", "other_table", "one_class"])
def test_what_is_no_dataset_is_refused(content: str, tmp_path: Path) -> None:
    if content == "text":
        (tmp_path / "notes.txt").write_text("x")
    elif content == "other_table":
        (tmp_path / "prices.csv").write_text("item,price\na,1\n")
    elif content == "one_class":
        small_sets.picture(tmp_path / "NORMAL" / "a.png")
    with pytest.raises(ConfigError, match="fits none"):
        open_dataset(tmp_path)
