"""Fixes on a copy: what was wrong is gone there, and the original is as it was."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image as Pillow

from datasets.audit.auditing import audit
from datasets.audit.fixing import fix_copy
from datasets.errors import ConfigError
from datasets.image import Image, Intensity
from datasets.io.nifti import read_nifti, write_nifti
from datasets.layouts import open_dataset
from datasets.phantoms.nuclei import nuclei_phantom
from datasets.resampling import reorient
from tests.datasets.audit.phantom_sets import image_of, labels_of, rewrite, write_liver_set

CASE = 1
WHERE = "liver_01"


def _digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _moved(image: Image) -> Image:
    affine = np.array(image.grid.affine)
    affine[:3, 3] += 40.0
    return Image(image.array, image.intensity, affine)


def _turned(image: Image) -> Image:
    return reorient(image, "ASR")


def _mirrored(image: Image) -> Image:
    return image.like(np.flip(image.array, (1, 3)))


PLANTED: dict[str, Callable[[Image], Image]] = {
    "copy_image_grid": _moved,
    "reorient_labels": _turned,
    "flip_labels_ik": _mirrored,
}


@pytest.fixture
def livers(tmp_path: Path) -> Path:
    write_liver_set(tmp_path / "livers", 3)
    return tmp_path / "livers"


@pytest.mark.parametrize("fix", PLANTED)
def test_labels_are_put_back_where_they_were(livers: Path, tmp_path: Path, fix: str) -> None:
    truth = read_nifti(labels_of(livers, CASE), Intensity.LABEL).image
    rewrite(labels_of(livers, CASE), PLANTED[fix])
    before = _digests(livers)
    dataset = open_dataset(livers)
    defects = audit(dataset)
    assert [(defect.where, defect.fix) for defect in defects] == [(WHERE, fix)]
    (change,) = fix_copy(dataset, livers, defects, [fix], tmp_path / "copy")
    assert change.done
    assert _digests(livers) == before
    mended = read_nifti(labels_of(tmp_path / "copy", CASE), Intensity.LABEL).image
    np.testing.assert_array_equal(mended.array, truth.array)
    assert mended.grid.matches(truth.grid, 0.01)
    assert audit(open_dataset(tmp_path / "copy")) == ()
    told = json.loads((tmp_path / "copy" / "audit.json").read_text(encoding="utf-8"))
    assert [one["defect"]["fix"] for one in told["changes"]] == [fix]
    untouched = labels_of(tmp_path / "copy", 0)
    assert untouched.stat().st_ino == labels_of(livers, 0).stat().st_ino


def test_1024_is_taken_off(livers: Path, tmp_path: Path) -> None:
    path = image_of(livers, CASE)
    hu = read_nifti(path).image
    write_nifti(hu.like(hu.array + np.int16(1024)), path)
    dataset = open_dataset(livers)
    defects = audit(dataset)
    assert [(defect.where, defect.fix) for defect in defects] == [(WHERE, "subtract_1024")]
    fix_copy(dataset, livers, defects, ["all"], tmp_path / "copy")
    np.testing.assert_array_equal(read_nifti(image_of(tmp_path / "copy", CASE)).image.array, hu.array)


def _one_label(root: Path) -> None:
    """The same set with the liver alone."""
    told = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    told["labels"] = {"0": "background", "1": "liver"}
    (root / "dataset.json").write_text(json.dumps(told), encoding="utf-8")
    for number in range(3):
        rewrite(labels_of(root, number), lambda image: image.like((image.array > 0).astype(np.uint8)))


@pytest.mark.parametrize(("factor", "fix"), [(0.75, "round_labels"), (255, "renumber_labels")])
def test_values_of_a_single_label(livers: Path, tmp_path: Path, factor: float, fix: str) -> None:
    _one_label(livers)
    truth = nib.load(labels_of(livers, CASE))
    mask = np.asarray(truth.dataobj)
    nib.save(nib.Nifti1Image(mask.astype(np.float32) * np.float32(factor), truth.affine), labels_of(livers, CASE))
    dataset = open_dataset(livers)
    defects = audit(dataset)
    assert [(defect.where, defect.fix) for defect in defects] == [(WHERE, fix)]
    fix_copy(dataset, livers, defects, [fix], tmp_path / "copy")
    np.testing.assert_array_equal(np.asarray(nib.load(labels_of(tmp_path / "copy", CASE)).dataobj), mask)


def test_a_copy_of_an_image_is_left_out_and_forgotten(livers: Path, tmp_path: Path) -> None:
    for path_of in (image_of, labels_of):
        path_of(livers, 2).write_bytes(path_of(livers, 0).read_bytes())
    dataset = open_dataset(livers)
    defects = audit(dataset)
    assert [(defect.where, defect.fix) for defect in defects] == [("liver_02", "leave_out")]
    fix_copy(dataset, livers, defects, ["leave_out"], tmp_path / "copy")
    rest = open_dataset(tmp_path / "copy")
    assert [example.name for example in rest.examples] == ["liver_00", "liver_01"]
    assert audit(rest) == ()
    assert json.loads((tmp_path / "copy" / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 2


def test_numbers_of_nuclei_are_mirrored_back(tmp_path: Path) -> None:
    root = tmp_path / "nuclei"
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    for seed in range(3):
        phantom = nuclei_phantom(seed, count=25, shape_px=(160, 128), stain="fluorescence")
        Pillow.fromarray(phantom.image().array[0, :, :, 0].T.copy()).save(root / "images" / f"{seed}.png")
        numbers = phantom.instances()
        Pillow.fromarray(numbers if seed else numbers[:, ::-1].copy()).save(root / "labels" / f"{seed}.png")
    dataset = open_dataset(root)
    defects = audit(dataset)
    assert [(defect.where, defect.fix) for defect in defects] == [("0", "flip_labels_i")]
    fix_copy(dataset, root, defects, ["all"], tmp_path / "copy")
    mended = np.asarray(Pillow.open(tmp_path / "copy" / "labels" / "0.png"))
    truth = nuclei_phantom(0, count=25, shape_px=(160, 128), stain="fluorescence").instances()
    np.testing.assert_array_equal(mended, truth)
    assert mended.dtype == np.uint16


def test_what_cannot_be_done_is_refused_before_anything_is_copied(livers: Path, tmp_path: Path) -> None:
    rewrite(labels_of(livers, CASE), _moved)
    dataset = open_dataset(livers)
    defects = audit(dataset)
    with pytest.raises(ConfigError, match="copy_image_grid"):
        fix_copy(dataset, livers, defects, ["invent_labels"], tmp_path / "copy")
    with pytest.raises(ConfigError, match="new folder"):
        fix_copy(dataset, livers, defects, ["all"], livers / "copy")
    with pytest.raises(ConfigError, match="new folder"):
        fix_copy(dataset, livers, defects, ["all"], livers)
    with pytest.raises(ConfigError, match="a fix"):
        fix_copy(dataset, livers, (), ["all"], tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_fix_that_does_not_go_is_told(livers: Path, tmp_path: Path) -> None:
    rewrite(labels_of(livers, CASE), _moved)
    dataset = open_dataset(livers)
    defects = audit(dataset)
    labels_of(livers, CASE).write_bytes(b"no NIfTI any more")
    (change,) = fix_copy(dataset, livers, defects, ["all"], tmp_path / "copy")
    assert change.done == ""
    assert "NIfTI" in change.why_not
