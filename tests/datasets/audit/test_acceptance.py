"""Planted defects of every kind in one set of phantoms are found, each at its case; the clean twin has none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from datasets.audit.auditing import audit
from datasets.defects import DefectCode
from datasets.image import Image, Intensity
from datasets.layouts import open_dataset
from datasets.resampling import reorient
from tests.datasets.audit.phantom_sets import image_of, labels_of, rewrite, write_liver_set

CASES = 30
HU, LABEL = Intensity.HOUNSFIELD, Intensity.LABEL


def _affine(path: Path, change: Callable[[np.ndarray], np.ndarray], intensity: Intensity) -> None:
    def changed(image: Image) -> Image:
        return Image(image.array, image.intensity, change(np.array(image.grid.affine)))

    rewrite(path, changed, intensity)


def _values(path: Path, change: Callable[[np.ndarray], np.ndarray], intensity: Intensity) -> None:
    rewrite(path, lambda image: image.like(change(np.array(image.array))), intensity)


def _save(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(values, affine), path)


def _origin_moved(affine: np.ndarray) -> np.ndarray:
    affine[:3, 3] += (30.0, 0.0, 0.0)
    return affine


def _one_mm(affine: np.ndarray) -> np.ndarray:
    affine[:3, :3] = np.diag([1.0, 1.0, 1.0])
    return affine


def _axis_reversed(affine: np.ndarray) -> np.ndarray:
    affine[:3, 0] *= -1.0
    return affine


def _spacing_reversed(affine: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    affine[:3, :3] = affine[:3, :3] / lengths * lengths[::-1]
    return affine


def _value_7(array: np.ndarray) -> np.ndarray:
    array[array == 2] = 7
    array[0, 0, 0, :3] = 7
    return array


def _halves(root: Path, number: int) -> None:
    image = nib.load(labels_of(root, number))
    _save(labels_of(root, number), image.get_fdata().astype(np.float32) * 0.5, image.affine)


def _not_a_number(root: Path, number: int) -> None:
    image = nib.load(image_of(root, number))
    values = image.get_fdata().astype(np.float32)
    values[3, 4, 5] = np.nan
    _save(image_of(root, number), values, image.affine)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _copied_as_other_file(root: Path, number: int, other: int) -> None:
    """The same pixels in another type, byte order and place."""
    for path_of, dtype in ((image_of, ">f4"), (labels_of, ">i2")):
        image = nib.load(path_of(root, other))
        affine = image.affine.copy()
        affine[:3, 3] += 11.0
        _save(path_of(root, number), np.asarray(image.dataobj).astype(dtype), affine)


def _exchanged(root: Path, number: int, other: int) -> None:
    one, two = labels_of(root, number), labels_of(root, other)
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)


def _plant(root: Path) -> dict[int, DefectCode]:
    """Plant one defect in each of many cases; which case has which."""
    _affine(labels_of(root, 0), _origin_moved, LABEL)
    _affine(labels_of(root, 1), _axis_reversed, LABEL)
    rewrite(labels_of(root, 2), lambda image: reorient(image, "ASR"))
    _values(labels_of(root, 4), _value_7, LABEL)
    _halves(root, 5)
    _values(labels_of(root, 6), lambda array: array[:, ::-1], LABEL)
    _values(labels_of(root, 7), lambda array: np.roll(array, array.shape[1] // 2, 1), LABEL)
    _exchanged(root, 9, 12)
    shutil.copy(image_of(root, 10), labels_of(root, 10))
    _values(labels_of(root, 11), np.zeros_like, LABEL)
    _copied_as_other_file(root, 13, 14)
    for path_of, intensity in ((image_of, HU), (labels_of, LABEL)):
        _affine(path_of(root, 15), _one_mm, intensity)
        _affine(path_of(root, 18), _spacing_reversed, intensity)
    _values(image_of(root, 16), lambda array: array + np.int16(1024), HU)
    _not_a_number(root, 17)
    _truncated(image_of(root, 19))
    _values(image_of(root, 20), np.zeros_like, HU)
    labels_of(root, 22).unlink()
    _truncated(labels_of(root, 23))
    _values(labels_of(root, 25), lambda array: array[:, :, ::-1, ::-1], LABEL)
    return {
        0: DefectCode.GEOMETRY_MISMATCH,
        1: DefectCode.GEOMETRY_MISMATCH,
        2: DefectCode.GEOMETRY_MISMATCH,
        4: DefectCode.UNKNOWN_LABEL,
        5: DefectCode.UNKNOWN_LABEL,
        6: DefectCode.LABELS_FLIPPED,
        7: DefectCode.LABELS_MISPLACED,
        9: DefectCode.LABELS_MISPLACED,
        12: DefectCode.LABELS_MISPLACED,
        10: DefectCode.UNKNOWN_LABEL,
        11: DefectCode.LABELS_EMPTY,
        14: DefectCode.DUPLICATE_IMAGE,
        15: DefectCode.SPACING_NOT_TOLD,
        16: DefectCode.INTENSITY_OUTLIER,
        17: DefectCode.NOT_FINITE_VALUES,
        18: DefectCode.SPACING_NOT_TOLD,
        19: DefectCode.UNREADABLE_IMAGE,
        20: DefectCode.INTENSITY_OUTLIER,
        22: DefectCode.LABELS_MISSING,
        23: DefectCode.UNREADABLE_LABELS,
        25: DefectCode.LABELS_FLIPPED,
    }


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean")
    write_liver_set(root, CASES)
    return root


def test_the_clean_twin_has_none(clean: Path) -> None:
    assert audit(open_dataset(clean)) == ()


def test_each_planted_defect_is_found_at_its_case_and_nothing_else(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean, tmp_path / "planted")
    planted = {f"liver_{number:02d}": code for number, code in _plant(tmp_path / "planted").items()}
    found = audit(open_dataset(tmp_path / "planted"))
    told = {(Path(defect.where).name.partition(".")[0], defect.code) for defect in found}
    assert told == set(planted.items()), "\n".join(str(defect) for defect in found)
