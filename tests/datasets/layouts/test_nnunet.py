"""nnU-Net's raw layout, version 2."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from datasets.codes import RefusalCode
from datasets.defects import DefectCode
from datasets.errors import ConfigError, InputRefused
from datasets.example import Dataset, MaskTruth, label_values
from datasets.image import Intensity
from datasets.labels import LIVER_AND_TUMOR
from datasets.layouts import decathlon, open_dataset
from datasets.layouts.nnunet import read
from tests.datasets.layouts.mask_files import describe, labels, nifti, nnunet, numbers, png


def names(found: Dataset) -> dict[int, str]:
    truth = found.examples[0].truth
    assert isinstance(truth, MaskTruth)
    return dict(truth.names)


def mask(found: Dataset, number: int = 0) -> np.ndarray:
    truth = found.examples[number].truth
    assert isinstance(truth, MaskTruth)
    return np.asarray(truth.read().array[0])


def told(found: Dataset) -> list[tuple[DefectCode, str, str]]:
    return [(defect.code, defect.gravity, defect.where) for defect in found.defects]


def test_a_sound_set_is_read_whole(tmp_path: Path) -> None:
    found = open_dataset(nnunet(tmp_path / "Dataset003_Liver", channels=2))
    assert (found.name, found.layout, found.labels) == ("Dataset003_Liver", "nnunet", ("liver", "tumor"))
    assert found.defects == ()
    example = pickle.loads(pickle.dumps(found.examples[1]))  # noqa: S301 - what a worker process is handed
    assert (example.name, example.split, example.truth.names) == ("case_1", "train", {1: "liver", 2: "tumor"})
    assert [(s.uid, s.name, s.modality) for s in example.study.series] == [
        ("case_1_0000", "CT", "CT"),
        ("case_1_0001", "FLAIR", ""),
    ]
    for channel, kind in enumerate((Intensity.HOUNSFIELD, Intensity.GREY)):
        image = example.study.series[channel].load().image
        assert image.intensity is kind
        np.testing.assert_array_equal(image.array[0], numbers(10 * channel + 1))
    np.testing.assert_array_equal(mask(found, 1), labels(1))


def test_version_one_and_two_are_told_apart(tmp_path: Path) -> None:
    assert not decathlon.recognises(nnunet(tmp_path / "two"))
    described = json.loads((tmp_path / "two" / "dataset.json").read_text())
    described["training"] = []
    assert open_dataset(describe(tmp_path / "two", **described)).layout == "nnunet"


def test_labelled_test_images_are_examples_of_the_test_split(tmp_path: Path) -> None:
    nnunet(tmp_path, 1)
    for name in ("case_0", "case_8"):
        nifti(tmp_path / f"imagesTs/{name}_0000.nii.gz", numbers(8))
    assert (len(read(tmp_path).examples), read(tmp_path).defects) == (1, ())
    nifti(tmp_path / "labelsTs" / "case_8.nii.gz", labels(8))
    assert [(e.name, e.split) for e in read(tmp_path).examples] == [("case_0", "train"), ("case_8", "test")]
    nifti(tmp_path / "labelsTs" / "case_0.nii.gz", labels(8))
    # One name in both parts: told apart by the folder.
    assert len({e.name for e in read(tmp_path).examples}) == 3


def test_missing_partners_and_counts_are_told(tmp_path: Path) -> None:
    nnunet(tmp_path, 4, channels=2, numTraining=9)
    (tmp_path / "imagesTr" / "case_0_0001.nii.gz").unlink()
    (tmp_path / "labelsTr" / "case_1.nii.gz").unlink()
    for channel in range(2):
        (tmp_path / "imagesTr" / f"case_2_{channel:04d}.nii.gz").unlink()
    (tmp_path / "imagesTr" / "._case_7_0000.nii.gz").write_bytes(b"of a Mac")
    found = read(tmp_path)
    assert [e.name for e in found.examples] == ["case_3"]
    assert sorted(told(found)) == [
        (DefectCode.IMAGE_MISSING, "error", "imagesTr/case_0_0001.nii.gz"),
        (DefectCode.IMAGE_MISSING, "error", "imagesTr/case_2_0000.nii.gz"),
        (DefectCode.IMAGE_MISSING, "warning", "dataset.json"),
        (DefectCode.LABELS_MISSING, "error", "imagesTr/case_1_0000.nii.gz"),
    ]


def test_a_case_whose_name_ends_like_a_channel_is_no_channel(tmp_path: Path) -> None:
    nnunet(tmp_path, 0, channels=1, numTraining=1)
    nifti(tmp_path / "imagesTr" / "p_0001_0000.nii.gz", numbers(1))
    nifti(tmp_path / "labelsTr" / "p_0001.nii.gz", labels(1))
    found = read(describe(tmp_path, channel_names={"0": "CT"}, labels={"a": 1, "b": 2}, file_ending=".nii.gz"))
    assert [e.name for e in found.examples] == ["p_0001"]
    assert found.defects == ()


def test_regions_become_names_of_values_by_the_smallest_region(tmp_path: Path) -> None:
    regions = {"background": 0, "whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3}
    found = read(nnunet(tmp_path, 1, labels=regions, regions_class_order=[1, 2, 3]))
    assert names(found) == {1: "whole tumor", 2: "tumor core", 3: "enhancing tumor"}
    assert found.labels == ("whole tumor", "tumor core", "enhancing tumor")
    assert told(found) == [(DefectCode.UNKNOWN_LABEL, "warning", "dataset.json")]
    found = read(nnunet(tmp_path, 1, labels={"background": 0, "liver": [1, 2], "liver tumors": 2}))
    assert label_values(names(found), LIVER_AND_TUMOR) == {1: 1, 2: 2}


def test_regions_without_a_smallest_are_an_error(tmp_path: Path) -> None:
    found = read(nnunet(tmp_path, 1, labels={"background": 0, "left": [1, 2], "right": [2, 3]}))
    assert told(found)[0] == (DefectCode.UNKNOWN_LABEL, "error", "dataset.json")
    assert "left and right" in found.defects[0].found
    assert names(found) == {1: "left", 2: "2", 3: "right"}


def test_ignored_voxels_are_no_label_and_are_told(tmp_path: Path) -> None:
    found = read(nnunet(tmp_path, 1, labels={"background": 0, "liver": 1, "ignore": 2}))
    assert found.labels == ("liver",)
    assert names(found) == {1: "liver", 2: "ignore"}
    assert [(d.code, d.gravity) for d in found.defects] == [(DefectCode.UNKNOWN_LABEL, "warning")]


def test_a_list_of_cases_is_followed_within_the_folder(tmp_path: Path) -> None:
    nnunet(tmp_path, 1, channels=2)
    nifti(tmp_path / "elsewhere" / "b.nii.gz", numbers(21))
    listed = {
        "first": {"images": ["imagesTr/case_0_0000.nii.gz", "elsewhere/b.nii.gz"], "label": "labelsTr/case_0.nii.gz"},
        "outside": {"images": ["../x.nii.gz", "../y.nii.gz"], "label": "labelsTr/case_0.nii.gz"},
        "odd": {"images": "imagesTr/case_0_0000.nii.gz"},
    }
    described = json.loads((tmp_path / "dataset.json").read_text())
    found = read(describe(tmp_path, **described, dataset=listed))
    assert [e.name for e in found.examples] == ["first"]
    np.testing.assert_array_equal(found.examples[0].study.series[1].load().image.array[0], numbers(21))
    assert told(found) == [(DefectCode.IMAGE_MISSING, "error", name) for name in ("odd", "outside")]


def test_folds_are_groups(tmp_path: Path) -> None:
    nnunet(tmp_path, 3)
    folds = [{"train": ["case_1"], "val": ["case_0"]}, {"train": ["case_0"], "val": ["case_1"]}]
    (tmp_path / "splits_final.json").write_text(json.dumps(folds))
    assert [dict(e.groups) for e in read(tmp_path).examples] == [{"fold": "0"}, {"fold": "1"}, {}]
    (tmp_path / "splits_final.json").write_text("{}")
    with pytest.raises(ConfigError):
        read(tmp_path)


@pytest.mark.parametrize("ending", [".nrrd", ".mha"])
def test_itk_files_lie_where_itk_says(tmp_path: Path, ending: str) -> None:
    nnunet(tmp_path, 0, channels=1, file_ending=ending, numTraining=1)
    direction = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    for file, array in (("imagesTr/a_0000", numbers(1)), ("labelsTr/a", labels(1).astype(np.float32))):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((-100.0, 20.0, 30.0))
        image.SetDirection(direction)
        (tmp_path / file).parent.mkdir(exist_ok=True)
        sitk.WriteImage(image, str(tmp_path / f"{file}{ending}"))
    found = read(describe(tmp_path, channel_names={"0": "CT"}, labels={"a": 1, "b": 2}, file_ending=ending))
    assert found.defects == ()
    loaded = found.examples[0].study.series[0].load().image
    np.testing.assert_array_equal(loaded.slices(), numbers(1))
    np.testing.assert_array_equal(mask(found), labels(1).transpose(2, 1, 0))
    # ITK's world is LPS: x and y change sign.
    theirs = image.TransformIndexToPhysicalPoint((2, 3, 4))
    np.testing.assert_allclose(loaded.grid.points_mm((2, 3, 4)), np.asarray(theirs) * (-1, -1, 1), atol=1e-5)


def test_a_nrrd_that_names_no_space_is_refused_as_a_nifti_is(tmp_path: Path) -> None:
    nnunet(tmp_path, 0, channels=1)
    body = numbers(1).tobytes()
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 7 6 5\nspacings: 1 1 1\nendian: little\nencoding: raw\n\n"
    for file in ("imagesTr/a_0000.nrrd", "labelsTr/a.nrrd"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(header.encode() + body)
    found = read(describe(tmp_path, channel_names={"0": "CT"}, labels={"a": 1}, file_ending=".nrrd"))
    assert found.examples == ()
    assert RefusalCode.MISSING_ORIENTATION in found.defects[0].found


def test_pictures_keep_their_colours_in_one_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8, 3)).astype(np.uint8)
    png(tmp_path / "imagesTr" / "a_0000.png", pixels)
    png(tmp_path / "labelsTr" / "a.png", labels(3, 2, (9, 8)))
    colours = {"0": "R", "1": "G", "2": "B"}
    found = read(describe(tmp_path, channel_names=colours, labels={"a": 1, "b": 2}, file_ending=".png"))
    assert found.defects == ()
    (series,) = found.examples[0].study.series
    np.testing.assert_array_equal(series.load().image.array[..., 0].transpose(2, 1, 0), pixels)
    np.testing.assert_array_equal(mask(found)[..., 0].T, labels(3, 2, (9, 8)))


def test_tiff_stacks_have_the_spacing_that_lies_beside_them(tmp_path: Path) -> None:
    for file, array in (("imagesTr/a_0000.tif", numbers(1)), ("labelsTr/a.tif", labels(1))):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / file, array)
    description = {"channel_names": {"0": "light"}, "labels": {"a": 1, "b": 2}, "file_ending": ".tif"}
    found = read(describe(tmp_path, **description))
    image = found.examples[0].study.series[0].load().image
    assert image.affine is None
    np.testing.assert_array_equal(image.slices(), numbers(1))
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder / "a.json").write_text('{"spacing": [3.0, 0.5, 0.25]}')
    found = read(tmp_path)
    loaded = found.examples[0].study.series[0].load()
    assert loaded.image.grid.spacing_mm == (0.25, 0.5, 3.0)
    assert [repair.code for repair in loaded.repairs] == ["geometry_chosen"]
    assert mask(found).shape == (5, 6, 7)


@pytest.mark.parametrize("more", [{"file_ending": ".b2nd"}, {"labels": {"a": "x"}}, {"channel_names": {"1": "CT"}}])
def test_what_cannot_be_understood_stops_at_once(tmp_path: Path, more: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        read(nnunet(tmp_path, 1, **more))


def test_a_damaged_tiff_or_nrrd_is_a_defect(tmp_path: Path) -> None:
    for ending in (".tif", ".nrrd"):
        root = tmp_path / ending[1:]
        for file in ("imagesTr/a_0000", "labelsTr/a"):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / f"{file}{ending}").write_bytes(b"nothing of the kind")
        found = read(describe(root, channel_names={"0": "CT"}, labels={"a": 1}, file_ending=ending))
        assert told(found) == [(DefectCode.UNREADABLE_IMAGE, "error", "a")]


def test_values_beyond_what_integers_hold_are_refused(tmp_path: Path) -> None:
    nnunet(tmp_path, 1)
    nifti(tmp_path / "labelsTr" / "case_0.nii.gz", np.full((7, 6, 5), np.nan, np.float32))
    found = read(tmp_path)
    with pytest.raises(InputRefused) as caught:
        mask(found)
    assert caught.value.code is RefusalCode.NOT_FINITE
