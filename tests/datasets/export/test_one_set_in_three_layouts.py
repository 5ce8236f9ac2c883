"""The same livers as Decathlon, as nnU-Net raw and as DICOM with SEG give the same examples."""

import pickle

import numpy as np
import pytest

from datasets.example import Dataset, Example, MaskTruth, label_values
from datasets.export import decathlon, dicom_segmentations, nnunet
from datasets.image import Array, Image
from datasets.labels import LIVER_AND_TUMOR
from datasets.layouts import open_dataset
from datasets.phantoms import ct_phantom
from datasets.resampling import reorient
from tests.datasets.export.liver_set import liver_set


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    root = tmp_path_factory.mktemp("livers")
    original = liver_set()
    decathlon.write(original, root / "Task03_Liver")
    nnunet.write(original, root / "Dataset003_Liver")
    dicom_segmentations.write(original, root / "dicom", LIVER_AND_TUMOR)
    # Layouts recognise themselves, and no other does.
    sets = {folder.name: open_dataset(folder) for folder in root.iterdir()}
    return {found.layout: found for found in sets.values()} | {"memory": original}


def truth(example: Example) -> MaskTruth:
    assert isinstance(example.truth, MaskTruth)
    return example.truth


def indices(example: Example) -> tuple[Array, Image]:
    """The label map as the task counts, in LPS order."""
    labels = reorient(truth(example).read(), "LPS")
    table = np.zeros(256, np.uint8)
    for value, index in label_values(truth(example).names, LIVER_AND_TUMOR).items():
        table[value] = index
    return table[labels.array], labels


@pytest.mark.parametrize("layout", ["decathlon", "nnunet", "dicom_segmentations"])
def test_values_places_and_labels_are_those_of_the_phantoms(written: dict[str, Dataset], layout: str) -> None:
    found = written[layout]
    assert found.layout == layout
    assert found.defects == ()
    assert found.labels == ("liver", "liver_tumor")
    assert len(found.examples) == 2
    seen = set()
    for example in found.examples:
        example = pickle.loads(pickle.dumps(example))  # noqa: S301 - what a worker process is handed
        image = reorient(example.study.series[0].load().image, "LPS")
        # DICOM names studies by identifiers: the voxels tell which phantom it is.
        (same,) = (
            e for e in written["memory"].examples if np.array_equal(e.study.series[0].load().image.array, image.array)
        )
        seen.add(same.name)
        assert np.issubdtype(image.array.dtype, np.integer)
        assert image.grid.matches(same.study.series[0].load().image.grid, 1e-3)
        values, labels = indices(example)
        assert labels.grid.matches(image.grid, 1e-3)
        expected = truth(same).read().array
        assert {0, 1, 2} == set(np.unique(expected))
        np.testing.assert_array_equal(values, expected)
    assert seen == {"liver_003", "liver_004"}


def test_names_are_kept_where_the_layout_has_any(written: dict[str, Dataset]) -> None:
    for layout in ("decathlon", "nnunet"):
        assert [e.name for e in written[layout].examples] == ["liver_003", "liver_004"]
        assert {e.study.series[0].modality for e in written[layout].examples} == {"CT"}
    dicom = written["dicom_segmentations"].examples
    assert all(e.name.startswith("2.25.") and e.study.series[0].modality == "CT" for e in dicom)
    assert len({e.patient for e in dicom}) == 2


def test_the_volume_is_that_of_the_formula(written: dict[str, Dataset]) -> None:
    values, labels = indices(written["nnunet"].examples[0])
    liver_ml = np.count_nonzero(values) * labels.grid.voxel_volume_ml
    assert liver_ml == pytest.approx(ct_phantom(3).truth.liver_ml, rel=0.05)
